//! A body that streams back: it has the time of its call, and no more than its route, and the call's record is
//! told how it ended.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    body::{Body, BodyError, Watch},
    telemetry::Trail,
    upstream::broken_body,
};

struct Ending {
    body: Body,
    timer: Pin<Box<Sleep>>,
    /// What ends then is the request, not the call alone.
    overdue: bool,
}

/// The body, which breaks off if it has not ended when its call's time is over, or its route's.
pub(super) fn until((call, route): (Instant, Instant), body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let timer = Box::pin(sleep_until(call.min(route)));
    Body::other(Ending { body, timer, overdue: route <= call })
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
            let over = if self.overdue { BodyError::Overdue } else { BodyError::Late };
            return Poll::Ready(Some(Err(over)));
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

/// Tells a call's record what becomes of its body.
struct Told {
    trail: Trail,
    bytes: u64,
    ended: bool,
}

/// The body, of whose end the call's record is told.
pub(super) fn told(trail: &Trail, body: Body) -> Body {
    trail.begins_stream();
    body.watched(Box::new(Told { trail: trail.clone(), bytes: 0, ended: false }))
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Watch for Told {
    fn data(&mut self, len: usize) {
        self.bytes += len as u64;
    }

    fn end(mut self: Box<Self>, outcome: Result<(), &BodyError>) {
        // Its client broke off the upload that goes with it, and has left.
        if matches!(outcome, Err(BodyError::Client(_))) {
            return;
        }
        self.ended = true;
        self.trail.ends_stream(self.bytes, outcome.map_err(|error| broken_body(error).kind()), now());
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.ended {
            self.trail.leaves_stream(self.bytes, now());
        }
    }
}
