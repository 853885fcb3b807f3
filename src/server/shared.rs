//! What all threads of a process share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{gateway::Gateway, telemetry::Instruments};

/// See the module.
#[derive(Debug)]
pub struct Shared {
    /// The generation that serves.
    pub gateway: ArcSwap<Gateway>,
    /// Its number, read once per request; the swap above is read only when it changed.
    generation: AtomicU64,
    /// Wakes the workers after a swap.
    pub generations: watch::Sender<u64>,
    /// Metrics.
    pub instruments: Arc<Instruments>,
    connections: AtomicUsize,
}

impl Shared {
    /// What the threads of a process start with.
    #[must_use]
    pub fn new(gateway: Gateway, instruments: Arc<Instruments>) -> Self {
        let generation = gateway.generation;
        instruments.generation.set(generation as f64);
        Self {
            gateway: ArcSwap::from_pointee(gateway),
            generation: AtomicU64::new(generation),
            generations: watch::channel(generation).0,
            instruments,
            connections: AtomicUsize::new(0),
        }
    }

    /// Makes a gateway the one that serves: requests that begin after this see it, those under way keep theirs.
    pub fn swap(&self, gateway: Gateway) {
        let generation = gateway.generation;
        self.gateway.store(Arc::new(gateway));
        self.generation.store(generation, Ordering::Release);
        self.generations.send_replace(generation);
        self.instruments.generation.set(generation as f64);
    }

    pub(super) fn current_generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.instruments.connections.increment(1.0);
    }

    pub(super) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        self.instruments.connections.decrement(1.0);
    }

    /// Past `limits.maxConnections` accepting pauses.
    pub(super) fn at_capacity(&self) -> bool {
        let most = self.gateway.load().plan.gateway.limits.max_connections as usize;
        self.connections.load(Ordering::Relaxed) >= most
    }
}
