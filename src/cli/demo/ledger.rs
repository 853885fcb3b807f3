//! What the mock services were asked, counted where it cannot be wrong: at the services.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Calls that one mock service got.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    calls: AtomicU64,
    settled: AtomicU64,
    busy_us: AtomicU64,
}

/// Calls and the time spent on them, up to some moment or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) open: u64,
    pub(super) busy: Duration,
}

impl Ledger {
    /// A call came; dropping what this returns says that it is over, answered or given up.
    pub(super) fn call(&self) -> Call<'_> {
        self.calls.fetch_add(1, Relaxed);
        Call { ledger: self, since: Instant::now() }
    }

    pub(super) fn tally(&self) -> Tally {
        let settled = self.settled.load(Relaxed);
        let calls = self.calls.load(Relaxed);
        let busy = Duration::from_micros(self.busy_us.load(Relaxed));
        Tally { calls, open: calls.saturating_sub(settled), busy }
    }
}

impl Tally {
    /// What was added since an earlier tally.
    pub(super) fn since(self, earlier: Self) -> Self {
        let busy = self.busy.saturating_sub(earlier.busy);
        Self { calls: self.calls.saturating_sub(earlier.calls), open: self.open, busy }
    }
}

/// A call that is being worked on.
#[derive(Debug)]
pub(super) struct Call<'a> {
    ledger: &'a Ledger,
    since: Instant,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let spent = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.ledger.busy_us.fetch_add(spent, Relaxed);
        self.ledger.settled.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_given_up_is_counted_and_closed() {
        let ledger = Ledger::default();
        let before = ledger.tally();
        drop(ledger.call());
        let open = ledger.call();
        let now = ledger.tally().since(before);
        assert_eq!((now.calls, now.open), (2, 1));
        drop(open);
        assert_eq!(ledger.tally().open, 0);
    }
}
