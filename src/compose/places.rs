//! How many pieces of work are done aside at the same time, in this process and of one unit: the others find a
//! place however much one of them evaluates.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More would only take the processors from the workers.
const ALL: usize = 4;

/// How many of them one unit may have.
const SHARE: usize = 2;

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _of_unit: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

struct Places {
    all: Arc<Semaphore>,
    /// The share of each unit there ever was, of which configurations have few.
    shares: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// Waits for a place of the unit's share, and then for one of all: nobody has more than a share of every other unit
/// before it. `None` only if there are none at all.
pub(super) async fn take(unit: &Arc<str>) -> Option<Place> {
    let (share, all) = process(|places| (places.share(unit), Arc::clone(&places.all)));
    let _of_unit = share.acquire_owned().await.ok()?;
    Some(Place { _of_unit, _of_all: all.acquire_owned().await.ok()? })
}

#[cfg(not(test))]
fn process<T>(take: impl FnOnce(&Places) -> T) -> T {
    static PROCESS: std::sync::LazyLock<Places> = std::sync::LazyLock::new(Places::default);
    take(&PROCESS)
}

/// A test has a thread and places of its own: while it waited for those of others, its clock would run.
#[cfg(test)]
fn process<T>(take: impl FnOnce(&Places) -> T) -> T {
    thread_local! {
        static THREAD: Places = Places::default();
    }
    THREAD.with(take)
}

impl Default for Places {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), shares: Mutex::default() }
    }
}

impl Places {
    fn share(&self, unit: &Arc<str>) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(unit) {
            return Arc::clone(share);
        }
        let share = Arc::new(Semaphore::new(SHARE));
        shares.insert(Arc::clone(unit), Arc::clone(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_unit_has_all_places_and_a_given_back_one_is_taken_again() {
        let units = ["a", "b", "c"].map(Arc::<str>::from);
        let mut held = Vec::new();
        for _ in 0..SHARE {
            held.push(take(&units[0]).now_or_never().unwrap());
        }
        assert!(take(&units[0]).now_or_never().is_none());
        for _ in SHARE..ALL {
            held.push(take(&units[1]).now_or_never().unwrap());
        }
        assert!(take(&units[2]).now_or_never().is_none());
        held.pop();
        assert!(take(&units[0]).now_or_never().is_none());
        assert!(take(&units[2]).now_or_never().is_some());
    }
}
