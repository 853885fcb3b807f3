//! Tokens that were verified a moment ago, by their hash.
//!
//! Only good tokens get in, so nobody who lacks one can fill it. Whoever has many of them fills what is theirs:
//! the algorithm (S3-FIFO) lets what is asked for once go before what is asked for again, and the bound counts
//! bytes.

use std::{fmt, sync::Arc};

use quick_cache::{Weighter, sync};

use crate::principal::Principal;

/// What one issuer's tokens may take.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// About as many small ones as fit.
const ABOUT: usize = 8192;
/// Of the cache and the principal, besides the claims and what indexes them.
const OVERHEAD: u64 = 512;

/// See the module.
pub(super) struct Cache(sync::Cache<[u8; 32], Entry, Bytes>);

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

#[derive(Clone)]
struct Bytes;

impl Weighter<[u8; 32], Entry> for Bytes {
    fn weight(&self, _: &[u8; 32], entry: &Entry) -> u64 {
        // The index takes at most about as much again as the text, twice where values are short.
        let claims = entry.principal.claims.as_ref().map_or(0, |claims| claims.bytes().len());
        OVERHEAD + 3 * claims as u64
    }
}

// === impl Cache ===

impl Cache {
    pub(super) fn new() -> Self {
        Self(sync::Cache::with_weighter(ABOUT, MOST_BYTES, Bytes))
    }

    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<Entry> {
        self.0.get(hash)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&self, hash: [u8; 32], entry: Entry) {
        self.0.insert(hash, entry);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("tokens", &self.0.len()).finish()
    }
}
