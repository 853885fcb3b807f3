//! Steps in flight: a small set of futures polled inside the request's task.
//!
//! A composition rarely has more than a handful of calls in flight, so every wake polls them all: that is
//! cheaper than a queue of its own wakers. A lane that ended is used again by the next step, so that an
//! execution allocates as many lanes as calls were ever in flight together.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

pub(super) struct Lanes<F>(Vec<Lane<F>>);

struct Lane<F> {
    future: Pin<Box<Option<F>>>,
    /// Which step it runs.
    step: usize,
    safe: bool,
    /// Not polled yet.
    fresh: bool,
}

impl<F: Future<Output = ()>> Lanes<F> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn start(&mut self, step: usize, safe: bool, future: F) {
        let free = self.0.iter_mut().find(|lane| lane.future.is_none());
        if let Some(lane) = free {
            lane.future.set(Some(future));
            (lane.step, lane.safe, lane.fresh) = (step, safe, true);
        } else {
            self.0.push(Lane { future: Box::pin(Some(future)), step, safe, fresh: true });
        }
    }

    /// Polls every future, or those only that were just started.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, fresh_only: bool) {
        for lane in &mut self.0 {
            if fresh_only && !lane.fresh {
                continue;
            }
            lane.fresh = false;
            if let Some(future) = lane.future.as_mut().as_pin_mut()
                && future.poll(cx).is_ready()
            {
                lane.future.set(None);
            }
        }
    }

    /// Drops what may be dropped: calls that only read, and what has not begun.
    pub(super) fn keep_unsafe(&mut self) {
        self.0.retain(|lane| !lane.safe && !lane.fresh && lane.future.is_some());
    }

    /// Polls what is left once, so that what has nothing more to do ends.
    pub(super) async fn wake(&mut self) {
        if !self.0.is_empty() {
            std::future::poll_fn(|cx| {
                self.poll(cx, false);
                Poll::Ready(())
            })
            .await;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|lane| lane.future.is_none())
    }

    /// Steps that are in flight.
    pub(super) fn running(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter(|lane| lane.future.is_some()).map(|lane| lane.step)
    }

    /// Waits for all.
    pub(super) async fn end(&mut self) {
        std::future::poll_fn(|cx| {
            self.poll(cx, false);
            if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
