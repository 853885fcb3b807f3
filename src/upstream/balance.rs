//! Which endpoint takes a call.

use std::{
    sync::{LazyLock, atomic::Ordering::Relaxed},
    time::Instant,
};

use super::{Upstream, endpoint::Endpoint};
use crate::config::service::Balance;

/// How many endpoints one call tries before it gives up.
const MOST_TRIED: usize = 8;
/// For how long an endpoint without a connection comes last. A dead endpoint has no load, so without
/// this the least loaded one would be the dead one.
const AVOID_MS: u64 = 1000;

/// Endpoints that a call could not connect to.
#[derive(Debug, Default)]
pub(super) struct Tried {
    indexes: [usize; MOST_TRIED],
    len: usize,
}

impl Tried {
    /// Adds one; the call is over when the list is full.
    pub(super) fn add(&mut self, index: usize) {
        if let Some(free) = self.indexes.get_mut(self.len) {
            *free = index;
            self.len += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.len == MOST_TRIED
    }

    fn contains(&self, index: usize) -> bool {
        self.indexes[..self.len].contains(&index)
    }
}

/// Milliseconds since the process first asked.
pub(super) fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Lets other endpoints go first for a while.
pub(super) fn avoid(endpoint: &Endpoint) {
    endpoint.usage.avoid_until.store(now() + AVOID_MS, Relaxed);
}

/// How many of them come last for a while.
pub(super) fn avoided(endpoints: &[Endpoint]) -> u32 {
    let now = now();
    let avoided = endpoints.iter().filter(|endpoint| endpoint.usage.avoid_until.load(Relaxed) > now);
    u32::try_from(avoided.count()).unwrap_or(u32::MAX)
}

/// The endpoint for the next attempt: of the lowest priority that has one to offer.
pub(super) fn choose(upstream: &Upstream, tried: &Tried) -> Option<usize> {
    let endpoints = &upstream.endpoints;
    if endpoints.len() == 1 {
        return (tried.len == 0).then_some(0);
    }
    if tried.is_full() {
        return None;
    }
    // The clock is only read once some endpoint has failed.
    let suspects = endpoints.iter().any(|endpoint| endpoint.usage.avoid_until.load(Relaxed) > 0);
    let now = if suspects { now() } else { 0 };
    by_priority(upstream, |index, endpoint| {
        !tried.contains(index) && endpoint.usage.avoid_until.load(Relaxed) <= now
    })
    .or_else(|| by_priority(upstream, |index, _| !tried.contains(index)))
}

fn by_priority(upstream: &Upstream, usable: impl Fn(usize, &Endpoint) -> bool) -> Option<usize> {
    let endpoints = &upstream.endpoints;
    let mut start = 0;
    while let Some(first) = endpoints.get(start) {
        let same = endpoints[start..].iter().take_while(|endpoint| endpoint.priority == first.priority);
        let end = start + same.count();
        let weight = |index: usize| {
            let endpoint = &endpoints[index];
            if usable(index, endpoint) { u64::from(endpoint.weight) } else { 0 }
        };
        let total: u64 = (start..end).map(weight).sum();
        if total > 0 {
            let at = |mut point: u64| {
                for index in start..end {
                    let weight = weight(index);
                    if point < weight {
                        return index;
                    }
                    point -= weight;
                }
                start
            };
            return Some(match upstream.balance {
                Balance::RoundRobin => at(u64::from(upstream.turn.fetch_add(1, Relaxed)) % total),
                Balance::Random => at(fastrand::u64(..total)),
                Balance::LeastRequest => {
                    let one = at(fastrand::u64(..total));
                    let other = at(fastrand::u64(..total));
                    if busier(&endpoints[one], &endpoints[other]) { other } else { one }
                }
            });
        }
        start = end;
    }
    None
}

/// By calls under way per weight.
fn busier(one: &Endpoint, other: &Endpoint) -> bool {
    u64::from(one.load()) * u64::from(other.weight) > u64::from(other.load()) * u64::from(one.weight)
}
