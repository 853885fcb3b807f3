//! A client's socket as the codecs see it: bytes read while the protocol was told apart come first, and
//! what happens on it is noted for the watchdog.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Duration, Instant},
};

use super::{connection::Limits, gather, http1::link::Link, socket::Socket, worker::Open};
use crate::telemetry::Abort;

/// How long a connection of HTTP/1 is idle before the codec does without it.
const REST: Duration = Duration::from_secs(5);

/// How long a connection is emptied after its last answer.
const LINGER: Duration = Duration::from_secs(2);

/// Values of [`Activity`]'s `cut`.
const IDLE: u8 = 1;
const STALLED: u8 = 2;

/// What is known of a connection. One timer per connection looks at it now and then, so that a
/// request sets no timer of its own.
#[derive(Debug)]
pub(super) struct Activity {
    epoch: Instant,
    /// Requests whose answer has not ended.
    in_flight: AtomicU32,
    /// Those of them whose answer has begun.
    answering: AtomicU32,
    /// Reads and writes that moved something; wraps around.
    moves: AtomicU32,
    /// Why an answer that had begun was cut: nothing moved any more, or its client took nothing.
    cut: AtomicU8,
    /// A head has begun to arrive and is not complete.
    partial: AtomicBool,
    /// Milliseconds after `epoch` at which the present state began.
    since: AtomicU64,
    /// Milliseconds after `epoch`, plus one, since when the client takes nothing of what is written; 0
    /// when nothing waits.
    blocked: AtomicU64,
    /// What the reader of HTTP/1 and the others tell each other.
    pub(super) http1: Link,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            in_flight: AtomicU32::new(0),
            answering: AtomicU32::new(0),
            moves: AtomicU32::new(0),
            cut: AtomicU8::new(0),
            partial: AtomicBool::new(false),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            http1: Link::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Over HTTP/2: what came has left a frame or a header block that is not whole.
    pub(super) fn head_is_awaited(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 && !self.partial.swap(true, Ordering::Relaxed) {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// What came ended no head but is no part of one either.
    pub(super) fn no_head_is_awaited(&self) {
        self.partial.store(false, Ordering::Relaxed);
    }

    pub(super) fn request_began(&self) {
        self.partial.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer's head is there, and its body comes as it comes.
    pub(super) fn answer_began(&self) {
        self.answering.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn request_ended(&self, answering: bool) {
        if answering {
            self.answering.fetch_sub(1, Ordering::Relaxed);
        }
        self.since.store(self.now(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Why the connection was cut, if it was.
    pub(super) fn cut(&self) -> Option<Abort> {
        match self.cut.load(Ordering::Relaxed) {
            IDLE => Some(Abort::IdleTimeout),
            STALLED => Some(Abort::WriteStall),
            _ => None,
        }
    }

    fn moved(&self) {
        // The connection's task alone writes it.
        self.moves.store(self.moves.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    fn wrote(&self, progress: bool) {
        if progress {
            self.moved();
        }
        let blocked = self.blocked.load(Ordering::Relaxed) > 0;
        if blocked == progress {
            let since = if progress { 0 } else { self.now() + 1 };
            self.blocked.store(since, Ordering::Relaxed);
        }
    }

    /// Over TLS a write may have been taken that the client's end does not take.
    fn flushed(&self, whole: bool) {
        if !whole || self.blocked.load(Ordering::Relaxed) > 0 {
            self.wrote(whole);
        }
    }

    pub(super) fn is_answering(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Bytes of HTTP/1 came; whether they leave a head that is not whole, or nothing that is under way.
    pub(super) fn judged(&self, head_has_begun: bool, between: bool) {
        // A head's time runs from its first byte: those that follow do not begin another one.
        let had_begun = self.partial.load(Ordering::Relaxed);
        if head_has_begun && !had_begun {
            self.since.store(self.now(), Ordering::Relaxed);
        }
        if head_has_begun != had_begun {
            self.partial.store(head_has_begun, Ordering::Relaxed);
        }
        self.http1.judged(head_has_begun, between);
    }

    /// Whether a connection of HTTP/1 has been idle for so long that the codec should not keep it.
    pub(super) fn may_rest(&self) -> bool {
        let since = Duration::from_millis(self.since.load(Ordering::Relaxed));
        !self.is_answering()
            && self.blocked.load(Ordering::Relaxed) == 0
            && self.http1.is_between()
            && since + REST <= self.epoch.elapsed()
    }

    /// How long an idle connection may stay; `None` when its time is up.
    pub(super) fn idle(&self, idle: Duration) -> Option<Duration> {
        rest(self.since.load(Ordering::Relaxed), idle, self.epoch.elapsed())
    }

    /// The connection's time is up. Whether it is for a head that is late, which is to be answered then.
    pub(super) fn expire(&self) -> bool {
        !self.is_answering() && self.blocked.load(Ordering::Relaxed) == 0 && self.http1.expire()
    }

    /// How long the connection may still stay as it is; `None` when its time is up. `quiet` is what the last
    /// look has seen.
    pub(super) fn patience(&self, limits: &Limits, quiet: &mut Quiet) -> Option<Duration> {
        let (head, idle, stall) = (limits.header_timeout, limits.idle_timeout, limits.write_stall);
        let now = self.epoch.elapsed();
        // Whatever begins while this waits is looked at in time. What moved is noticed at a look, and counts from then
        // on, so that an idle connection is cut late by the time between two of them.
        let mut left = head.min(look(idle)).min(REST);
        if !stall.is_zero() {
            left = left.min(stall);
            if let Some(since) = self.blocked.load(Ordering::Relaxed).checked_sub(1) {
                let Some(rest) = rest(since, stall, now) else {
                    self.cut.store(STALLED, Ordering::Relaxed);
                    return None;
                };
                left = left.min(rest);
            }
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        if in_flight == 0 {
            let limit = if self.http1.is_lingering() {
                LINGER
            } else if self.partial.load(Ordering::Relaxed) || self.http1.has_begun() {
                head
            } else {
                idle
            };
            let since = self.since.load(Ordering::Relaxed);
            left = left.min(rest(since, limit, now)?);
            if self.http1.is_between() {
                left = left.min(rest(since, REST, now).unwrap_or(REST));
            }
            return Some(left);
        }
        let moves = self.moves.load(Ordering::Relaxed);
        // Until its head, an answer is bounded by its route's timeout.
        if moves != quiet.moves || in_flight != self.answering.load(Ordering::Relaxed) {
            *quiet = Quiet { moves, since: self.now() };
        }
        let Some(rest) = rest(quiet.since, idle, now) else {
            self.cut.store(IDLE, Ordering::Relaxed);
            return None;
        };
        Some(left.min(rest))
    }
}

/// Since when, in milliseconds after the epoch, nothing has moved on a connection.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    moves: u32,
    since: u64,
}

/// How long nothing is looked at of what may be idle for so long.
pub(super) fn look(idle: Duration) -> Duration {
    (idle / 4).max(Duration::from_millis(1))
}

/// What is left of a limit on something that began so many milliseconds after the epoch.
fn rest(since: u64, limit: Duration, now: Duration) -> Option<Duration> {
    (Duration::from_millis(since) + limit).checked_sub(now).filter(|left| !left.is_zero())
}

/// See the module.
#[derive(Debug)]
pub(super) struct ClientIo {
    stream: Socket,
    first: Vec<u8>,
    activity: Arc<Activity>,
    /// After an upgrade the socket outlives the connection, and counts for as long as it is open.
    _open: Open,
}

impl ClientIo {
    /// `first` are bytes that were read already: with them a head has begun.
    pub(super) fn new(stream: Socket, first: Vec<u8>, activity: Arc<Activity>, open: Open) -> Self {
        if !first.is_empty() {
            activity.partial.store(true, Ordering::Relaxed);
        }
        Self { stream, first, activity, _open: open }
    }
}

impl ClientIo {
    /// Waits until there is something to read, the end included.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// The client is to see that what it has got is not all.
    pub(super) fn reset_on_close(&self) {
        let _ = SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO));
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
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
            this.activity.moved();
        }
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.activity.wrote(written.is_ready());
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.activity.flushed(flushed.is_ready());
        flushed
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
        let this = self.get_mut();
        let written = gather::poll_write(Pin::new(&mut this.stream), cx, slices);
        this.activity.wrote(written.is_ready());
        written
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.activity.blocked.load(Ordering::Relaxed) > 0 {
            // The client takes nothing: a reset, or the kernel would go on offering what it holds for minutes.
            self.reset_on_close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quiet_answer_is_cut_at_most_a_quarter_late() {
        let limits = Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(4),
            write_stall: Duration::ZERO,
            uri_bytes: 8192,
            header_bytes: 32_768,
            headers: 100,
        };
        for moved_at in [0, 900, 1100, 3900] {
            let (activity, mut quiet) = (Activity::new(), Quiet::default());
            activity.request_began();
            activity.answer_began();
            let mut moved = false;
            let late = loop {
                let Some(left) = activity.patience(&limits, &mut quiet) else {
                    break activity.now() - moved_at;
                };
                let next = activity.now() + left.as_millis() as u64;
                if !moved && next > moved_at {
                    tokio::time::advance(Duration::from_millis(moved_at - activity.now())).await;
                    activity.moved();
                    moved = true;
                }
                tokio::time::advance(Duration::from_millis(next - activity.now())).await;
            };
            assert!((4000..=5000).contains(&late), "{late} ms after what moved at {moved_at} ms");
            assert_eq!(activity.cut(), Some(Abort::IdleTimeout));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_has_no_more_time_than_one_that_stops() {
        let limits = Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_stall: Duration::from_secs(30),
            uri_bytes: 8192,
            header_bytes: 32_768,
            headers: 100,
        };
        let (activity, mut quiet) = (Activity::new(), Quiet::default());
        tokio::time::advance(Duration::from_secs(20)).await;
        for _ in 0..10 {
            activity.judged(true, false);
            assert!(activity.patience(&limits, &mut quiet).is_some());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(activity.patience(&limits, &mut quiet), None);
        assert!(activity.expire(), "to be answered");
    }
}
