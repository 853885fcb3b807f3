//! A worker's handle on a gateway: its routes' stacks, built when first used, and its pools.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};

use super::{
    Gateway, admission, composed, readings,
    router::{Found, Target},
    stack::{self, Answer, Stack},
    upgrade::Tunnels,
};
use crate::{
    body::{Body, FromClient, pace::Upload},
    compose::Runner,
    error::Error,
    headers::Peer,
    id::RouteId,
    plan::Endpoint,
    policy::{cors, overload::Overload, respond},
    principal::Principal,
    problem::Kind,
    telemetry::{Abort, Exchange, Finish},
    upstream::Upstreams,
};

/// See the module.
#[derive(Debug)]
pub struct Handle {
    gateway: Arc<Gateway>,
    runner: Runner<Upstreams>,
    tunnels: Arc<Tunnels>,
    stacks: Box<[OnceLock<Stack>]>,
    overload: Option<Arc<Overload>>,
}

// === impl Handle ===

impl Handle {
    /// A worker's handle; nothing is built until a route is asked for.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, runner: Runner<Upstreams>, tunnels: Arc<Tunnels>) -> Self {
        let stacks = gateway.plan.routes.iter().map(|_| OnceLock::new()).collect();
        Self { gateway, runner, tunnels, stacks, overload: None }
    }

    /// With how much its worker has to do, for the sake of which requests are shed.
    #[must_use]
    pub fn shedding(mut self, overload: &Arc<Overload>) -> Self {
        self.overload = Some(Arc::clone(overload));
        self
    }

    /// The handle on the gateway that a reload has put in place of this one's. Connections to services that are
    /// gone close; requests under way keep theirs to their end.
    #[must_use]
    pub fn succeeded_by(&self, gateway: Arc<Gateway>) -> Self {
        self.runner.caller.retain(&gateway.upstreams);
        let next = Self::new(gateway, self.runner.clone(), Arc::clone(&self.tunnels));
        Self { overload: self.overload.clone(), ..next }
    }

    /// The generation it serves.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.gateway.generation
    }

    /// The gateway it serves.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Takes a request in: admits it, finds its route, and starts the answer. Nothing here waits, so that
    /// the request moves straight into its route's future and no outer future carries it.
    #[must_use]
    pub fn begin(&self, request: Request<FromClient>, peer: &Arc<Peer>) -> Begun {
        let limits = &self.gateway.plan.gateway.limits;
        // gRPC is two-way: a server may send its head with the first message, however late that is.
        let two_way = !request.body().is_end_stream() && respond::is_grpc(request.headers());
        let rate = (!two_way).then_some(limits.body_rate);
        self.take(request.map(|body| Body::of_client(body, rate)), peer, None)
    }

    /// As [`Self::begin`], of a request that no connection brought, perhaps from somebody who is known already:
    /// no policy asks them who they are.
    #[must_use]
    pub fn take(
        &self,
        mut request: Request<Body>,
        peer: &Arc<Peer>,
        principal: Option<Arc<Principal>>,
    ) -> Begun {
        let settings = &self.gateway.plan.gateway;
        let http1 = request.version() < Version::HTTP_2;
        let upload = request.body().upload();
        let mut exchange = admission::exchange(&request, peer, settings);
        if let Some(principal) = principal {
            exchange.principal = principal.into();
        }
        let malformed = request.body().malformed();
        let mut routed = self.route(&mut request, &mut exchange);
        if let (Ok(_), Some(why)) = (&routed, malformed) {
            routed = Err(Error::new(Kind::BadRequest).detail(why));
        }
        let exchange = Arc::new(exchange);
        let instruments = Arc::clone(&self.gateway.instruments);
        let finish = Finish::new(Arc::clone(&exchange), instruments, upload.clone());
        let answer = match routed {
            Ok(Routed::Stack(stack)) => {
                request.body_mut().carry(exchange);
                stack.call(request)
            }
            Ok(Routed::Nothing) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                stack::ready(response)
            }
            Err(error) => {
                let grpc = respond::is_grpc(request.headers());
                stack::ready(respond::answer(&error, Some(&exchange), grpc))
            }
        };
        Begun { answer, finish, upload, http1 }
    }

    /// Answers a request that was refused before it could be read.
    #[must_use]
    pub fn refuse(&self, peer: &Arc<Peer>, error: &Error) -> Begun {
        let unread = Request::new(());
        let mut exchange = admission::exchange(&unread, peer, &self.gateway.plan.gateway);
        if let Some((unrouted, _)) = &self.gateway.sampling {
            exchange.trace.decide(*unrouted);
        }
        let exchange = Arc::new(exchange);
        let finish = Finish::new(Arc::clone(&exchange), Arc::clone(&self.gateway.instruments), None);
        Begun {
            answer: stack::ready(respond::answer(error, Some(&exchange), false)),
            finish,
            upload: None,
            http1: true,
        }
    }

    /// Refuses a path that a server behind this proxy route may read as one of another route, or of none. Only
    /// a path that goes on as it came can be read anew: what an expression puts in is encoded.
    fn must_be_one(&self, target: &Target<'_>, id: RouteId) -> Result<(), Error> {
        let Endpoint::Proxy { proxy, .. } = &self.gateway.plan.routes[id.index()].endpoint else {
            return Ok(());
        };
        if proxy.path.is_some() {
            return Ok(());
        }
        for path in readings::of(target.path) {
            match self.gateway.router.find(&Target { path: &path, ..*target }) {
                Found::Route(other, _) if other == id => {}
                _ => {
                    let detail = "servers read this path in different ways, and routes differ by them";
                    return Err(Error::new(Kind::BadRequest).detail(detail));
                }
            }
        }
        Ok(())
    }

    fn target(&self, id: RouteId) -> composed::Target {
        let waits = self.gateway.plan.routes[id.index()].policies.may_wait();
        composed::Target { gateway: Arc::clone(&self.gateway), id, runner: self.runner.clone(), waits }
    }

    fn route(&self, request: &mut Request<Body>, exchange: &mut Exchange) -> Result<Routed<'_>, Error> {
        if let Some((unrouted, _)) = &self.gateway.sampling {
            exchange.trace.decide(*unrouted);
        }
        (exchange.host, exchange.port) = admission::admit(request, exchange, &self.gateway.plan.gateway)?;
        exchange.target = request.uri().path_and_query().cloned();
        if request.uri().path() == "*" || admission::has_gone_far_enough(request) {
            return Ok(Routed::Nothing);
        }
        // A preflight is answered by the route of the method that it asks about, if that has rules for it.
        let asked = cors::preflight(request.method(), request.headers());
        let mut target = Target {
            host: &exchange.host,
            method: request.method(),
            path: request.uri().path(),
            query: request.uri().query(),
            headers: request.headers(),
        };
        let mut found = self.gateway.router.find(&target);
        if let Some(asked) = &asked {
            let other = Target { method: asked, ..target };
            let by_it = self.gateway.router.find(&other);
            if let Found::Route(id, _) = &by_it
                && self.gateway.plan.routes[id.index()].policies.cors.is_some()
            {
                (target, found) = (other, by_it);
            }
        }
        match found {
            Found::Route(id, captures) => {
                if !captures.is_empty() {
                    self.must_be_one(&target, id)?;
                }
                exchange.record().route = Some(Arc::clone(&self.gateway.routes[id.index()]));
                exchange.captures = captures;
                if let Some((_, by_route)) = &self.gateway.sampling {
                    exchange.trace.decide(by_route[id.index()]);
                }
                let own = self.gateway.plan.routes[id.index()].timeout;
                exchange.timeout = exchange.given.map_or(own, |given| given.min(own));
                Ok(Routed::Stack(
                    self.stacks[id.index()]
                        .get_or_init(|| stack::build(self.target(id), &self.tunnels, self.overload.as_ref())),
                ))
            }
            Found::MethodNotAllowed(methods) => {
                let allow = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                let error = Error::new(Kind::MethodNotAllowed);
                Err(match HeaderValue::try_from(allow) {
                    Ok(allow) => error.header(header::ALLOW, allow),
                    Err(_) => error,
                })
            }
            Found::Nothing => Err(Kind::NotFound.into()),
        }
    }
}

/// A request whose answer is under way.
#[derive(Debug)]
pub struct Begun {
    answer: Answer,
    finish: Finish,
    upload: Option<Arc<Upload>>,
    http1: bool,
}

// === impl Begun ===

impl Begun {
    /// The request's record.
    #[must_use]
    pub fn exchange(&self) -> &Arc<Exchange> {
        self.finish.exchange()
    }

    /// The answer. The second value writes the request's signals when it is dropped, the third follows a body
    /// that is still to come.
    pub async fn answer(mut self) -> (Response<Body>, Finish, Option<Arc<Upload>>) {
        let response = std::future::poll_fn(|cx| self.poll_answer(cx)).await;
        (response, self.finish, self.upload)
    }

    /// The same for who polls it: the answer, once.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let mut response = match ready!(Pin::new(&mut self.answer).poll(cx)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if let Some(upload) = &self.upload {
            let late = upload.is_awaited() && response.status() == StatusCode::REQUEST_TIMEOUT;
            if self.http1 && (late || upload.is_too_slow() || upload.is_broken()) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            upload.answered();
            // Its stream is no more, and what was made of that goes nowhere.
            if !self.http1 && upload.is_broken() {
                self.finish.aborts(Abort::ClientGone);
                return Poll::Ready(response);
            }
        }
        self.finish.answered(response.status());
        Poll::Ready(response)
    }

    /// What is left once the answer is there, as [`Self::answer`] gives it.
    #[must_use]
    pub fn into_parts(self) -> (Finish, Option<Arc<Upload>>) {
        (self.finish, self.upload)
    }
}

enum Routed<'a> {
    Stack(&'a Stack),
    /// `OPTIONS *` asks about the gateway itself.
    Nothing,
}
