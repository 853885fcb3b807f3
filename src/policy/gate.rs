//! What the layers that let a request pass or refuse it have in common: the future of their answer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;

use crate::{body::Body, error::Error, problem::Kind};

pin_project! {
    /// The answer of the inner service, or why it was not asked.
    #[project = ResponseFutureProj]
    #[derive(Debug)]
    #[allow(missing_docs, reason = "the macro takes no documentation on the fields of a variant")]
    pub enum ResponseFuture<F> {
        /// The request has gone on.
        Admitted { #[pin] future: F },
        /// It has not.
        Refused { error: Option<Error> },
    }
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    /// The request goes on.
    pub(super) const fn admitted(future: F) -> Self {
        Self::Admitted { future }
    }

    /// It does not.
    pub(super) const fn refused(error: Error) -> Self {
        Self::Refused { error: Some(error) }
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProj::Admitted { future } => future.poll(cx),
            ResponseFutureProj::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| Kind::Internal.into())))
            }
        }
    }
}
