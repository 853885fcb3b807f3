//! Resets a stream whose client takes nothing of its answer.
//!
//! The codec asks an answer's body for the next frame only once the client's window has room for some
//! of the last one. So a body that handed a frame over and was not asked again waits for the client.
//! The executor that the codec spawns its streams on wraps each of them: when a poll ends in that
//! state, a timer starts, once per wait and at most one per stream; past it the stream is dropped,
//! which resets it and nothing else.
//!
//! A stream whose last bytes the codec has taken is out of sight here. What it can hold is one frame;
//! the connection's idle limit ends it.

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::telemetry::{Instruments, Refusal};

/// The most of a body that is handed over at once; larger frames are split. The codec buffers no more
/// of an answer than this beyond its window, and taking less than this in the time of a stall is one.
pub(in crate::server) const PIECE: usize = 16 * 1024;

/// What a body did last during a poll of its stream.
#[derive(Clone, Copy)]
enum Last {
    Nothing,
    Asked,
    HandedOver,
}

thread_local! {
    /// Of the stream that this thread polls.
    static LAST: Cell<Last> = const { Cell::new(Last::Nothing) };
    /// What this thread drops is a stream whose client takes nothing.
    static CUT: Cell<bool> = const { Cell::new(false) };
}

/// Whether the body that is dropped now is of a stream whose client takes nothing.
pub(in crate::server) fn is_cut() -> bool {
    CUT.get()
}

/// A body is asked for a frame.
pub(in crate::server) fn asked() {
    LAST.set(Last::Asked);
}

/// A body gives a frame.
pub(in crate::server) fn handed_over() {
    LAST.set(Last::HandedOver);
}

/// Spawns the streams of HTTP/2 connections.
#[derive(Clone)]
pub(in crate::server) struct Streams {
    /// How long a client may take nothing; zero is no rule.
    stall: Duration,
    instruments: Arc<Instruments>,
}

// === impl Streams ===

impl Streams {
    pub(super) const fn new(stall: Duration, instruments: Arc<Instruments>) -> Self {
        Self { stall, instruments }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        if self.stall.is_zero() {
            tokio::spawn(stream);
        } else {
            let stream = Some(stream);
            tokio::spawn(Watched { stream, streams: self.clone(), waits_since: None, timer: None });
        }
    }
}

pin_project! {
    struct Watched<F> {
        #[pin]
        stream: Option<F>,
        streams: Streams,
        waits_since: Option<Instant>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        LAST.set(Last::Nothing);
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        if stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match LAST.get() {
            Last::Nothing => {}
            Last::Asked => *this.waits_since = None,
            Last::HandedOver => *this.waits_since = Some(Instant::now()),
        }
        let Some(since) = *this.waits_since else { return Poll::Pending };
        let ends = since + this.streams.stall;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ends)));
        loop {
            ready!(timer.as_mut().poll(cx));
            // It may be of an earlier wait.
            if timer.deadline() >= ends {
                tracing::debug!("an HTTP/2 stream is reset: its client takes nothing");
                this.streams.instruments.refused(Refusal::WriteStall);
                CUT.set(true);
                this.stream.set(None);
                CUT.set(false);
                return Poll::Ready(());
            }
            timer.as_mut().reset(ends);
        }
    }
}

#[cfg(test)]
mod tests;
