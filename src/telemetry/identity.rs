//! What is told about keys of issuers.

use std::sync::Arc;

use metrics::Counter;

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
    registry: Arc<Registry>,
    issuer: Box<str>,
}

/// Labels, by how a fetch ended.
const FETCHES: [&str; 3] = ["ok", "unreachable", "invalid"];

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
        let series = IssuerSeries { registry: Arc::clone(&self.0), issuer: issuer.into() };
        for result in FETCHES {
            series.fetches(result).increment(0);
        }
        series.keys(0);
        series
    }
}

// === impl IssuerSeries ===

impl IssuerSeries {
    /// A fetch has ended.
    pub fn fetched(&self, result: FetchResult) {
        self.fetches(FETCHES[result as usize]).increment(1);
    }

    /// So many keys of the set can be used.
    pub fn keys(&self, usable: usize) {
        self.registry.gauge(&KEYS, &[&self.issuer]).set(usable as f64);
    }

    // Looked up each time, which is seldom: a reload may have dropped it, and another one brought it back.
    fn fetches(&self, result: &str) -> Counter {
        self.registry.counter(&KEY_FETCHES, &[&self.issuer, result])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_that_a_reload_dropped_is_told_of_no_more_until_it_is_back() {
        let registry = Arc::new(Registry::new(1));
        let series = KeyInstruments::new(Arc::clone(&registry)).issuer("https://id.example.com");
        series.keys(2);
        let told = |what: &str| registry.render().contains(what);
        assert!(told("segue_keys{issuer=\"https://id.example.com\"} 2"));
        registry.retain("issuer", |_| false);
        assert!(!told("id.example.com"));
        series.keys(3);
        series.fetched(FetchResult::Ok);
        assert!(told("segue_keys{issuer=\"https://id.example.com\"} 3") && told("result=\"ok\"} 1"));
    }
}
