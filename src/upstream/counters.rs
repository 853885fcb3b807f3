//! What an upstream has done: plain sums, named as metrics elsewhere.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One worker's counters for one upstream; on a line of their own, so that workers do not share it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counters {
    calls: AtomicU64,
    connects: AtomicU64,
    reuses: AtomicU64,
    resends: AtomicU64,
    failures: AtomicU64,
}

/// A snapshot over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were asked for.
    pub calls: u64,
    /// Connections that were opened.
    pub connects: u64,
    /// Calls that went out on a connection that was there.
    pub reuses: u64,
    /// Calls that were sent again because a pooled connection was found closed.
    pub resends: u64,
    /// Calls that had no answer.
    pub failures: u64,
}

impl Counters {
    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    pub(super) fn connect(&self) {
        self.connects.fetch_add(1, Relaxed);
    }

    pub(super) fn reuse(&self) {
        self.reuses.fetch_add(1, Relaxed);
    }

    pub(super) fn resend(&self) {
        self.resends.fetch_add(1, Relaxed);
    }

    pub(super) fn failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }
}

impl Counts {
    pub(super) fn plus(self, set: &Counters) -> Self {
        Self {
            calls: self.calls + set.calls.load(Relaxed),
            connects: self.connects + set.connects.load(Relaxed),
            reuses: self.reuses + set.reuses.load(Relaxed),
            resends: self.resends + set.resends.load(Relaxed),
            failures: self.failures + set.failures.load(Relaxed),
        }
    }
}
