//! Endpoints that need no upstream of their own: composed answers and fixed ones.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::time::Instant;

use super::Gateway;
use crate::{
    body::Body,
    compose::{self, Call, Runner},
    error::Error,
    head,
    id::RouteId,
    plan::{Route, StaticAnswer},
    problem::Kind,
    telemetry::Exchange,
    upstream::Upstreams,
};

/// A route as its endpoint needs it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) gateway: Arc<Gateway>,
    pub(super) id: RouteId,
    pub(super) runner: Runner<Upstreams>,
    /// A layer in front of the endpoint may wait, and what it takes is the route's time.
    pub(super) waits: bool,
}

// === impl Target ===

impl Target {
    pub(super) fn route(&self) -> &Route {
        &self.gateway.plan.routes[self.id.index()]
    }

    /// How long the endpoint has.
    pub(super) fn timeout(&self, exchange: &Exchange) -> Duration {
        if self.waits { exchange.remaining() } else { exchange.timeout }
    }

    /// Runs the steps and shapes the answer.
    pub(super) async fn compose(
        self: Arc<Self>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        let exchange = exchange_of(&mut request)?;
        let call = self.call(exchange, request)?;
        compose::run(self.runner.clone(), call).await
    }

    /// What an execution needs of a request.
    pub(super) fn call(&self, exchange: Arc<Exchange>, request: Request<Body>) -> Result<Call, Error> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let decoded = exchange.captures.iter().map(|range| head::captured(path, *range).map(Into::into));
        let captures = decoded
            .collect::<Option<_>>()
            .ok_or_else(|| Error::new(Kind::BadRequest).detail("the path is not UTF-8"))?;
        let (left, timeout) = (self.timeout(&exchange), exchange.timeout);
        Ok(Call {
            plan: Arc::clone(&self.gateway.plan),
            route: self.id,
            upstreams: Arc::clone(&self.gateway.upstreams),
            exchange,
            head,
            captures,
            body,
            deadline: Instant::now() + left,
            timeout,
        })
    }
}

/// The record of a request, which its way into the stack gave it.
pub(super) fn exchange_of(request: &mut Request<Body>) -> Result<Arc<Exchange>, Error> {
    let exchange = request.body_mut().unload::<Exchange>();
    exchange.ok_or_else(|| Error::new(Kind::Internal).cause("a request without a record"))
}

/// The answer of a static route.
pub(super) fn fixed(answer: &StaticAnswer) -> Response<Body> {
    let mut response = Response::new(Body::full(answer.body.clone()));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers.clone();
    response
}
