//! Tokens that were verified a moment ago.
//!
//! A token is found by the end of its signature, which is as good as random, and is then compared in full: hashing all
//! of it with a hash that nobody can collide would cost more than everything else that is done for it. What is
//! compared tells nothing to whoever does not know that end already, and who does has seen the token.
//!
//! Only good tokens get in, so nobody who lacks one can fill it. Whoever has many of them fills what is theirs:
//! the algorithm (S3-FIFO) lets what is asked for once go before what is asked for again, and the bound counts
//! bytes.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use quick_cache::{Equivalent, Weighter, sync};

use crate::principal::Principal;

/// What one issuer's tokens may take.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// About as many small ones as fit.
const ABOUT: usize = 8192;
/// Of the cache and the principal, besides the claims and what indexes them.
const OVERHEAD: u64 = 512;
/// What a token is found by: 24 bytes of its signature.
const END: usize = 32;

/// See the module.
pub(super) struct Cache(sync::Cache<Known, Entry, Bytes>);

/// A token that was good.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) principal: Arc<Principal>,
    /// When it was verified, in seconds since the epoch: a clock that was set back tells nothing.
    pub(super) since: f64,
    /// Until when that may be taken for granted.
    pub(super) until: f64,
    /// The set that its key is of.
    pub(super) keys: u64,
}

/// A token that was good, as it came.
#[derive(PartialEq, Eq)]
struct Known(Box<str>);

/// One that comes.
struct Shown<'a>(&'a str);

#[derive(Clone)]
struct Bytes;

// === impl Known ===

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Shown(&self.0).hash(state);
    }
}

// === impl Shown ===

impl Hash for Shown<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes().last_chunk::<END>().map_or(self.0.as_bytes(), |end| end));
    }
}

impl Equivalent<Known> for Shown<'_> {
    fn equivalent(&self, known: &Known) -> bool {
        *self.0 == *known.0
    }
}

// === impl Bytes ===

impl Weighter<Known, Entry> for Bytes {
    fn weight(&self, token: &Known, entry: &Entry) -> u64 {
        // The index takes at most about as much again as the text, twice where values are short.
        let claims = entry.principal.claims.as_ref().map_or(0, |claims| claims.bytes().len());
        OVERHEAD + token.0.len() as u64 + 3 * claims as u64
    }
}

// === impl Cache ===

impl Cache {
    pub(super) fn new() -> Self {
        Self(sync::Cache::with_weighter(ABOUT, MOST_BYTES, Bytes))
    }

    pub(super) fn get(&self, token: &str) -> Option<Entry> {
        self.0.get(&Shown(token))
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&self, token: &str, entry: Entry) {
        self.0.insert(Known(token.into()), entry);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("tokens", &self.0.len()).finish()
    }
}
