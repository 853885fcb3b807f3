//! The slowest and the failed requests of every route, for a person who looks.
//!
//! Bounded per route and in all; what is older than an hour makes room. Whether a request is among the
//! slowest is a look at one number, so that nearly all requests pay nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use super::{Finished, Record};

/// Slowest ones of a route, and failed ones.
const OF_A_ROUTE: usize = 8;
/// Of all routes. A request takes about a kilobyte, more with many calls.
const IN_ALL: usize = 8192;
/// What is older makes room.
const MOST_AGE: Duration = Duration::from_secs(3600);
/// Failed ones that are kept per second and route: a storm of failures costs no more than that.
const FAILURES_PER_SECOND: u32 = 10;

/// See the module.
#[derive(Debug, Default)]
pub struct Keep {
    routes: Mutex<BTreeMap<Arc<str>, Kept>>,
    /// Requests of no route have no instruments to hold this.
    unrouted: Floor,
}

/// What a request must exceed to be worth a place; part of a route's instruments.
#[derive(Debug, Default)]
pub struct Floor {
    /// Microseconds of the fastest of the slowest, once there are enough of these.
    slow: AtomicU64,
    /// The second in which failures were counted, and how many in the low byte.
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    slowest: Vec<Arc<Finished>>,
    failed: Vec<Arc<Finished>>,
}

/// Why a request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is among the slowest of its route.
    Slow,
    /// It failed.
    Failed,
}

impl Floor {
    fn takes_failure(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let before = self.failed.load(Relaxed);
        // Two threads that meet here may both pass: a bound on cost need not be exact.
        let count = if before >> 8 == now { before & 0xff } else { 0 };
        if count >= u64::from(FAILURES_PER_SECOND) {
            return false;
        }
        self.failed.store(now << 8 | (count + 1), Relaxed);
        true
    }
}

impl Keep {
    /// Whether a request is worth a place, and which.
    pub(super) fn place(&self, record: &Record, us: u64, failed: bool) -> Option<Why> {
        let floor = record.route.as_ref().map_or(&self.unrouted, |route| &route.floor);
        if failed {
            return floor.takes_failure().then_some(Why::Failed);
        }
        // Of refusals before there was a route nobody learns anything.
        (record.route.is_some() && us > floor.slow.load(Relaxed)).then_some(Why::Slow)
    }

    pub(super) fn put(&self, why: Why, name: &str, request: Arc<Finished>) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = if routes.len() * 2 * OF_A_ROUTE < IN_ALL {
            0
        } else {
            routes.values().map(|kept| kept.slowest.len() + kept.failed.len()).sum()
        };
        if !routes.contains_key(name) {
            routes.insert(name.into(), Kept::default());
        }
        let Some(kept) = routes.get_mut(name) else { return };
        let list = match why {
            Why::Slow => &mut kept.slowest,
            Why::Failed => &mut kept.failed,
        };
        let full = list.len() >= OF_A_ROUTE || held >= IN_ALL;
        match why {
            Why::Failed if full && !list.is_empty() => drop(list.remove(0)),
            Why::Slow if full => drop(list.pop()),
            _ => {}
        }
        if full && list.len() + 1 > OF_A_ROUTE {
            return;
        }
        let route = request.record.route.clone();
        match why {
            Why::Failed => list.push(request),
            Why::Slow => {
                let at = list.partition_point(|other| other.us >= request.us);
                list.insert(at, request);
                if list.len() >= OF_A_ROUTE
                    && let (Some(route), Some(last)) = (route, list.last())
                {
                    route.floor.slow.store(last.us, Relaxed);
                }
            }
        }
    }

    /// Forgets what is old, and routes that are no more. To be called now and then.
    pub fn sweep(&self, exists: impl Fn(&str) -> bool) {
        let now = SystemTime::now();
        let fresh =
            |request: &Arc<Finished>| now.duration_since(request.started).unwrap_or_default() <= MOST_AGE;
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.retain(|name, kept| {
            for request in kept.slowest.iter().filter(|request| !fresh(request)) {
                if let Some(route) = &request.record.route {
                    route.floor.slow.store(0, Relaxed);
                }
            }
            kept.slowest.retain(fresh);
            kept.failed.retain(fresh);
            (name.is_empty() || exists(name)) && !(kept.slowest.is_empty() && kept.failed.is_empty())
        });
    }

    /// Every route.
    #[must_use]
    pub fn all(&self) -> Vec<KeptRoute> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(name, kept): (&Arc<str>, &Kept)| KeptRoute {
            name: Arc::clone(name),
            slowest: kept.slowest.clone(),
            failed: kept.failed.iter().rev().cloned().collect(),
        };
        routes.iter().map(one).collect()
    }
}

/// What is kept of a route.
#[derive(Debug)]
pub struct KeptRoute {
    /// `unit/route`; empty for requests without one.
    pub name: Arc<str>,
    /// The slowest first.
    pub slowest: Vec<Arc<Finished>>,
    /// The last first.
    pub failed: Vec<Arc<Finished>>,
}
