//! The slowest and the failed requests of every route, for a person who looks.
//!
//! Bounded per route and in all; what is older than an hour makes room. Whether a request is among the
//! slowest is a look at one number, so that nearly all requests pay nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use super::{Finished, Record, RouteInstruments};

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
    all: Mutex<All>,
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
struct All {
    routes: BTreeMap<Arc<str>, Kept>,
    /// How many requests they have together.
    held: usize,
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
        let mut all = self.lock();
        let room = all.held < IN_ALL;
        if !all.routes.contains_key(name) {
            all.routes.insert(name.into(), Kept::default());
        }
        let All { routes, held } = &mut *all;
        let Some(kept) = routes.get_mut(name) else { return };
        let route = request.record.route.clone();
        let list = match why {
            Why::Slow => &mut kept.slowest,
            Why::Failed => &mut kept.failed,
        };
        // A route has its own places, and one at least.
        if list.len() >= OF_A_ROUTE || (!room && !list.is_empty()) {
            match why {
                Why::Failed => drop(list.remove(0)),
                // A new generation's floor may be lower than what is here.
                Why::Slow if list.last().is_some_and(|last| last.us < request.us) => drop(list.pop()),
                Why::Slow => return set_floor(route.as_deref(), list),
            }
            *held -= 1;
        }
        *held += 1;
        let at = match why {
            Why::Failed => list.len(),
            Why::Slow => list.partition_point(|other| other.us >= request.us),
        };
        list.insert(at, request);
        if why == Why::Slow && (list.len() >= OF_A_ROUTE || !room) {
            set_floor(route.as_deref(), list);
        }
    }

    /// Forgets what is old, and routes that are no more. To be called now and then.
    pub fn sweep(&self, exists: impl Fn(&str) -> bool) {
        let now = SystemTime::now();
        let fresh =
            |request: &Arc<Finished>| now.duration_since(request.started).unwrap_or_default() <= MOST_AGE;
        let mut all = self.lock();
        let All { routes, held } = &mut *all;
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
        *held = routes.values().map(|kept| kept.slowest.len() + kept.failed.len()).sum();
    }

    /// Every route.
    #[must_use]
    pub fn all(&self) -> Vec<KeptRoute> {
        let all = self.lock();
        let one = |(name, kept): (&Arc<str>, &Kept)| KeptRoute {
            name: Arc::clone(name),
            slowest: kept.slowest.clone(),
            failed: kept.failed.iter().rev().cloned().collect(),
        };
        all.routes.iter().map(one).collect()
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set_floor(route: Option<&RouteInstruments>, slowest: &[Arc<Finished>]) {
    if let (Some(route), Some(last)) = (route, slowest.last()) {
        route.floor.slow.store(last.us, Relaxed);
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
