//! What passes between both ends of an upgraded connection, until one of them closes or all is quiet.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    time::{Instant, sleep},
};

use crate::telemetry::LINE_EVERY;

/// How long a tunnel may stay as it is; zero is without end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Neither end sends.
    pub(super) idle: Duration,
    /// An end takes nothing of what it is sent.
    pub(super) stall: Duration,
}

/// How often a tunnel that lasts is told of.
const TELL_EVERY: Duration = Duration::from_secs(LINE_EVERY as u64);

/// Copies both ways until both ends have closed, one breaks, or patience is over. Looks at a quarter of the
/// shorter time, so that what passes sets no timer. `tell` learns now and then, and when it is over, how many bytes
/// came from the client and how many went there.
pub(super) async fn run<A, B>(
    client: A,
    upstream: B,
    patience: Patience,
    mut tell: impl FnMut((u64, u64), bool),
) where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let moves = [Moves::default(), Moves::default()];
    let mut client = Moving { io: client, moves: &moves[0] };
    let mut upstream = Moving { io: upstream, moves: &moves[1] };
    let passed = || (moves[0].read.load(Relaxed), moves[0].written.load(Relaxed));
    let mut copy = pin!(copy_bidirectional(&mut client, &mut upstream));
    let shorter = [patience.idle, patience.stall].into_iter().filter(|time| !time.is_zero()).min();
    let look = shorter.map_or(TELL_EVERY, |shorter| (shorter / 4).min(TELL_EVERY));
    let mut timer = pin!(sleep(look));
    let begun = Instant::now();
    let mut next_line = begun + TELL_EVERY;
    let mut quiet = Since { seen: 0, at: begun };
    let mut stalled = [Since { seen: 0, at: begun }, Since { seen: 0, at: begun }];
    poll_fn(|cx| {
        // An end that breaks closes the other; there is nobody left to tell.
        if copy.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= next_line {
                next_line += TELL_EVERY;
                tell(passed(), false);
            }
            let all = moves.iter().fold(0u32, |sum, one| {
                sum.wrapping_add(one.reads.load(Relaxed)).wrapping_add(one.writes.load(Relaxed))
            });
            if quiet.is_over(all, true, patience.idle, now) {
                return Poll::Ready(());
            }
            for (one, since) in moves.iter().zip(&mut stalled) {
                if since.is_over(one.writes.load(Relaxed), one.blocked.load(Relaxed), patience.stall, now) {
                    return Poll::Ready(());
                }
            }
            timer.as_mut().reset(now + look);
        }
        Poll::Pending
    })
    .await;
    tell(passed(), true);
}

/// Since when a count has not changed.
struct Since {
    seen: u32,
    at: Instant,
}

impl Since {
    fn is_over(&mut self, count: u32, matters: bool, limit: Duration, now: Instant) -> bool {
        if count != self.seen || !matters {
            *self = Self { seen: count, at: now };
        }
        !limit.is_zero() && now - self.at >= limit
    }
}

/// What has happened at one end.
#[derive(Default)]
struct Moves {
    reads: AtomicU32,
    writes: AtomicU32,
    /// Bytes that came from it, and that it took.
    read: AtomicU64,
    written: AtomicU64,
    /// It does not take what it is sent.
    blocked: AtomicBool,
}

/// An end of the tunnel, watched.
struct Moving<'a, S> {
    io: S,
    moves: &'a Moves,
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_ready() {
            self.moves.reads.fetch_add(1, Relaxed);
            self.moves.read.fetch_add((buffer.filled().len() - before) as u64, Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.moves.blocked.store(written.is_pending(), Relaxed);
        if let Poll::Ready(written) = &written {
            self.moves.writes.fetch_add(1, Relaxed);
            self.moves.written.fetch_add(written.as_ref().map_or(0, |written| *written as u64), Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Patience = Patience { idle: Duration::from_secs(60), stall: Duration::from_secs(30) };

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_lives_as_long_as_either_end_sends_and_ends_when_both_are_quiet() {
        let (mut client, near) = duplex(64);
        let (far, mut upstream) = duplex(64);
        let begun = Instant::now();
        let (told, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let tell = move |passed, closed| told.send((passed, closed)).unwrap();
        let tunnel = tokio::spawn(run(near, far, PATIENCE, tell));
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(50)).await;
            upstream.write_all(b"x").await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'x');
        }
        assert_eq!(client.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        tunnel.await.unwrap();
        let after = begun.elapsed().as_secs();
        assert!((560..=580).contains(&after), "{after}");
        // After five minutes, and at its end.
        let lines: Vec<_> = std::iter::from_fn(|| lines.try_recv().ok()).collect();
        assert!(matches!(lines[..], [((0, 5..=7), false), ((0, 10), true)]), "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_takes_nothing_is_cut_although_it_sends() {
        let (mut client, near) = duplex(64);
        let (far, mut upstream) = duplex(64);
        let tunnel = tokio::spawn(run(near, far, PATIENCE, |_, _| {}));
        let flood = tokio::spawn(async move {
            let (mut reads, mut writes) = tokio::io::split(&mut upstream);
            let mut sink = Vec::new();
            let _ = tokio::join!(reads.read_to_end(&mut sink), writes.write_all(&[0; 4096]));
        });
        while !tunnel.is_finished() {
            let _ = client.write_all(b"x").await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        flood.await.unwrap();
    }
}
