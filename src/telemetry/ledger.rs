//! What of routes and services outlives a generation: which of them exist, and which label sets each has had.
//!
//! The room for label sets would be anew with every reload if each generation counted its own, while the series
//! of those before stay. And what of an older generation ends after its route is gone must not bring back a part
//! of the series that went with it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use metrics::{Counter, Histogram};

use super::{metric::Metric, registry::Registry, series::Sets};

/// Registers series of a route or a service as long as that exists; later ones count nowhere.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    registry: Arc<Registry>,
    exists: Arc<AtomicBool>,
}

/// Durations by what tells them apart besides route or endpoint.
pub(super) type Durations<K> = Arc<Sets<K, Histogram>>;

/// Routes or services by their names. `K` is what tells their label sets apart.
#[derive(Debug)]
pub(super) struct Ledger<K>(Mutex<HashMap<Box<str>, Entry<K>>>);

#[derive(Debug)]
struct Entry<K> {
    exists: Arc<AtomicBool>,
    /// By path of the route, or by endpoint of the service, of which a reload may make others.
    sets: Vec<(Box<str>, Durations<K>)>,
}

// === impl Lease ===

impl Lease {
    /// Of what always exists.
    pub(super) fn endless(registry: &Arc<Registry>) -> Self {
        Self { registry: Arc::clone(registry), exists: Arc::new(AtomicBool::new(true)) }
    }

    fn exists(&self) -> bool {
        self.exists.load(Relaxed)
    }

    pub(super) fn counter(&self, metric: &'static Metric, values: &[&str]) -> Counter {
        self.registry.counter_if(&|| self.exists(), metric, values)
    }

    /// Of a series that goes with the other one, too.
    pub(super) fn counter_with(&self, other: &Self, metric: &'static Metric, values: &[&str]) -> Counter {
        self.registry.counter_if(&|| self.exists() && other.exists(), metric, values)
    }

    pub(super) fn histogram(&self, metric: &'static Metric, values: &[&str]) -> Histogram {
        self.registry.histogram_if(&|| self.exists(), metric, values)
    }
}

// === impl Ledger ===

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> Ledger<K> {
    /// The lease of this name, and its label sets at each of these places.
    pub(super) fn enter(
        &self,
        registry: &Arc<Registry>,
        name: &str,
        places: impl Iterator<Item = Box<str>>,
    ) -> (Lease, Box<[Durations<K>]>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries
            .entry(name.into())
            .or_insert_with(|| Entry { exists: Arc::new(AtomicBool::new(true)), sets: Vec::new() });
        let sets = places.map(|place| match entry.sets.iter().find(|(known, _)| *known == place) {
            Some((_, sets)) => Arc::clone(sets),
            None => {
                let sets = Arc::default();
                entry.sets.push((place, Arc::clone(&sets)));
                sets
            }
        });
        let sets = sets.collect();
        (Lease { registry: Arc::clone(registry), exists: Arc::clone(&entry.exists) }, sets)
    }

    /// Ends the leases of other names. To be called before their series are dropped.
    pub(super) fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, entry| {
            let stays = exists(name);
            if !stays {
                entry.exists.store(false, Relaxed);
            }
            stays
        });
    }
}
