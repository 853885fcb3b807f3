//! What is told about keys of issuers.

use std::sync::Arc;

use metrics::{Counter, Gauge};

use super::{
    metric::{KEY_FETCHES, KEYS},
    registry::Registry,
};

/// Instruments of keys.
#[derive(Clone, Debug)]
pub struct KeyInstruments(Arc<Registry>);

/// The instruments of one issuer.
#[derive(Debug)]
pub struct IssuerSeries {
    fetches: [Counter; 3],
    keys: Gauge,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchResult {
    /// With a set of keys.
    Ok,
    /// Without an answer.
    Unreachable,
    /// With an answer that is no set of keys.
    Invalid,
}

// === impl KeyInstruments ===

impl KeyInstruments {
    /// In the registry of the process.
    #[must_use]
    pub const fn new(registry: Arc<Registry>) -> Self {
        Self(registry)
    }

    /// Those of an issuer, by its name in the templates.
    #[must_use]
    pub fn issuer(&self, issuer: &str) -> IssuerSeries {
        let fetches = |result| self.0.counter(&KEY_FETCHES, &[issuer, result]);
        IssuerSeries {
            fetches: ["ok", "unreachable", "invalid"].map(fetches),
            keys: self.0.gauge(&KEYS, &[issuer]),
        }
    }
}

// === impl IssuerSeries ===

impl IssuerSeries {
    /// A fetch has ended.
    pub fn fetched(&self, result: FetchResult) {
        self.fetches[result as usize].increment(1);
    }

    /// So many keys of the set can be used.
    pub fn keys(&self, usable: usize) {
        self.keys.set(usable as f64);
    }
}
