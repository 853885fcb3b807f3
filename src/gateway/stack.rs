//! The one function that orders the layers of a route.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use http::{Request, Response};
use tower::{Service, ServiceBuilder};

use super::{Gateway, endpoint::Endpoint};
use crate::{
    body::Body,
    compose::Custody,
    id::RouteId,
    policy::{catch_panic::CatchPanicLayer, respond::RespondLayer},
    upstream::Upstreams,
};

/// A route's layers around its endpoint, with the type erased. A call makes one allocation.
pub(super) struct Stack(Box<dyn Erased>);

/// Builds a route's stack for one worker.
pub(super) fn build(
    gateway: Arc<Gateway>,
    route: RouteId,
    upstreams: &Arc<Upstreams>,
    custody: &Arc<Custody>,
) -> Stack {
    let service = ServiceBuilder::new()
        // Outermost: whatever fails below, one layer answers.
        .layer(RespondLayer)
        // Inside it, so that a panic is answered like any failure.
        .layer(CatchPanicLayer)
        .service(Endpoint::new(gateway, route, Arc::clone(upstreams), Arc::clone(custody)));
    Stack(Box::new(service))
}

/// What a call of a stack gives.
pub(super) type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

trait Erased: Send + Sync {
    fn call(&self, request: Request<Body>) -> Answer;
}

// === impl Stack ===

impl Stack {
    pub(super) fn call(&self, request: Request<Body>) -> Answer {
        self.0.call(request)
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
    fn call(&self, request: Request<Body>) -> Answer {
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
