//! The buckets of one window, one per key: the generic cell rate algorithm (ITU-T I.371) in a word each.
//!
//! A bucket is the time at which it will be full again, and a bucket that is full is the same as none. So a
//! word holds a key's tag and that time, sets of words are searched without a lock, and what has run out is
//! written over at no loss. The table grows with the keys that are in use, up to 16.5 MiB per window and a
//! bound over all windows.
//!
//! When every word of a key's set is in use and nothing can grow, the new key takes the place of the one that
//! owes least, *and its debt with it* (the rule of Space-Saving summaries). So nobody gets a fresh bucket by
//! flooding the table with keys: what errs then errs towards refusing.
//!
//! Tags have 24 bits within a set of 16 chosen by 8 to 17 others, of a hash with a secret: that two clients
//! share a bucket by chance is one in a million, and nobody can make it happen.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Time units per request: what a decision may be off by is a 256th of a request.
const UNIT: u64 = 256;
/// Bits of a word that are time; the others are the tag. Time wraps around.
const TIME_BITS: u32 = 40;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// Words of a set: two cache lines.
const SET: usize = 16;
/// Segments and words per segment of each level: a level is used when the one before it has no room.
const LEVELS: [(usize, usize); 3] = [(1, 1 << 12), (1, 1 << 16), (16, 1 << 17)];

/// What the tables of all windows together may still grow by.
#[derive(Debug)]
pub struct Room(AtomicUsize);

/// See the module.
pub struct Buckets {
    hasher: RandomState,
    begun: Instant,
    /// Units per window.
    rate: u128,
    window: u128,
    depth: u64,
    levels: [Box<[Segment]>; 3],
    room: Arc<Room>,
}

type Segment = OnceLock<Box<[AtomicU64]>>;

/// A key, hashed with the table's secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key(u64);

/// What a bucket owes, in units: 0 is a full bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debt(u64);

// === impl Room ===

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(128 << 20))
    }
}

impl Room {
    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(bytes)).is_ok()
    }
}

// === impl Buckets ===

impl Buckets {
    /// Buckets of `depth` requests that refill by `limit` per `window`.
    #[must_use]
    pub fn new(limit: u64, window: Duration, depth: u64, room: Arc<Room>) -> Self {
        Self {
            hasher: RandomState::new(),
            begun: Instant::now(),
            rate: u128::from(limit.max(1)) * u128::from(UNIT),
            window: window.as_nanos().max(1),
            // Half of the time that a word can tell apart is room enough to notice what has run out.
            depth: depth.clamp(1, TIME / UNIT / 2) * UNIT,
            levels: LEVELS.map(|(segments, _)| (0..segments).map(|_| OnceLock::new()).collect()),
            room,
        }
    }

    /// The buckets of an entry, all full.
    #[must_use]
    pub fn of(entry: &super::Settings, room: Arc<Room>) -> Self {
        Self::new(entry.limit, entry.window, entry.burst, room)
    }

    /// Hashes a key.
    pub fn key(&self, kind: u8, bytes: &[u8]) -> Key {
        Key(self.hasher.hash_one((kind, bytes)))
    }

    /// What the key's bucket owes now.
    pub fn owed(&self, key: Key, now: Instant) -> Debt {
        let now = self.units(now);
        Debt(self.find(key).map_or(0, |(_, word)| self.debt(word, now)))
    }

    /// Whether a bucket with this debt holds a request.
    pub const fn admits(&self, debt: Debt) -> bool {
        debt.0 + UNIT <= self.depth
    }

    /// Takes a request out of the key's bucket.
    pub fn take(&self, key: Key, now: Instant) -> Result<Debt, Debt> {
        let now = self.units(now);
        loop {
            let Some((slot, word)) = self.find(key) else {
                match self.insert(key, now) {
                    Some(outcome) => return outcome,
                    None => continue,
                }
            };
            let taken = self.admit(self.debt(word, now))?;
            if slot.compare_exchange(word, key.word(now, taken.0), SeqCst, SeqCst).is_ok() {
                return Ok(taken);
            }
        }
    }

    /// Puts a request back that was taken.
    pub fn refund(&self, key: Key, now: Instant) {
        let now = self.units(now);
        while let Some((slot, word)) = self.find(key) {
            let left = self.debt(word, now).saturating_sub(UNIT);
            if slot.compare_exchange(word, key.word(now, left), SeqCst, SeqCst).is_ok() {
                return;
            }
        }
    }

    /// How many requests a bucket with this debt still holds.
    pub const fn remaining(&self, debt: Debt) -> u64 {
        (self.depth - debt.0) / UNIT
    }

    /// Until a bucket with this debt is full.
    pub fn until_full(&self, debt: Debt) -> Duration {
        self.duration(debt.0)
    }

    /// Until a bucket with this debt holds a request.
    pub fn until_next(&self, debt: Debt) -> Duration {
        self.duration((debt.0 + UNIT).saturating_sub(self.depth))
    }

    /// Bytes that the tables take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.levels.iter().flatten().filter_map(OnceLock::get).map(|segment| segment.len() * 8).sum()
    }

    fn units(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.begun).as_nanos();
        (since * self.rate / self.window) as u64 & TIME
    }

    fn duration(&self, units: u64) -> Duration {
        let nanos = u128::from(units) * self.window / self.rate;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What is owed by the bucket in a word: nothing if its time is past, or none that it could have.
    const fn debt(&self, word: u64, now: u64) -> u64 {
        let debt = word.wrapping_sub(now) & TIME;
        if word == 0 || debt > self.depth { 0 } else { debt }
    }

    const fn admit(&self, debt: u64) -> Result<Debt, Debt> {
        if self.admits(Debt(debt)) { Ok(Debt(debt + UNIT)) } else { Err(Debt(debt)) }
    }

    /// The key's sets, as far as they are there.
    fn sets(&self, key: Key) -> impl Iterator<Item = &[AtomicU64]> {
        (0..LEVELS.len()).filter_map(move |level| self.set(level, key, false))
    }

    fn set(&self, level: usize, key: Key, grow: bool) -> Option<&[AtomicU64]> {
        let (segments, words) = LEVELS[level];
        // Each level has bits of its own, so that keys which meet in one part in the next.
        let bits = (key.0 >> [0, 8, 20][level]) as usize;
        let segment = &self.levels[level][bits % segments];
        let table = match segment.get() {
            Some(table) => table,
            None if grow && (level == 0 || self.room.take(words * 8)) => {
                segment.get_or_init(|| (0..words).map(|_| AtomicU64::new(0)).collect())
            }
            None => return None,
        };
        let start = (bits / segments) % (words / SET) * SET;
        table.get(start..start + SET)
    }

    fn find(&self, key: Key) -> Option<(&AtomicU64, u64)> {
        let tag = key.tag();
        self.sets(key).flatten().find_map(|slot| {
            let word = slot.load(SeqCst);
            (word >> TIME_BITS == tag).then_some((slot, word))
        })
    }

    /// Gives a key that has none a bucket, and takes a request out of it. Nothing when somebody was quicker.
    fn insert(&self, key: Key, now: u64) -> Option<Result<Debt, Debt>> {
        let (mut least, mut chosen) = (u64::MAX, None);
        'search: for grow in [false, true] {
            for set in (0..LEVELS.len()).filter_map(|level| self.set(level, key, grow)) {
                for slot in set {
                    let word = slot.load(SeqCst);
                    if word >> TIME_BITS == key.tag() {
                        return None;
                    }
                    let debt = self.debt(word, now);
                    if debt < least {
                        (least, chosen) = (debt, Some((slot, word)));
                    }
                    if debt == 0 {
                        break 'search;
                    }
                }
            }
        }
        let (slot, word) = chosen?;
        let taken = match self.admit(least) {
            Ok(taken) => taken,
            refused => return Some(refused),
        };
        slot.compare_exchange(word, key.word(now, taken.0), SeqCst, SeqCst).ok()?;
        self.join(key, now);
        Some(Ok(taken))
    }

    /// Two may have given one key a bucket at the same time: the first in order stays and takes over what the
    /// other owes. Whoever came later sees both, since each looks after it has written.
    fn join(&self, key: Key, now: u64) {
        let tag = key.tag();
        let is_its = |slot: &&AtomicU64| slot.load(SeqCst) >> TIME_BITS == tag;
        let mut its = self.sets(key).flatten().filter(is_its);
        let Some(first) = its.next() else { return };
        for other in its {
            let word = other.load(SeqCst);
            if word >> TIME_BITS != tag || other.compare_exchange(word, 0, SeqCst, SeqCst).is_err() {
                continue;
            }
            let more = self.debt(word, now);
            let _ = first.fetch_update(SeqCst, SeqCst, |word| {
                let joined = (self.debt(word, now) + more).min(self.depth);
                (word >> TIME_BITS == tag).then(|| key.word(now, joined))
            });
        }
    }
}

// === impl Key ===

impl Key {
    /// Never 0, which is an empty word's.
    const fn tag(self) -> u64 {
        let tag = self.0 >> TIME_BITS;
        if tag == 0 { 1 } else { tag }
    }

    const fn word(self, now: u64, debt: u64) -> u64 {
        self.tag() << TIME_BITS | ((now + debt) & TIME)
    }
}

impl std::fmt::Debug for Buckets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buckets").field("depth", &(self.depth / UNIT)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
