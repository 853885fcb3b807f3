//! A request's body on its way to an HTTP/2 upstream: any [`Body`], with trailers that may not go on
//! taken out. The codec takes trailers from the body itself.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{
    body::{Body, BodyError},
    headers::sanitize_request_trailers,
};

/// See the module.
pub(super) struct Upload(Body);

// === impl Upload ===

impl Upload {
    /// Wraps a body that may have trailers, which those in memory have not.
    pub(super) fn wrap(body: &mut Body) {
        if !body.is_end_stream() && body.copy().is_none() {
            *body = Body::other(Self(std::mem::take(body)));
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = ready!(Pin::new(&mut self.get_mut().0).poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            sanitize_request_trailers(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
