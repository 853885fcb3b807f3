//! The endpoint of a proxy route: one call, both bodies streamed, nothing parsed.
//!
//! Back-pressure is the bodies' own: neither side is read faster than the other takes. The route's
//! `timeout` ends with the response head.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, Uri, uri::PathAndQuery};

use super::{
    composed::{Target, exchange_of},
    forward,
    upgrade::{Tunnels, Wanted},
};
use crate::{
    body::Body,
    compose::{self, Prepared},
    error::Error,
    plan,
    problem::Kind,
    telemetry::Exchange,
    upstream::{Caller, Outgoing},
};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) target: Target,
    pub(super) tunnels: Arc<Tunnels>,
}

// === impl Proxy ===

impl Proxy {
    /// Forwards a request as it is.
    pub(super) async fn forward(self: Arc<Self>, mut request: Request<Body>) -> Result<Response<Body>, Error> {
        let exchange = exchange_of(&mut request)?;
        let left = self.target.route().timeout;
        let upgrade = self.prepare(&exchange, &mut request, left)?;
        self.send(request, left, upgrade).await
    }

    /// Runs the route's steps, renders what its template computes, and forwards.
    pub(super) async fn run(self: Arc<Self>, mut request: Request<Body>) -> Result<Response<Body>, Error> {
        let exchange = exchange_of(&mut request)?;
        let call = self.target.call(Arc::clone(&exchange), request)?;
        let deadline = call.deadline;
        let mut prepared = compose::prepare(self.target.runner.clone(), call).await?;
        let outcome = async {
            let mut request = self.render(&mut prepared)?;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let upgrade = self.prepare(&exchange, &mut request, left)?;
            self.send(request, left, upgrade).await
        };
        let mut response = match outcome.await {
            Ok(response) => response,
            Err(error) => return Err(prepared.explain(error)),
        };
        prepared.mark_degraded(response.headers_mut())?;
        Ok(response)
    }

    /// The request as the template wants it, rendered from what the client sent and the steps left.
    fn render(&self, prepared: &mut Prepared) -> Result<Request<Body>, Error> {
        let proxy = self.proxy()?;
        let (method, uri, headers) = prepared.head();
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        *request.headers_mut() = headers.clone();
        *request.uri_mut() = uri.clone();
        if proxy.path.is_some() || proxy.query.is_some() {
            let mut target = match &proxy.path {
                Some(parts) => prepared.path(parts)?,
                None => uri.path().to_owned(),
            };
            match &proxy.query {
                Some(query) => target.push_str(&prepared.query(query)?),
                None => {
                    if let Some(query) = uri.query() {
                        target.push('?');
                        target.push_str(query);
                    }
                }
            }
            let target = PathAndQuery::try_from(target).map_err(|_| {
                Error::new(Kind::ExpressionError).detail("the path of the proxied call is not valid")
            })?;
            *request.uri_mut() = Uri::from(target);
        }
        let set = prepared.headers(&proxy.set)?;
        *request.extensions_mut() = std::mem::take(&mut prepared.extensions);
        *request.body_mut() = std::mem::take(&mut prepared.body);
        request.extensions_mut().insert(Set(set));
        Ok(request)
    }

    /// Turns the client's request into ours. Gives the upgrade it asks for.
    fn prepare(
        &self,
        exchange: &Exchange,
        request: &mut Request<Body>,
        left: Duration,
    ) -> Result<Option<Wanted>, Error> {
        let proxy = self.proxy()?;
        let upstream = &self.target.gateway.upstreams[proxy.service.index()];
        // Most requests have no extension left, and then there is nothing to look for.
        let mut upgrade = None;
        let mut set = None;
        if !request.extensions().is_empty() {
            upgrade = request.extensions_mut().remove::<Wanted>();
            set = request.extensions_mut().remove::<Set>();
        }
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        forward::request(request, exchange, upstream.asset, proxy.preserve_host, left_ms)?;
        for name in &proxy.remove {
            request.headers_mut().remove(name);
        }
        if let Some(Set(fields)) = set {
            forward::set(request.headers_mut(), fields);
        }
        if let Some(upgrade) = &upgrade {
            upgrade.ask(request.headers_mut());
        }
        Ok(upgrade)
    }

    async fn send(
        &self,
        request: Request<Body>,
        left: Duration,
        upgrade: Option<Wanted>,
    ) -> Result<Response<Body>, Error> {
        let upstream = &self.target.gateway.upstreams[self.proxy()?.service.index()];
        let idempotent = is_idempotent(request.method());
        let is_late = left <= upstream.timeout;
        let timeout = left.min(upstream.timeout);
        let outgoing = Outgoing { request, idempotent, timeout };
        let mut response = match self.target.runner.caller.send(upstream, outgoing).await {
            Ok(response) => response,
            // What ran out was the route's time, not the attempt's.
            Err(error) if is_late && error.kind() == Kind::UpstreamTimeout => {
                return Err(Kind::DeadlineExceeded.into());
            }
            Err(error) => return Err(error),
        };
        let switching = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
        let protocol =
            if switching { response.headers().get(http::header::UPGRADE).cloned() } else { None };
        forward::response(&mut response);
        match upgrade {
            Some(upgrade) => upgrade.conclude(&mut response, protocol, &self.tunnels),
            None if switching => {
                return Err(Error::new(Kind::UpstreamInvalid).cause("a 101 that nobody asked for"));
            }
            None => {}
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

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::QUERY
    )
}
