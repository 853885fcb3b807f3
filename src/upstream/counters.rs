//! What an upstream has done: plain sums, named as metrics elsewhere.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// One worker's counters for one upstream; on a line of their own, so that workers do not share it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counters {
    calls: AtomicU64,
    connects: AtomicU64,
    reuses: AtomicU64,
    resends: AtomicU64,
    failures: AtomicU64,
    full: AtomicU64,
    /// Connections that wait for a call and shared ones, when the worker last looked.
    idle: AtomicU32,
    shared: AtomicU32,
}

/// The counters of all workers, and what those that nobody moves any more have come to. A service has one however
/// often a reload changes it, so that its sums never go back.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sets: Vec<Arc<Counters>>,
    before: Counts,
}

/// A snapshot over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that went out on a connection, each once however often it was sent.
    pub calls: u64,
    /// Connections that were opened.
    pub connects: u64,
    /// Calls that went out on a connection that was there.
    pub reuses: u64,
    /// Calls that were sent again because a pooled connection was found closed.
    pub resends: u64,
    /// Calls that had no answer, or for which no connection could be made.
    pub failures: u64,
    /// Calls that were not made, because as many were under way as may be.
    pub full: u64,
    /// Connections of HTTP/1 that wait for a call.
    pub idle: u32,
    /// Connections of HTTP/2, in use or not.
    pub shared: u32,
}

// === impl Tally ===

impl Tally {
    /// A worker's own.
    pub(super) fn set(&mut self) -> Arc<Counters> {
        let mut before = self.before;
        self.sets.retain(|set| {
            // Nobody else has it, so nobody moves it.
            let alive = Arc::strong_count(set) > 1;
            if !alive {
                before = before.plus(set);
            }
            alive
        });
        self.before = Counts { idle: 0, shared: 0, ..before };
        let set = Arc::default();
        self.sets.push(Arc::clone(&set));
        set
    }

    pub(super) fn counts(&self) -> Counts {
        self.sets.iter().fold(self.before, |sum, set| sum.plus(set))
    }
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

    pub(super) fn full(&self) {
        self.full.fetch_add(1, Relaxed);
    }

    pub(super) fn pooled(&self, idle: usize, shared: usize) {
        self.idle.store(u32::try_from(idle).unwrap_or(u32::MAX), Relaxed);
        self.shared.store(u32::try_from(shared).unwrap_or(u32::MAX), Relaxed);
    }
}

impl Counts {
    fn plus(self, set: &Counters) -> Self {
        Self {
            calls: self.calls + set.calls.load(Relaxed),
            connects: self.connects + set.connects.load(Relaxed),
            reuses: self.reuses + set.reuses.load(Relaxed),
            resends: self.resends + set.resends.load(Relaxed),
            failures: self.failures + set.failures.load(Relaxed),
            full: self.full + set.full.load(Relaxed),
            idle: self.idle + set.idle.load(Relaxed),
            shared: self.shared + set.shared.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stays_when_nobody_counts_any_more() {
        let mut tally = Tally::default();
        let (first, second) = (tally.set(), tally.set());
        first.call();
        first.pooled(3, 1);
        second.call();
        assert_eq!((tally.counts().calls, tally.counts().idle), (2, 3));
        drop(first);
        let third = tally.set();
        third.call();
        assert_eq!((tally.sets.len(), tally.counts().calls, tally.counts().idle), (2, 3, 0));
    }
}
