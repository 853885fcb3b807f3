//! Calls that nobody waits for any more and that are left to end, because one more reset would be too
//! many for their connection.
//!
//! They end by themselves: after a time, or after more bytes than an answer is likely to have left, they
//! are cancelled after all.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

use super::{Head, Stream, fields};
use crate::body::BodyError;

const PATIENCE: Duration = Duration::from_secs(30);
const MOST: usize = 1 << 20;

/// Leaves a call to end whose answer has not begun.
pub(super) fn head(head: Head, stream: Stream) {
    leave(async move {
        if let Ok(response) = head.await {
            drain(response.into_body(), stream).await;
        }
    });
}

fn leave(call: impl Future<Output = ()> + Send + 'static) {
    // Without a runtime the worker ends, and the connection with it.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(timeout(PATIENCE, call));
    }
}

async fn drain(mut body: Incoming, stream: Stream) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MOST {
            break;
        }
    }
    drop((body, stream));
}

/// An answer's body. Holds its call until it has ended.
pub(super) struct Answer(Option<(Incoming, Stream)>);

// === impl Answer ===

impl Answer {
    pub(super) const fn new(body: Incoming, stream: Stream) -> Self {
        Self(Some((body, stream)))
    }
}

/// Trailers that HTTP/1 could not say are none.
fn judged(frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
    match frame.trailers_ref().and_then(fields::of_trailers) {
        Some(why) => Err(BodyError::Peer(io::Error::new(io::ErrorKind::InvalidData, why))),
        None => Ok(frame),
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some((body, _)) = &mut this.0 else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        // The codec takes a reset without an error for an end. It is one only after END_STREAM (RFC 9113 §8.1).
        let frame = match frame {
            None if !body.is_end_stream() => Some(Err(BodyError::Peer(io::ErrorKind::UnexpectedEof.into()))),
            frame => frame.map(|frame| frame.map_err(BodyError::Hyper).and_then(judged)),
        };
        let ended = match &frame {
            Some(Ok(frame)) => frame.is_trailers() || body.is_end_stream(),
            Some(Err(_)) | None => true,
        };
        if ended {
            this.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some((body, stream)) = self.0.take()
            && !body.is_end_stream()
            && stream.is_left()
        {
            leave(drain(body, stream));
        }
    }
}
