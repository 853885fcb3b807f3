//! Ends a request that is still on its way to its endpoint when its route's time is over: `timeout`.
//!
//! The endpoint keeps the time from then on, more precisely: it names the step that ran, and spares calls that
//! may not be cut. So the timer is set only where a layer in front of it waits, for keys for example.
//!
//! Differs from tower's `Timeout` in that, in its error, and in that it begins with the request's head. Place
//! it outside of whatever waits.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service};

use crate::{body::Body, error::Error, problem::Kind, telemetry::Exchange};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineLayer;

/// See the module.
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
}

/// Stands right in front of the endpoint, and notes that a request got there.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArrivedLayer;

/// See the layer.
#[derive(Clone, Debug)]
pub struct Arrived<S> {
    inner: S,
}

pin_project! {
    /// The answer, or the end of the time.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        exchange: Option<Arc<Exchange>>,
        // Boxed, since hardly any request waits.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

// === impl DeadlineLayer ===

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner }
    }
}

// === impl Deadline ===

impl<S> Service<Request<Body>> for Deadline<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let exchange = request.body().carried::<Exchange>();
        ResponseFuture { future: self.inner.call(request), exchange, timer: None }
    }
}

// === impl ResponseFuture ===

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.future.poll(cx) {
            return Poll::Ready(answer);
        }
        let Some(exchange) = this.exchange.as_ref().filter(|exchange| !exchange.arrived.load(Relaxed)) else {
            return Poll::Pending;
        };
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(exchange.remaining())));
        timer.as_mut().poll(cx).map(|()| Err(Kind::DeadlineExceeded.into()))
    }
}

// === impl Arrived ===

impl<S> Layer<S> for ArrivedLayer {
    type Service = Arrived<S>;

    fn layer(&self, inner: S) -> Arrived<S> {
        Arrived { inner }
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Arrived<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(exchange) = request.body().cargo::<Exchange>() {
            exchange.arrived.store(true, Relaxed);
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;
    use crate::policy::testing::{exchange, request};

    #[tokio::test(start_paused = true)]
    async fn a_layer_that_waits_is_cut_at_the_routes_time_and_an_endpoint_is_not() {
        let begun = tokio::time::Instant::now();
        for (waits, expected) in [(true, Err(Kind::DeadlineExceeded)), (false, Ok(()))] {
            let endpoint = service_fn(|_: Request<Body>| async {
                sleep(Duration::from_secs(9)).await;
                Ok::<_, Error>(Response::new(Body::empty()))
            });
            let endpoint = tower::util::option_layer((!waits).then_some(ArrivedLayer)).layer(endpoint);
            let service = ServiceBuilder::new().layer(DeadlineLayer).service(endpoint);
            let mut exchange = exchange();
            exchange.timeout = Duration::from_secs(2);
            let outcome = service.oneshot(request("GET /", exchange)).await;
            assert_eq!(outcome.map(|_| ()).map_err(|error| error.kind()), expected);
        }
        assert_eq!(begun.elapsed().as_secs(), 11);
    }
}
