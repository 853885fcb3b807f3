//! Work that the workers give to threads beside them, and a limit for those who ask for it.
//!
//! A worker keeps up however much of such work waits, so that its own limit does not see it: everybody would wait
//! until their time is over, whoever they are. The queue has a limit of its own, found in the same way from how long
//! the first in it has waited, and it holds for requests of routes that give such work away. Others are not shed for it.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::{
    Priority,
    limit::{Control, NONE, share},
};

/// How many pieces are worked on at the same time in this process. More would only take the processors
/// from the workers.
const PLACES: usize = 4;
/// The least limit: enough that what is worked on never waits for the next, whoever may fill how much of it.
const FLOOR: u32 = 16;
/// Looks are at least so far apart, whoever takes them: each worker does.
const LOOK_EVERY: Duration = Duration::from_millis(45);
/// A route gives work away as long as one of so many of its requests does.
const ONE_OF: u32 = 64;

/// The queue of this process.
pub static QUEUE: Queue = Queue::new();

thread_local! {
    /// How many pieces of work this thread has given away.
    static GIVEN: Cell<u64> = const { Cell::new(0) };
}

/// Pieces of work that wait for one of a few places.
#[derive(Debug)]
pub struct Queue {
    places: Semaphore,
    waiting: Mutex<Waiting>,
    /// Requests under way of routes that give work away.
    under_way: AtomicU32,
    limit: AtomicU32,
    control: Mutex<(Control, Option<Instant>)>,
}

/// Since when each of them waits, by when it came.
#[derive(Debug)]
struct Waiting {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// One that waits, until this is dropped.
struct Turn<'q>(&'q Queue, u64);

/// Whether a route gives work away, as one worker sees it.
#[derive(Debug, Default)]
pub(super) struct Weight(AtomicU32);

/// A request under way of a route that gives work away.
#[derive(Debug)]
pub(super) struct Heavy(&'static Queue);

/// How many pieces of work this thread has given away so far.
#[must_use]
pub fn given() -> u64 {
    GIVEN.get()
}

// === impl Queue ===

impl Queue {
    const fn new() -> Self {
        Self {
            places: Semaphore::const_new(PLACES),
            waiting: Mutex::new(Waiting { next: 0, since: BTreeMap::new() }),
            under_way: AtomicU32::new(0),
            limit: AtomicU32::new(NONE),
            control: Mutex::new((Control::new(FLOOR), None)),
        }
    }

    /// Waits for a place, to be kept as long as the work takes.
    pub async fn place(&self) -> Option<SemaphorePermit<'_>> {
        GIVEN.set(GIVEN.get() + 1);
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        let turn = self.line_up();
        let place = self.places.acquire().await.ok();
        drop(turn);
        place
    }

    fn line_up(&self) -> Turn<'_> {
        let mut waiting = lock(&self.waiting);
        let turn = waiting.next;
        waiting.next += 1;
        waiting.since.insert(turn, Instant::now());
        Turn(self, turn)
    }

    /// Looks how long the first has waited. To be called at regular times, by whoever.
    pub(super) fn look(&self) {
        let now = Instant::now();
        let mut control = lock(&self.control);
        if control.1.is_some_and(|last| now.saturating_duration_since(last) < LOOK_EVERY) {
            return;
        }
        control.1 = Some(now);
        let first = lock(&self.waiting).since.first_key_value().map(|(_, since)| *since);
        let lag = first.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let before = self.limit.load(Relaxed);
        let after = control.0.sample(lag, self.under_way.load(Relaxed), before);
        self.limit.store(after, Relaxed);
        if before == NONE && after != NONE {
            tracing::warn!(
                ?lag,
                limit = after,
                "there are more long evaluations than can be made: requests are shed"
            );
        }
    }

    /// Lets a request of a route that gives work away in, or not.
    pub(super) fn enter(&'static self, priority: Priority) -> Result<Heavy, u32> {
        let limit = self.limit.load(Relaxed);
        if limit != NONE && self.under_way.load(Relaxed) >= share(limit, priority) {
            return Err(limit);
        }
        self.under_way.fetch_add(1, Relaxed);
        Ok(Heavy(self))
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
        self.0.under_way.fetch_sub(1, Relaxed);
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn where_the_first_waits_for_too_long_who_gives_work_away_is_shed_the_lowest_priority_first() {
        let queue: &'static Queue = Box::leak(Box::new(Queue::new()));
        let mut places = Vec::new();
        for _ in 0..PLACES {
            places.push(queue.place().await);
        }
        let held: Vec<_> = (0..FLOOR / 2).map(|_| queue.enter(Priority::Low).unwrap()).collect();
        let waiting = tokio::spawn(queue.place());
        for _ in 0..8 {
            tokio::time::advance(Duration::from_millis(100)).await;
            queue.look();
            // Another worker that looks at the same time changes nothing.
            queue.look();
        }
        assert_eq!(queue.enter(Priority::Low).unwrap_err(), FLOOR);
        assert!(queue.enter(Priority::Normal).is_ok());
        // Nobody waits any more: there is no limit in the end.
        drop(places);
        drop(waiting.await.unwrap());
        drop(held);
        for _ in 0..80 {
            tokio::time::advance(Duration::from_millis(50)).await;
            queue.look();
        }
        assert_eq!(queue.limit.load(Relaxed), NONE);
        assert_eq!(queue.under_way.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_is_out_of_the_line() {
        let queue: &'static Queue = Box::leak(Box::new(Queue::new()));
        let mut places = Vec::new();
        for _ in 0..PLACES {
            places.push(queue.place().await);
        }
        let before = given();
        let mut waiting = Box::pin(queue.place());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!((lock(&queue.waiting).since.len(), given() - before), (1, 1));
        drop(waiting);
        assert!(lock(&queue.waiting).since.is_empty());
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
