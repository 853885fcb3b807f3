//! `Expect: 100-continue`, end to end.
//!
//! The codec writes a request's body as soon as it can read it, and reading the client's body is what
//! makes the server side say 100 to the client. So the body is held until the upstream has said 100:
//! an upstream that refuses by its final answer is never sent the body. After a second without either the
//! body goes out, because old servers know no 100. HTTP/2 upstreams are not waited for: the codec does
//! not show their interim answers.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, StatusCode, header::EXPECT};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

use crate::body::{Body, BodyError};

const PATIENCE: Duration = Duration::from_secs(1);

const HELD: u8 = 0;
const OPEN: u8 = 1;
const DROPPED: u8 = 2;

#[derive(Debug, Default)]
struct Gate {
    state: AtomicU8,
    waker: AtomicWaker,
}

impl Gate {
    fn leave(&self, state: u8) {
        if self.state.compare_exchange(HELD, state, SeqCst, SeqCst).is_ok() {
            self.waker.wake();
        }
    }
}

/// Keeps a call's body held; dropped, it breaks a body that is still held, so that its connection ends.
#[derive(Debug)]
pub(super) struct Hold(Arc<Gate>);

impl Hold {
    /// Whether the body was let go.
    pub(super) fn is_open(&self) -> bool {
        self.0.state.load(SeqCst) == OPEN
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.leave(DROPPED);
    }
}

/// Whether the request has a body and wants to be told to send it.
pub(super) fn applies(request: &Request<Body>) -> bool {
    !request.body().is_end_stream() && request.headers().contains_key(EXPECT)
}

/// Holds the request's body back if it wants that.
pub(super) fn hold(request: &mut Request<Body>) -> Option<Hold> {
    if !applies(request) {
        return None;
    }
    let gate = Arc::new(Gate::default());
    let opens = Arc::clone(&gate);
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() == StatusCode::CONTINUE {
            opens.leave(OPEN);
        }
    });
    let body = std::mem::take(request.body_mut());
    let held = Held { gate: Arc::clone(&gate), body, patience: Box::pin(tokio::time::sleep(PATIENCE)) };
    *request.body_mut() = Body::other(held);
    Some(Hold(gate))
}

struct Held {
    gate: Arc<Gate>,
    body: Body,
    patience: Pin<Box<Sleep>>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.gate.state.load(SeqCst) != OPEN {
            self.gate.waker.register(cx.waker());
            match self.gate.state.load(SeqCst) {
                OPEN => {}
                DROPPED => return Poll::Ready(Some(Err(BodyError::Stalled))),
                _ => {
                    if self.patience.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.gate.leave(OPEN);
                }
            }
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
