//! A byte stream that lets a codec read and write HTTP/2 until the client floods it.
//!
//! Then the client is told so at the next frame's boundary, if the kernel takes that at once, and the
//! stream ends for the codec.
//!
//! The codec reads as long as there is something, and writes what that led to afterwards. So that what
//! it writes is seen in time, it gets a pause after some frames.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{
    super::io_watch::Activity,
    flood::{Blame, Flood},
};
use crate::{
    frames::GOAWAY,
    telemetry::{Instruments, Refusal},
};

/// RFC 9113 §7.
const PROTOCOL_ERROR: u32 = 0x1;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Frames of the client that the codec reads before it is made to write.
const FRAMES: u32 = 100;

/// See the module.
pub(in crate::server) struct Guard<S> {
    stream: S,
    flood: Flood,
    activity: Arc<Activity>,
    instruments: Arc<Instruments>,
    /// Found while writing; the next read ends the connection for it.
    condemned: Option<Refusal>,
    /// Why no more is read and written.
    refusal: Option<Refusal>,
}

// === impl Guard ===

impl<S> Guard<S> {
    pub(super) fn new(
        stream: S,
        flood: Flood,
        activity: Arc<Activity>,
        instruments: Arc<Instruments>,
    ) -> Self {
        Self { stream, flood, activity, instruments, condemned: None, refusal: None }
    }
}

fn end<T>(refusal: Refusal) -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, refusal.as_str())))
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    /// Ends the connection for what its client did.
    fn refuse(&mut self, refusal: Refusal, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.refusal = Some(refusal);
        self.instruments.refused(refusal);
        tracing::debug!(reason = refusal.as_str(), "an HTTP/2 connection is cut");
        if self.flood.own_at_boundary() {
            let code = if refusal == Refusal::MalformedTrailers { PROTOCOL_ERROR } else { ENHANCE_YOUR_CALM };
            let [s0, s1, s2, s3] = self.flood.last_stream().to_be_bytes();
            let [c0, c1, c2, c3] = code.to_be_bytes();
            let frame = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, s0, s1, s2, s3, c0, c1, c2, c3];
            // A client that floods and does not read is not waited for.
            let _ = Pin::new(&mut self.stream).poll_write(cx, &frame);
        }
        end(refusal)
    }

    /// Looks at what was written: the first `len` bytes of these.
    fn wrote(&mut self, slices: &[io::IoSlice<'_>], mut len: usize, cx: &Context<'_>) {
        let now = Instant::now();
        for slice in slices {
            let part = &slice[..slice.len().min(len)];
            len -= part.len();
            match self.flood.written(part, now) {
                Ok(Blame::Nothing) => {}
                Ok(Blame::Stream) => self.instruments.refused(Refusal::MalformedStream),
                Ok(Blame::Connection) => self.instruments.refused(Refusal::MalformedConnection),
                // Another frame may follow in what the codec has begun to write, so a read ends it.
                Err(refusal) => {
                    self.condemned = Some(refusal);
                    cx.waker().wake_by_ref();
                }
            }
            if len == 0 {
                return;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(refusal) = this.refusal {
            return end(refusal);
        }
        if let Some(refusal) = this.condemned {
            return this.refuse(refusal, cx);
        }
        if this.flood.pause_after(FRAMES) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if let Err(refusal) = this.flood.read(&buffer.filled()[before..], Instant::now()) {
            // The codec sees nothing of it.
            buffer.set_filled(before);
            return this.refuse(refusal, cx);
        }
        for (at, other) in this.flood.mended() {
            buffer.filled_mut()[before + at] = other;
        }
        if this.flood.client_at_boundary() {
            this.activity.no_head_is_awaited();
        } else {
            this.activity.head_is_awaited();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(refusal) = this.refusal {
            return end(refusal);
        }
        let len = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.wrote(&[io::IoSlice::new(bytes)], len, cx);
        Poll::Ready(Ok(len))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(refusal) = this.refusal {
            return end(refusal);
        }
        let len = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, slices))?;
        this.wrote(slices, len, cx);
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
