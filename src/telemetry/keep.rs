//! The slowest, the failed and the abandoned requests of every route, for a person who looks.
//!
//! Slow is what takes long until the head of its answer: how long a body lasts is the client's pace, or a
//! stream's nature. Bounded per route and in all; what is older than an hour makes room. Whether a request is
//! among the slowest is a look at one number, so that nearly all requests pay nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use super::{Abort, Finished, Record};
use crate::problem::Fault;

/// Requests of a route of each kind.
const OF_A_ROUTE: usize = 8;
/// Of all routes. A request takes about a kilobyte, more with many calls.
const IN_ALL: usize = 8192;
/// What is older makes room.
const MOST_AGE: Duration = Duration::from_secs(3600);
/// Failed ones that are kept per second and route, and abandoned ones: a storm costs no more than that.
const PER_SECOND: u64 = 10;

/// See the module.
#[derive(Debug, Default)]
pub struct Keep {
    all: Mutex<All>,
    /// Requests of no route have no instruments to hold this.
    unrouted: Floor,
}

/// What a request must exceed to be worth a place. It is its route's by name, so that generations share it.
#[derive(Debug, Default)]
pub struct Floor {
    /// Microseconds of the fastest of the slowest, once there are enough of these.
    slow: AtomicU64,
    failed: Rate,
    left: Rate,
}

/// The second in which something was counted, and how often in the low byte.
#[derive(Debug, Default)]
struct Rate(AtomicU64);

#[derive(Debug, Default)]
struct All {
    routes: BTreeMap<Arc<str>, Kept>,
    floors: BTreeMap<Arc<str>, Arc<Floor>>,
    /// How many requests they have together.
    held: usize,
}

#[derive(Debug, Default)]
struct Kept {
    slowest: Vec<Arc<Finished>>,
    failed: Vec<Arc<Finished>>,
    left: Vec<Arc<Finished>>,
}

/// Why a request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is among the slowest of its route.
    Slow,
    /// It failed.
    Failed,
    /// The client left before there was an answer.
    Left,
}

// === impl Rate ===

impl Rate {
    fn takes(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let before = self.0.load(Relaxed);
        // Two threads that meet here may both pass: a bound on cost need not be exact.
        let count = if before >> 8 == now { before & 0xff } else { 0 };
        if count >= PER_SECOND {
            return false;
        }
        self.0.store(now << 8 | (count + 1), Relaxed);
        true
    }
}

// === impl Kept ===

impl Kept {
    fn len(&self) -> usize {
        self.slowest.len() + self.failed.len() + self.left.len()
    }
}

// === impl Keep ===

impl Keep {
    /// What requests of a route must exceed.
    pub(super) fn floor(&self, route: &str) -> Arc<Floor> {
        let mut all = self.lock();
        if let Some(floor) = all.floors.get(route) {
            return Arc::clone(floor);
        }
        let floor = Arc::default();
        all.floors.insert(route.into(), Arc::clone(&floor));
        floor
    }

    /// Whether a request is worth a place, and which.
    pub(super) fn place(&self, record: &Record, failed: bool, aborted: Option<Abort>) -> Option<Why> {
        let floor = record.route.as_ref().map_or(&self.unrouted, |route| &*route.floor);
        if failed {
            return floor.failed.takes().then_some(Why::Failed);
        }
        // Of refusals before there was a route nobody learns anything.
        record.route.as_ref()?;
        if aborted.is_some_and(|why| why.fault() == Fault::Client) && record.answered_us == 0 {
            return floor.left.takes().then_some(Why::Left);
        }
        (record.answered_us > floor.slow.load(Relaxed)).then_some(Why::Slow)
    }

    pub(super) fn put(&self, why: Why, name: &str, request: Arc<Finished>) {
        let mut all = self.lock();
        let room = all.held < IN_ALL;
        if !all.routes.contains_key(name) {
            all.routes.insert(name.into(), Kept::default());
        }
        let All { routes, floors, held } = &mut *all;
        let Some(kept) = routes.get_mut(name) else { return };
        let list = match why {
            Why::Slow => &mut kept.slowest,
            Why::Failed => &mut kept.failed,
            Why::Left => &mut kept.left,
        };
        let slowness = |request: &Finished| request.record.answered_us;
        // A route has its own places, and one at least.
        if list.len() >= OF_A_ROUTE || (!room && !list.is_empty()) {
            match why {
                Why::Failed | Why::Left => drop(list.remove(0)),
                // Another thread was faster.
                Why::Slow if list.last().is_some_and(|last| slowness(last) >= slowness(&request)) => return,
                Why::Slow => drop(list.pop()),
            }
            *held -= 1;
        }
        *held += 1;
        let at = match why {
            Why::Failed | Why::Left => list.len(),
            Why::Slow => list.partition_point(|other| slowness(other) >= slowness(&request)),
        };
        list.insert(at, request);
        if why == Why::Slow
            && (list.len() >= OF_A_ROUTE || !room)
            && let Some((floor, last)) = floors.get(name).zip(list.last())
        {
            floor.slow.store(slowness(last), Relaxed);
        }
    }

    /// Puts a request in its own place, of which more is known now. One that had to make room stays away.
    pub(super) fn complete(&self, why: Why, name: &str, request: Finished) {
        let mut all = self.lock();
        let Some(kept) = all.routes.get_mut(name) else { return };
        let list = match why {
            Why::Slow => &mut kept.slowest,
            Why::Failed => &mut kept.failed,
            Why::Left => &mut kept.left,
        };
        if let Some(place) =
            list.iter_mut().find(|one| (one.trace.id, one.span) == (request.trace.id, request.span))
        {
            *place = Arc::new(request);
        }
    }

    /// Forgets what is old, and routes that are no more. To be called now and then.
    pub fn sweep(&self, now: SystemTime, exists: impl Fn(&str) -> bool) {
        let fresh =
            |request: &Arc<Finished>| now.duration_since(request.started).unwrap_or_default() <= MOST_AGE;
        let mut all = self.lock();
        let All { routes, floors, held } = &mut *all;
        routes.retain(|name, kept| {
            let before = kept.slowest.len();
            for list in [&mut kept.slowest, &mut kept.failed, &mut kept.left] {
                list.retain(fresh);
            }
            let stays = (name.is_empty() || exists(name)) && kept.len() > 0;
            // There are places again.
            if (kept.slowest.len() < before || !stays)
                && let Some(floor) = floors.get(name)
            {
                floor.slow.store(0, Relaxed);
            }
            stays
        });
        // One that somebody has may be of a generation that does not serve yet.
        floors.retain(|name, floor| exists(name) || Arc::strong_count(floor) > 1);
        *held = routes.values().map(Kept::len).sum();
    }

    /// Every route.
    #[must_use]
    pub fn all(&self) -> Vec<KeptRoute> {
        let all = self.lock();
        let one = |(name, kept): (&Arc<str>, &Kept)| KeptRoute {
            name: Arc::clone(name),
            slowest: kept.slowest.clone(),
            failed: kept.failed.iter().rev().cloned().collect(),
            left: kept.left.iter().rev().cloned().collect(),
        };
        all.routes.iter().map(one).collect()
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// The last first.
    pub left: Vec<Arc<Finished>>,
}
