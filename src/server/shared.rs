//! What all threads of a process share.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{
    config::gateway::LimitsTemplate,
    descriptors::{Share, Taken},
    gateway::Gateway,
    memory::Memory,
    telemetry::{Instruments, clock},
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
    /// When it may be said again that no more clients are served, in seconds of [`clock`].
    full_again: AtomicU32,
}

/// How often that is said.
const SAY_FULL_EVERY: u32 = 60;

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
            full_again: AtomicU32::new(0),
        }
    }

    /// Says, once in a while, that accepting pauses because as many clients are connected as may be.
    pub(super) fn say_if_full(&self) {
        let clients = self.clients();
        if clients.is_full() && clock::now() >= self.full_again.load(Ordering::Relaxed) {
            self.full_again.store(clock::now() + SAY_FULL_EVERY, Ordering::Relaxed);
            let most = clients.most();
            tracing::warn!(
                most,
                "as many clients are connected as may be: accepting pauses until one leaves"
            );
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
    pub fn clients(&self) -> &Arc<Share> {
        &self.network.descriptors.clients
    }
}

fn share_out(network: &Network, gateway: &Gateway) {
    let most = gateway.plan.gateway.limits.max_connections;
    let asked = most != LimitsTemplate::default().max_connections;
    network.descriptors.share_out(usize::try_from(most).unwrap_or(usize::MAX), asked);
}
