//! Keys of issuers: read from files, or fetched by the control plane and kept across reloads.
//!
//! The store outlives every gateway. A gateway asks it for verifiers when it is built; whatever it still has in
//! the same form is kept, with its keys and with the tokens that were verified by them. Sources that no gateway
//! uses any more end by themselves.
//!
//! Absent: no worker fetches, no request begins more than one fetch, and nothing that an issuer answers can take a
//! set away that was good.

mod discovery;
mod fetch;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use crate::{
    diagnostic::{Code, Diagnostic},
    policy::{
        authenticate::{Authenticator, Consumers, Issuer, KeySource, Settings},
        jwt::{KeySet, Source, Verifier},
    },
    principal::Consumer,
    telemetry::identity::KeyInstruments,
    upstream::{Network, secret::Sources},
};

/// See the module.
pub struct Store {
    fetcher: Option<Fetcher>,
    state: Mutex<State>,
}

/// What fetches.
struct Fetcher {
    runtime: tokio::runtime::Handle,
    network: Arc<Network>,
    instruments: KeyInstruments,
}

#[derive(Default)]
struct State {
    files: Vec<(String, [u8; 32], Weak<Source>)>,
    fetched: Vec<(Origin, Weak<Source>)>,
    consumers: Weak<Consumers>,
    verifiers: Vec<Weak<Verifier>>,
}

/// What a source that is fetched is told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    issuer: String,
    keys: KeySource,
    cooldown: Duration,
}

// === impl Store ===

impl Store {
    /// A store whose keys are fetched by tasks of this runtime.
    #[must_use]
    pub fn new(
        runtime: tokio::runtime::Handle,
        network: Arc<Network>,
        instruments: KeyInstruments,
    ) -> Arc<Self> {
        let fetcher = Some(Fetcher { runtime, network, instruments });
        Arc::new(Self { fetcher, state: Mutex::default() })
    }

    /// A store that fetches nothing, for tests of templates: keys are those of files, or not there.
    #[must_use]
    pub fn offline() -> Arc<Self> {
        Arc::new(Self { fetcher: None, state: Mutex::default() })
    }

    /// An index over Consumers: the last one, if nothing has changed.
    pub fn consumers(&self, all: &[Arc<Consumer>]) -> Arc<Consumers> {
        let mut state = self.state();
        if let Some(last) = state.consumers.upgrade().filter(|last| last.same(all)) {
            return last;
        }
        let fresh = Arc::new(Consumers::new(all));
        state.consumers = Arc::downgrade(&fresh);
        fresh
    }

    /// Prepares a policy. A file of keys that cannot be read, or has no usable key, is a finding.
    pub fn authenticator(
        &self,
        settings: &Settings,
        consumers: &Arc<Consumers>,
        sources: &dyn Sources,
        findings: &mut Vec<Diagnostic>,
    ) -> Authenticator {
        Authenticator::new(settings, consumers, |issuer| {
            let source = match &issuer.keys {
                KeySource::File(path) => match self.file(path, issuer, sources) {
                    Ok(source) => source,
                    Err(_) if self.fetcher.is_none() => Source::never(),
                    Err(finding) => {
                        if !findings.iter().any(|known| known.place == finding.place) {
                            findings.push(finding);
                        }
                        Source::fixed(Arc::new(KeySet::empty()))
                    }
                },
                KeySource::Uri(_) | KeySource::Discover => self.fetched(issuer),
            };
            self.verifier(issuer, source, consumers)
        })
    }

    #[expect(clippy::result_large_err, reason = "a finding of load time travels one call up")]
    fn file(&self, path: &str, issuer: &Issuer, sources: &dyn Sources) -> Result<Arc<Source>, Diagnostic> {
        let bytes = sources.keys(path).map_err(|error| {
            let why = format!("`jwks.file: {path}`: it cannot be read: {error}");
            Diagnostic::new(Code::InvalidKeys, issuer.place.clone(), why)
        })?;
        let hash: [u8; 32] = digest(&SHA256, &bytes).as_ref().try_into().unwrap_or_default();
        let mut state = self.state();
        state.files.retain(|(_, _, source)| source.strong_count() > 0);
        let known = state.files.iter().find(|(known, of, _)| known == path && *of == hash);
        if let Some(source) = known.and_then(|(_, _, source)| source.upgrade()) {
            return Ok(source);
        }
        let keys = KeySet::of_file(path, Bytes::from(bytes), &issuer.place)?;
        warn_of_skipped(path, &keys);
        let source = Source::fixed(Arc::new(keys));
        state.files.push((path.to_owned(), hash, Arc::downgrade(&source)));
        Ok(source)
    }

    fn fetched(&self, issuer: &Issuer) -> Arc<Source> {
        let Some(fetcher) = &self.fetcher else { return Source::never() };
        let origin =
            Origin { issuer: issuer.issuer.clone(), keys: issuer.keys.clone(), cooldown: issuer.cooldown };
        let mut state = self.state();
        state.fetched.retain(|(_, source)| source.strong_count() > 0);
        let known = state.fetched.iter().find(|(known, _)| *known == origin);
        if let Some(source) = known.and_then(|(_, source)| source.upgrade()) {
            return source;
        }
        let source = Source::fetched(origin.cooldown);
        state.fetched.push((origin.clone(), Arc::downgrade(&source)));
        let network = Arc::clone(&fetcher.network);
        let series = fetcher.instruments.issuer(&origin.issuer);
        fetcher.runtime.spawn(fetch::keep(origin, Arc::downgrade(&source), network, series));
        source
    }

    fn verifier(
        &self,
        issuer: &Arc<Issuer>,
        source: Arc<Source>,
        consumers: &Arc<Consumers>,
    ) -> Arc<Verifier> {
        let mut state = self.state();
        state.verifiers.retain(|verifier| verifier.strong_count() > 0);
        let mut known = state.verifiers.iter().filter_map(Weak::upgrade);
        if let Some(verifier) = known.find(|known| known.is_for(issuer, &source, consumers)) {
            return verifier;
        }
        let fresh = Arc::new(Verifier::new(Arc::clone(issuer), source, Arc::clone(consumers)));
        state.verifiers.push(Arc::downgrade(&fresh));
        fresh
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys that are not used are somebody's mistake, and nobody's outage.
fn warn_of_skipped(from: &str, keys: &KeySet) {
    for (index, why) in &keys.skipped {
        tracing::warn!(from, key = index + 1, why, "a key is not used");
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
