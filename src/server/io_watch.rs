//! A client's socket as hyper sees it: bytes read while the protocol was told apart come first, and
//! what happens on it is noted for the watchdog.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Duration, Instant},
};

/// What is known of a connection. One timer per connection looks at it now and then, so that a
/// request sets no timer of its own.
#[derive(Debug)]
pub(super) struct Activity {
    epoch: Instant,
    /// Requests whose answer has not ended.
    in_flight: AtomicU32,
    /// A head has begun to arrive and is not complete.
    partial: AtomicBool,
    /// Milliseconds after `epoch` at which the present state began.
    since: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            in_flight: AtomicU32::new(0),
            partial: AtomicBool::new(false),
            since: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn bytes_came(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 && !self.partial.swap(true, Ordering::Relaxed) {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    pub(super) fn request_began(&self) {
        self.partial.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn request_ended(&self) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long the connection may still stay as it is; `None` when its time is up.
    pub(super) fn patience(&self, head: Duration, idle: Duration) -> Option<Duration> {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return Some(head.min(idle));
        }
        let limit = if self.partial.load(Ordering::Relaxed) { head } else { idle };
        let since = Duration::from_millis(self.since.load(Ordering::Relaxed));
        let left = (since + limit).checked_sub(self.epoch.elapsed())?;
        // A head may begin while the connection waits as idle.
        (!left.is_zero()).then(|| left.min(head))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct ClientIo {
    stream: TokioIo<TcpStream>,
    first: Vec<u8>,
    activity: Arc<Activity>,
}

impl ClientIo {
    /// `first` are bytes that were read already: with them a head has begun.
    pub(super) fn new(stream: TcpStream, first: Vec<u8>, activity: Arc<Activity>) -> Self {
        if !first.is_empty() {
            activity.bytes_came();
        }
        Self { stream: TokioIo::new(stream), first, activity }
    }
}

impl Read for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let len = this.first.len().min(buffer.remaining());
            buffer.put_slice(&this.first[..len]);
            this.first.drain(..len);
            if this.first.is_empty() {
                this.first = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        // The end of the stream counts as well; nothing comes after it.
        if let Poll::Ready(Ok(())) = read {
            this.activity.bytes_came();
        }
        read
    }
}

impl Write for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }
}
