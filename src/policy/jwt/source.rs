//! Where an issuer's keys come from, as whoever verifies sees it: the last good set, and ways to wait for one.
//!
//! Nothing is fetched here. A task of the control plane holds the other end: it fetches when it is time or when
//! it is asked to, one fetch at a time however many ask, and says how each ended. What a worker does is read a
//! pointer; only a request that can be judged in no other way waits, and its deadline bounds that.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::Instant,
};

use super::keys::KeySet;

/// A fetch that begins within this time is worth waiting for.
const SOON: Duration = Duration::from_millis(500);

/// See the module.
pub struct Source {
    /// The last good set.
    current: ArcSwapOption<KeySet>,
    /// Between two fetches that unknown keys ask for; none where nothing is fetched.
    cooldown: Option<Duration>,
    state: Mutex<State>,
    /// A fetch has ended.
    ended: Arc<Notify>,
    /// A key is unknown.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    /// A fetch is under way since then.
    fetching: Option<Instant>,
    /// When the last fetch that has ended had begun, and when it ended.
    last: Option<(Instant, Instant)>,
    /// When the next one begins on its own.
    next: Option<Instant>,
    /// When unknown keys last made one begin.
    asked: Option<Instant>,
}

/// What a request can do that lacks a key.
pub(super) enum Lack {
    /// Wait: a fetch under way may bring it.
    Wait(OwnedNotified),
    /// There is no set at all, and none for so long.
    Unavailable(Duration),
    /// The set is as good as it gets.
    Final,
}

// === impl Source ===

impl Source {
    /// Keys that are there for good: of a file.
    #[must_use]
    pub fn fixed(keys: Arc<KeySet>) -> Arc<Self> {
        Arc::new(Self::new(Some(keys), None))
    }

    /// Keys that a task will fetch.
    #[must_use]
    pub fn fetched(cooldown: Duration) -> Arc<Self> {
        Arc::new(Self::new(None, Some(cooldown)))
    }

    /// Keys that nobody fetches.
    #[must_use]
    pub fn never() -> Arc<Self> {
        Arc::new(Self::new(None, None))
    }

    fn new(keys: Option<Arc<KeySet>>, cooldown: Option<Duration>) -> Self {
        Self {
            current: ArcSwapOption::new(keys),
            cooldown,
            state: Mutex::default(),
            ended: Arc::default(),
            wanted: Notify::new(),
        }
    }

    /// The last good set.
    #[must_use]
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.current.load_full()
    }

    /// Whether it is the last good set that has this id.
    pub(super) fn is_current(&self, id: u64) -> bool {
        self.current.load().as_ref().is_some_and(|current| current.id == id)
    }

    /// What a request that came at this time can do about having no set.
    pub(super) fn lacks_set(&self, since: Instant) -> Lack {
        // Before the look at the state: no end of a fetch falls between.
        let ended = Arc::clone(&self.ended).notified_owned();
        let state = self.state();
        if self.current.load().is_some() {
            return Lack::Final;
        }
        if self.cooldown.is_none() {
            return Lack::Unavailable(Duration::ZERO);
        }
        let now = Instant::now();
        let left = state.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        if state.last.is_some_and(|(_, ended)| ended >= since) || (state.fetching.is_none() && left > SOON) {
            return Lack::Unavailable(left);
        }
        Lack::Wait(ended)
    }

    /// What a request that came at this time can do about a key that the set does not have.
    pub(super) fn lacks_key(&self, since: Instant) -> Lack {
        let Some(cooldown) = self.cooldown else { return Lack::Final };
        let ended = Arc::clone(&self.ended).notified_owned();
        let mut state = self.state();
        // What was fetched since then is as new as it gets, and no request makes two fetches.
        if state.last.is_some_and(|(begun, _)| begun >= since) {
            return Lack::Final;
        }
        if state.fetching.is_none() {
            let now = Instant::now();
            if state.asked.is_some_and(|asked| now < asked + cooldown) {
                return Lack::Final;
            }
            state.asked = Some(now);
            state.fetching = Some(now);
            self.wanted.notify_one();
        }
        Lack::Wait(ended)
    }

    /// A fetch begins, for the task.
    pub fn begin(&self) {
        self.state().fetching.get_or_insert_with(Instant::now);
    }

    /// A fetch has ended: with a new set, or with what was there before. Says when the next one begins.
    pub fn end(&self, keys: Option<Arc<KeySet>>, next: Duration) {
        if let Some(keys) = keys {
            self.current.store(Some(keys));
        }
        {
            let mut state = self.state();
            let now = Instant::now();
            state.last = Some((state.fetching.take().unwrap_or(now), now));
            state.next = Some(now + next);
        }
        self.ended.notify_waiters();
    }

    /// Waits until somebody lacks a key, for the task.
    pub async fn wanted(&self) {
        // A word that came while a fetch was about to begin anyway is answered by that one.
        while self.state().fetching.is_none() {
            self.wanted.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("keys", &self.current.load()).finish_non_exhaustive()
    }
}
