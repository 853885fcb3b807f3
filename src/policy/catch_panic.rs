//! Turns a panic of a route into an error, so that its client gets an answer.
//!
//! Differs from tower-http's layer in what it gives: our [`Error`], which `respond` renders like any
//! other, instead of a response of its own. Place it inside `respond` and outside everything that
//! may be wrong. The panic's text is logged and never shown.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{body::Body, error::Error, problem::Kind};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanicLayer;

/// See the module.
#[derive(Clone, Debug)]
pub struct CatchPanic<S> {
    inner: S,
}

pin_project! {
    /// The answer, or the error that stands for a panic.
    #[project = ResponseFutureProj]
    #[derive(Debug)]
    #[allow(missing_docs, reason = "the macro takes no documentation on the fields of a variant")]
    pub enum ResponseFuture<F> {
        /// The inner service took the call.
        Called { #[pin] future: F },
        /// It panicked at once.
        Panicked { error: Option<Error> },
    }
}

// === impl CatchPanicLayer ===

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner }
    }
}

// === impl CatchPanic ===

impl<S> Service<Request<Body>> for CatchPanic<S>
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
        match catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) {
            Ok(future) => ResponseFuture::Called { future },
            Err(panic) => ResponseFuture::Panicked { error: Some(error(&*panic)) },
        }
    }
}

// === impl ResponseFuture ===

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProj::Called { future } => {
                match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                    Ok(poll) => poll,
                    Err(panic) => Poll::Ready(Err(error(&*panic))),
                }
            }
            ResponseFutureProj::Panicked { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| Kind::Internal.into())))
            }
        }
    }
}

fn error(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::new(Kind::Internal).cause(format_args!("panic: {}", text.unwrap_or("not a text")))
}

#[cfg(test)]
mod tests {
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_internal_error_that_keeps_its_text_private() {
        let service = ServiceBuilder::new().layer(CatchPanicLayer).service(service_fn(|_| async {
            if fastrand::u8(..) == 0 {
                return Ok(Response::new(Body::empty()));
            }
            panic!("secret");
        }));
        let mut outcome = service.clone().oneshot(Request::new(Body::empty())).await;
        while outcome.is_ok() {
            outcome = service.clone().oneshot(Request::new(Body::empty())).await;
        }
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
        assert!(!error.to_string().contains("secret"));
        assert!(error.private_cause().unwrap().contains("secret"));
    }
}
