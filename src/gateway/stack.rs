//! The one function that orders the layers of a route.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use http::{Request, Response};
use tower::{Service, ServiceBuilder, service_fn};

use super::{
    composed::{self, Target},
    proxy::Proxy,
    upgrade::Tunnels,
};
use crate::{
    body::Body,
    error::Error,
    plan,
    policy::{catch_panic::CatchPanicLayer, respond::RespondLayer},
    problem::Kind,
};

/// A route's layers around its endpoint, with the type erased. A call makes one allocation.
pub(super) struct Stack(Box<dyn Erased>);

/// Builds a route's stack for one worker.
pub(super) fn build(target: Target, tunnels: &Arc<Tunnels>) -> Stack {
    match &target.route().endpoint {
        plan::Endpoint::Compose { .. } => layered(service_fn(move |request| target.clone().compose(request))),
        plan::Endpoint::Proxy { composition, proxy, errors } => {
            let computed = composition.is_some()
                || proxy.path.is_some()
                || proxy.query.is_some()
                || !proxy.set.is_empty()
                || !errors.is_empty();
            let proxy = Proxy { target, tunnels: Arc::clone(tunnels) };
            if computed {
                layered(service_fn(move |request| proxy.clone().run(request)))
            } else {
                layered(service_fn(move |request| proxy.clone().forward(request)))
            }
        }
        plan::Endpoint::Static(_) => layered(service_fn(move |_| {
            let answer = match &target.route().endpoint {
                plan::Endpoint::Static(answer) => Ok(composed::fixed(answer)),
                plan::Endpoint::Compose { .. } | plan::Endpoint::Proxy { .. } => Err(Kind::Internal.into()),
            };
            std::future::ready(answer)
        })),
    }
}

/// The order of the layers, from the outside in.
fn layered<S>(endpoint: S) -> Stack
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let service = ServiceBuilder::new()
        // Outermost: whatever fails below, one layer answers.
        .layer(RespondLayer)
        // Inside it, so that a panic is answered like any failure.
        .layer(CatchPanicLayer)
        .service(endpoint);
    Stack(Box::new(service))
}

/// What a call of a stack gives.
pub(super) type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

trait Erased: Send + Sync {
    fn answer(&self, request: Request<Body>) -> Answer;
}

// === impl Stack ===

impl Stack {
    pub(super) fn call(&self, request: Request<Body>) -> Answer {
        self.0.answer(request)
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stack")
    }
}

impl<S> Erased for S
where
    S: Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    fn answer(&self, request: Request<Body>) -> Answer {
        // Layers hold their state behind one `Arc`, so this is a few counters of this core.
        let mut service = self.clone();
        Box::pin(async move {
            // No layer waits in `poll_ready`: capacity is decided in `call`.
            let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
            match ready {
                Ok(()) => {}
                Err(never) => match never {},
            }
            match service.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}
