//! A body that streams back has the time of its call, and no more than its route.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::{Body, BodyError};

struct Ending {
    body: Body,
    timer: Pin<Box<Sleep>>,
}

/// The body, which breaks off if it has not ended by then.
pub(super) fn until(end: Instant, body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::other(Ending { body, timer: Box::pin(sleep_until(end)) })
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // First, so that one who never stops sending ends too.
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(BodyError::Stalled)));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
