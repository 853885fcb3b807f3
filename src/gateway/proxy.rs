//! The endpoint of a proxy route: one call, both bodies streamed, nothing parsed.
//!
//! Back-pressure is the bodies' own: neither side is read faster than the other takes. The route's
//! `timeout` ends with the response head.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderName, Request, Response, Uri, uri::PathAndQuery};
use pin_project_lite::pin_project;

use super::{
    admission::forget_trailers,
    composed::{Target, exchange_of},
    forward,
    tunnel::Patience,
    upgrade::{Tunnels, Wanted},
};
use crate::{
    body::Body,
    compose::{self, Prepared, Rendered},
    error::Error,
    headers::may_trail_request,
    plan::{self, reads},
    policy::authenticate::{Source, credential},
    problem::Kind,
    telemetry::{CallRecord, Exchange, Trail, Verb},
    upstream::{Added, Outgoing, Spare},
};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    target: Target,
    tunnels: Arc<Tunnels>,
    /// Fields of the gateway's own of which a policy has said otherwise.
    over: Box<[HeaderName]>,
}

pin_project! {
    /// A call under way, written out so that what it holds is held once.
    pub(super) struct Sent<F> {
        #[pin]
        call: F,
        upgrade: Option<Wanted>,
        proxy: Arc<Proxy>,
    }
}

pin_project! {
    /// The answer to a request that is forwarded as it is.
    #[project = ForwardProjection]
    pub(super) enum Forward<F> {
        Sent { #[pin] sent: Sent<F> },
        Refused { error: Option<Error> },
    }
}

/// The request as the template wants it, rendered from what the client sent and the steps left.
async fn render(prepared: &mut Prepared) -> Result<Request<Body>, Error> {
    let Rendered { path, query, headers: set } = prepared.target().await?;
    let (method, uri, headers) = prepared.head();
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers.clone();
    *request.uri_mut() = uri.clone();
    if path.is_some() || query.is_some() {
        let mut target = path.unwrap_or_else(|| uri.path().to_owned());
        match (query, uri.query()) {
            (Some(query), _) => target.push_str(&query),
            (None, Some(query)) => {
                target.push('?');
                target.push_str(query);
            }
            (None, None) => {}
        }
        let target = PathAndQuery::try_from(target).map_err(|_| {
            Error::new(Kind::ExpressionError).detail("the path of the proxied call is not valid")
        })?;
        *request.uri_mut() = Uri::from(target);
    }
    *request.extensions_mut() = std::mem::take(&mut prepared.extensions);
    *request.body_mut() = std::mem::take(&mut prepared.body);
    request.extensions_mut().insert(Set(set));
    Ok(request)
}

// === impl Sent ===

impl<F: Future<Output = Result<Response<Body>, Error>>> Future for Sent<F> {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.call.poll(cx));
        Poll::Ready(this.proxy.receive(answer, this.upgrade.take()))
    }
}

// === impl Forward ===

impl<F: Future<Output = Result<Response<Body>, Error>>> Future for Forward<F> {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ForwardProjection::Sent { sent } => sent.poll(cx),
            ForwardProjection::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| Kind::Internal.into())))
            }
        }
    }
}

// === impl Proxy ===

impl Proxy {
    pub(super) fn new(target: Target, tunnels: Arc<Tunnels>) -> Self {
        let edits = target.route().policies.headers.iter().map(|headers| &headers.request);
        let names = edits.flat_map(|edits| edits.set.iter().map(|(name, _)| name).chain(&edits.remove));
        let over = names.filter(|name| forward::adds(name)).cloned().collect();
        Self { target, tunnels, over }
    }

    /// Forwards a request as it is.
    pub(super) fn forward(
        self: Arc<Self>,
        mut request: Request<Body>,
    ) -> Forward<impl Future<Output = Result<Response<Body>, Error>> + Send + use<>> {
        let prepared = exchange_of(&mut request).and_then(|exchange| {
            let left = self.target.timeout(&exchange);
            let trail = self.trail(&exchange, &request)?;
            let ready = self.prepare(&exchange, &trail, &mut request, left)?;
            Ok((trail, left, ready))
        });
        let spare = self.target.route().spare.map(Spare::new);
        match prepared.and_then(|(trail, left, ready)| self.send(request, trail, left, ready, spare)) {
            Ok(sent) => Forward::Sent { sent },
            Err(error) => Forward::Refused { error: Some(error) },
        }
    }

    /// Runs the route's steps, renders what its template computes, and forwards.
    pub(super) async fn run(self: Arc<Self>, mut request: Request<Body>) -> Result<Response<Body>, Error> {
        let exchange = exchange_of(&mut request)?;
        let version = request.version();
        let call = self.target.call(Arc::clone(&exchange), request)?;
        let deadline = call.deadline;
        let mut prepared = compose::prepare(self.target.runner.clone(), call).await?;
        let outcome = async {
            let mut request = render(&mut prepared).await?;
            // What the client spoke decides `via` and whether its cookies must be joined.
            *request.version_mut() = version;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let trail = self.trail(&exchange, &request)?;
            let ready = self.prepare(&exchange, &trail, &mut request, left)?;
            self.send(request, trail, left, ready, prepared.spare())?.await
        };
        let mut response = match outcome.await {
            Ok(response) => response,
            Err(error) => return Err(prepared.explain(error).await),
        };
        prepared.mark_degraded(response.headers_mut())?;
        Ok(response)
    }

    /// Turns the client's request into ours. Gives what is added, and the upgrade it asks for.
    fn prepare(
        &self,
        exchange: &Arc<Exchange>,
        trail: &Trail,
        request: &mut Request<Body>,
        left: Duration,
    ) -> Result<(Added, Option<Wanted>), Error> {
        let prepared = self.prepared((exchange, trail.span()), request, left);
        prepared.inspect_err(|error| trail.ended(Err(error.kind()), std::time::Instant::now()))
    }

    fn prepared(
        &self,
        (exchange, span): (&Arc<Exchange>, u64),
        request: &mut Request<Body>,
        left: Duration,
    ) -> Result<(Added, Option<Wanted>), Error> {
        let proxy = self.proxy()?;
        let upstream = &self.target.gateway.upstreams[proxy.service.index()];
        // Most requests have no extension left, and then there is nothing to look for.
        let mut upgrade = None;
        let mut set = None;
        if !request.extensions().is_empty() {
            upgrade = request.extensions_mut().remove::<Wanted>();
            set = request.extensions_mut().remove::<Set>();
        }
        // Before anything is added: what the template and the policies set in its place stays.
        if let Some(spent) = exchange.spent.get().filter(|_| !proxy.forward_credentials) {
            self.forget(spent, request);
        }
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        // What a policy has set stands in the request by now, and what it has removed does not.
        let said = (!self.over.is_empty()).then(|| forward::take(request.headers_mut(), &self.over));
        let mut added =
            forward::request(request, (exchange, span), upstream.asset, proxy.preserve_host, left_ms)?;
        if let Some(said) = said {
            self.over.iter().for_each(|name| added.remove(name));
            forward::set(request.headers_mut(), said);
        }
        for name in &proxy.remove {
            added.remove(name);
            request.headers_mut().remove(name);
        }
        if let Some(Set(fields)) = set {
            fields.keys().for_each(|name| added.remove(name));
            forward::set(request.headers_mut(), fields);
        }
        if let Some(upgrade) = &mut upgrade {
            upgrade.ask(request.headers_mut());
            upgrade.keep(exchange);
        }
        Ok((added, upgrade))
    }

    /// Takes out the credentials that have told who the request is from.
    fn forget(&self, spent: &[Source], request: &mut Request<Body>) {
        let policies = &self.target.route().policies;
        let written = self.proxy().is_ok_and(|proxy| proxy.query.is_some());
        for source in spent {
            // A policy has put its own in that place.
            let replaced = match source {
                Source::Header(name, _) => {
                    let edits = policies.headers.iter().map(|headers| &headers.request);
                    edits.flat_map(|edits| &edits.set).any(|(own, _)| own == name)
                }
                Source::Query(_) => written,
                Source::Cookie(_) => false,
            };
            if !replaced {
                let mut uri = std::mem::take(request.uri_mut());
                credential::remove(source, request.headers_mut(), &mut uri);
                *request.uri_mut() = uri;
                if let Source::Header(name, _) = source
                    && may_trail_request(name)
                {
                    forget_trailers(request.body_mut(), vec![name.clone()]);
                }
            }
        }
    }

    /// Notes that the call begins.
    fn trail(&self, exchange: &Arc<Exchange>, request: &Request<Body>) -> Result<Trail, Error> {
        let proxy = self.proxy()?;
        let trail = Trail::begin(exchange, CallRecord::new(proxy.service.0, Verb::from(request.method())));
        if proxy.path.is_some() {
            trail.asks(request.uri());
        }
        Ok(trail)
    }

    /// Sends what was prepared.
    fn send(
        self: &Arc<Self>,
        request: Request<Body>,
        trail: Trail,
        left: Duration,
        (added, upgrade): (Added, Option<Wanted>),
        spare: Option<Arc<Spare>>,
    ) -> Result<Sent<impl Future<Output = Result<Response<Body>, Error>> + Send + use<>>, Error> {
        let upstream = &self.target.gateway.upstreams[self.proxy()?.service.index()];
        let safe = reads(request.method());
        let (timeout, overdue) = match left <= upstream.timeout {
            true => (left, Kind::DeadlineExceeded),
            false => (upstream.timeout, Kind::UpstreamTimeout),
        };
        let outgoing = Outgoing { request, added, safe, timeout, overdue, spare, trail: Some(trail) };
        let call = self.target.runner.caller.call(upstream, outgoing);
        Ok(Sent { call, upgrade, proxy: Arc::clone(self) })
    }

    /// Makes the upstream's answer ours.
    fn receive(
        &self,
        answer: Result<Response<Body>, Error>,
        upgrade: Option<Wanted>,
    ) -> Result<Response<Body>, Error> {
        let mut response = answer?;
        let switching = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
        if !switching {
            forward::response(&mut response);
            return Ok(response);
        }
        let protocol = upgrade.as_ref().and_then(|upgrade| upgrade.agreed(response.headers()));
        forward::response(&mut response);
        match (upgrade, protocol) {
            (Some(upgrade), Some(protocol)) => {
                let gateway = &self.target.gateway;
                let limits = &gateway.plan.gateway.limits;
                let patience = Patience { idle: limits.idle_timeout, stall: limits.write_stall };
                upgrade.conclude(&mut response, protocol, &self.tunnels, &gateway.instruments, patience);
            }
            _ => return Err(Error::new(Kind::UpstreamInvalid).cause("a 101 that nobody asked for")),
        }
        Ok(response)
    }

    fn proxy(&self) -> Result<&plan::Proxy, Error> {
        match &self.target.route().endpoint {
            plan::Endpoint::Proxy { proxy, .. } => Ok(proxy),
            plan::Endpoint::Compose { .. } | plan::Endpoint::Static(_) => {
                Err(Error::new(Kind::Internal).cause("not a proxy route"))
            }
        }
    }
}

/// Fields that the template sets, on their way past what forwarding does to the client's.
#[derive(Clone, Debug)]
struct Set(http::HeaderMap);

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, R>(_: impl FnOnce(A, B) -> R) -> usize {
        size_of::<R>()
    }

    #[test]
    fn an_answers_future_is_small_enough_to_be_moved() {
        // Each is moved into its box as a whole, whatever its first state holds.
        let (forwarded, composed) = (size(Proxy::forward), size(Target::compose));
        assert!(forwarded <= 2048, "{forwarded} bytes");
        assert!(composed <= 2048, "{composed} bytes");
    }
}
