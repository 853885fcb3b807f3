//! What all threads of a process share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{
    descriptors::{Share, Taken},
    gateway::Gateway,
    memory::Memory,
    telemetry::Instruments,
    upstream::Network,
};

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
    /// How full the memory is.
    pub memory: Arc<Memory>,
    network: Arc<Network>,
}

impl Shared {
    /// What the threads of a process start with.
    #[must_use]
    pub fn new(gateway: Gateway, instruments: Arc<Instruments>, network: Arc<Network>) -> Self {
        let generation = gateway.generation;
        share_out(&network, &gateway);
        instruments.generation.set(generation as f64);
        Self {
            gateway: ArcSwap::from_pointee(gateway),
            generation: AtomicU64::new(generation),
            generations: watch::channel(generation).0,
            instruments,
            memory: Arc::default(),
            network,
        }
    }

    /// Makes a gateway the one that serves: requests that begin after this see it, those under way keep theirs.
    pub fn swap(&self, gateway: Gateway) {
        let generation = gateway.generation;
        share_out(&self.network, &gateway);
        self.gateway.store(Arc::new(gateway));
        self.generation.store(generation, Ordering::Release);
        self.generations.send_replace(generation);
        self.instruments.generation.set(generation as f64);
    }

    pub(super) fn current_generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Waits until another connection may be served.
    pub(super) async fn place(&self) -> Taken {
        self.memory.room().await;
        self.clients().wait().await
    }

    /// What connections of clients take one of. Past `limits.maxConnections` accepting pauses.
    pub(super) fn clients(&self) -> &Arc<Share> {
        &self.network.descriptors.clients
    }
}

fn share_out(network: &Network, gateway: &Gateway) {
    let most = usize::try_from(gateway.plan.gateway.limits.max_connections).unwrap_or(usize::MAX);
    network.descriptors.share_out(most);
}
