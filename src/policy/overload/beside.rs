//! Work that the workers give to threads beside them, and a limit for those who ask for it.
//!
//! A worker keeps up however much of such work waits, so that its own limit does not see it: everybody would wait
//! until their time is over, whoever they are. So each unit has a queue with a limit of its own, found in the same way
//! from how long the first in it has waited, and it holds for requests of the unit's routes that give such work away.
//! No unit has all places, and none is shed for what another asks for.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    Priority,
    limit::{Control, NONE, own, share},
};

/// How many pieces are worked on at the same time in this process. More would only take the processors
/// from the workers.
const PLACES: usize = 4;
/// How many of them one unit may have: the others find one however much it evaluates.
const SHARE: usize = 2;
/// The least limit: enough that what is worked on never waits for the next, whoever may fill how much of it.
const FLOOR: u32 = 24;
/// What part of the memory that the process may have the answers may take that one unit's executions hold. Read, they
/// take some three times as much.
const PART: u64 = 8;
/// Looks are at least so far apart, whoever takes them: each worker does.
const LOOK_EVERY: Duration = Duration::from_millis(45);
/// A route gives work away as long as one of so many of its requests does.
const ONE_OF: u32 = 64;

thread_local! {
    /// How many pieces of work this thread has given away.
    static GIVEN: Cell<u64> = const { Cell::new(0) };
}

/// The queues of a process.
struct Queues {
    places: Arc<Semaphore>,
    /// Of each unit there ever was, of which configurations have few.
    units: Mutex<BTreeMap<Arc<str>, Arc<Queue>>>,
    looked: Mutex<Option<Instant>>,
    /// Bytes that the process may have.
    memory: Arc<AtomicU64>,
}

/// Pieces of a unit's work that wait for a place.
#[derive(Debug)]
pub struct Queue {
    unit: Arc<str>,
    share: Arc<Semaphore>,
    places: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    /// Requests under way of routes that give work away, by priority.
    under_way: [AtomicU32; 4],
    limit: AtomicU32,
    control: Mutex<Control>,
    /// Bytes of answers that the unit's executions hold, and what the process may have.
    held: AtomicU64,
    memory: Arc<AtomicU64>,
}

/// Since when each of them waits, by when it came.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// One that waits, until this is dropped.
struct Turn<'q>(&'q Queue, u64);

/// A place to work at, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _of_unit: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Whether a route gives work away, as one worker sees it.
#[derive(Debug, Default)]
pub(super) struct Weight(AtomicU32);

/// A request under way of a route that gives work away.
#[derive(Debug)]
pub(super) struct Heavy(Arc<Queue>, Priority);

/// How many pieces of work this thread has given away so far.
#[must_use]
pub fn given() -> u64 {
    GIVEN.get()
}

/// The queue of a unit.
#[must_use]
pub fn of(unit: &Arc<str>) -> Arc<Queue> {
    process(|queues| {
        let mut units = lock(&queues.units);
        if let Some(queue) = units.get(unit) {
            return Arc::clone(queue);
        }
        let queue = Arc::new(Queue::new(unit, queues));
        units.insert(Arc::clone(unit), Arc::clone(&queue));
        queue
    })
}

/// Looks how long the first of each queue has waited. To be called at regular times, by whoever.
pub(super) fn look() {
    process(|queues| {
        let now = Instant::now();
        let mut looked = lock(&queues.looked);
        if looked.is_some_and(|last| now.saturating_duration_since(last) < LOOK_EVERY) {
            return;
        }
        *looked = Some(now);
        for queue in lock(&queues.units).values() {
            queue.look(now);
        }
    });
}

/// Notes how much memory the process may have.
pub fn bounded(memory: Option<u64>) {
    process(|queues| queues.memory.store(memory.unwrap_or(u64::MAX), Relaxed));
}

#[cfg(not(test))]
fn process<T>(work: impl FnOnce(&Queues) -> T) -> T {
    static PROCESS: std::sync::LazyLock<Queues> = std::sync::LazyLock::new(Queues::default);
    work(&PROCESS)
}

/// A test has a thread and places of its own: while it waited for those of others, its clock would run.
#[cfg(test)]
fn process<T>(work: impl FnOnce(&Queues) -> T) -> T {
    thread_local! {
        static THREAD: Queues = Queues::default();
    }
    THREAD.with(work)
}

impl Default for Queues {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        let memory = Arc::new(AtomicU64::new(u64::MAX));
        Self { places, units: Mutex::default(), looked: Mutex::default(), memory }
    }
}

// === impl Queue ===

impl Queue {
    fn new(unit: &Arc<str>, queues: &Queues) -> Self {
        Self {
            unit: Arc::clone(unit),
            share: Arc::new(Semaphore::new(SHARE)),
            places: Arc::clone(&queues.places),
            waiting: Mutex::default(),
            under_way: Default::default(),
            limit: AtomicU32::new(NONE),
            control: Mutex::new(Control::new(FLOOR)),
            held: AtomicU64::new(0),
            memory: Arc::clone(&queues.memory),
        }
    }

    /// Notes that an execution holds so many bytes more, unless that is more than the unit may have.
    #[must_use]
    pub fn hold(&self, bytes: u64) -> bool {
        let held = self.held.fetch_add(bytes, Relaxed) + bytes;
        let may = held <= self.memory.load(Relaxed) / PART;
        if !may {
            self.release(bytes);
        }
        may
    }

    /// Notes that they are gone.
    pub fn release(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    /// Waits for a place of the unit's share and then for one of all, to be kept as long as the work takes: nobody
    /// has more than a share of every other unit before it. `None` only if there are none at all.
    pub async fn place(&self) -> Option<Place> {
        GIVEN.set(GIVEN.get() + 1);
        let turn = self.line_up();
        let _of_unit = Arc::clone(&self.share).acquire_owned().await.ok()?;
        let _of_all = Arc::clone(&self.places).acquire_owned().await.ok()?;
        drop(turn);
        Some(Place { _of_unit, _of_all })
    }

    fn line_up(&self) -> Turn<'_> {
        let mut waiting = lock(&self.waiting);
        let turn = waiting.next;
        waiting.next += 1;
        waiting.since.insert(turn, Instant::now());
        Turn(self, turn)
    }

    fn look(&self, now: Instant) {
        let first = lock(&self.waiting).since.first_key_value().map(|(_, since)| *since);
        let lag = first.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let before = self.limit.load(Relaxed);
        let after = lock(&self.control).sample(lag, self.under_way(Priority::Low), before);
        self.limit.store(after, Relaxed);
        if before == NONE && after != NONE {
            tracing::warn!(
                unit = &*self.unit,
                ?lag,
                limit = after,
                "there are more long evaluations than can be made: requests are shed"
            );
        }
    }

    /// Requests under way of this priority or a higher one.
    fn under_way(&self, priority: Priority) -> u32 {
        self.under_way[priority as usize..].iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Lets a request of a route that gives work away in, or not. What part of the limit a priority has to itself, lower
    /// ones cannot take, even if they filled it before there was a limit.
    pub(super) fn enter(self: &Arc<Self>, priority: Priority) -> Result<Heavy, u32> {
        let limit = self.limit.load(Relaxed);
        let full = || {
            self.under_way(Priority::Low) >= share(limit, priority)
                && self.under_way(priority) >= own(limit, priority)
        };
        if limit != NONE && full() {
            return Err(limit);
        }
        self.under_way[priority as usize].fetch_add(1, Relaxed);
        Ok(Heavy(Arc::clone(self), priority))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).since.remove(&self.1);
    }
}

impl Drop for Heavy {
    fn drop(&mut self) {
        self.0.under_way[self.1 as usize].fetch_sub(1, Relaxed);
    }
}

// === impl Weight ===

impl Weight {
    /// Notes that a request has given work away.
    pub(super) fn note(&self) {
        self.0.store(ONE_OF, Relaxed);
    }

    /// Whether requests of the route do so.
    pub(super) fn is_heavy(&self) -> bool {
        self.0.load(Relaxed) > 0
    }

    /// Notes that a request was let in.
    pub(super) fn admitted(&self) {
        self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_unit_has_all_places_and_one_that_is_given_back_is_taken_again() {
        let [a, b, c] = ["a", "b", "c"].map(|unit| of(&Arc::from(unit)));
        let mut held = Vec::new();
        for _ in 0..SHARE {
            held.push(a.place().now_or_never().unwrap());
        }
        assert!(a.place().now_or_never().is_none());
        for _ in SHARE..PLACES {
            held.push(b.place().now_or_never().unwrap());
        }
        assert!(c.place().now_or_never().is_none());
        held.pop();
        assert!(a.place().now_or_never().is_none());
        assert!(c.place().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_that_asks_for_more_than_can_be_done_is_shed_alone() {
        let [busy, other] = ["busy", "other"].map(|unit| of(&Arc::from(unit)));
        let _held: Vec<_> = (0..SHARE).map(|_| busy.place().now_or_never().unwrap()).collect();
        let mut waiting = Box::pin(busy.place());
        assert!(waiting.as_mut().now_or_never().is_none());
        let under_way: Vec<_> = (0..200).map(|_| busy.enter(Priority::Normal).unwrap()).collect();
        let _one = other.enter(Priority::Low).unwrap();
        for _ in 0..4 {
            tokio::time::advance(2 * LOOK_EVERY).await;
            look();
        }
        assert!(busy.enter(Priority::Low).is_err() && busy.enter(Priority::Normal).is_err());
        // What is above has a part of the limit to itself.
        let _above: Vec<_> = (0..5).map(|_| busy.enter(Priority::High).unwrap()).collect();
        assert!(other.enter(Priority::Low).is_ok());
        assert!(other.place().now_or_never().is_some());
        // What waited is served, and the limit goes.
        drop((waiting, under_way));
        for _ in 0..200 {
            tokio::time::advance(2 * LOOK_EVERY).await;
            look();
        }
        assert!(busy.enter(Priority::Low).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_lowest_priority_is_shed_first_and_who_does_not_wait_any_more_is_out_of_the_line() {
        let queue = of(&Arc::from("unit"));
        let _held: Vec<_> = (0..SHARE).map(|_| queue.place().now_or_never().unwrap()).collect();
        let before = given();
        let mut waiting = Box::pin(queue.place());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!((lock(&queue.waiting).since.len(), given() - before), (1, 1));
        let _under_way: Vec<_> = (0..FLOOR / 2).map(|_| queue.enter(Priority::Low).unwrap()).collect();
        for _ in 0..8 {
            tokio::time::advance(2 * LOOK_EVERY).await;
            look();
        }
        assert_eq!(queue.enter(Priority::Low).unwrap_err(), FLOOR);
        assert!(queue.enter(Priority::Normal).is_ok());
        drop(waiting);
        assert!(lock(&queue.waiting).since.is_empty());
    }

    #[test]
    fn a_unit_holds_a_part_of_the_memory_and_the_others_theirs() {
        bounded(Some(800));
        let [greedy, other] = ["greedy", "other"].map(|unit| of(&Arc::from(unit)));
        assert!(greedy.hold(60) && !greedy.hold(41) && greedy.hold(40) && !greedy.hold(1));
        assert!(other.hold(100));
        greedy.release(60);
        assert!(greedy.hold(60));
        bounded(None);
        assert!(greedy.hold(1 << 40));
    }

    #[test]
    fn a_route_is_heavy_as_long_as_one_of_many_of_its_requests_gives_work_away() {
        let weight = Weight::default();
        assert!(!weight.is_heavy());
        weight.note();
        for _ in 0..ONE_OF {
            assert!(weight.is_heavy());
            weight.admitted();
        }
        assert!(!weight.is_heavy());
    }
}
