//! What the reader of a connection, the one that answers and the watchdog tell each other.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::Refusal;

/// See the module. All of it is said on one thread.
#[derive(Debug, Default)]
pub(in crate::server) struct Link {
    refusal: OnceLock<Refusal>,
    /// The last message that began has ended.
    between: AtomicBool,
    /// A head has begun to arrive, be it behind a request that is being answered.
    head: AtomicBool,
    /// That head has had its time.
    late: AtomicBool,
    switched: AtomicBool,
    held: AtomicBool,
    lingering: AtomicBool,
    misplaced: AtomicBool,
}

impl Link {
    /// Bytes were judged: whether a head has begun and is not whole, and whether no message is under way.
    pub(in crate::server) fn judged(&self, begun: bool, between: bool) {
        self.head.store(begun, Relaxed);
        self.between.store(between, Relaxed);
    }

    /// Whether no message is under way. Never over HTTP/2.
    pub(in crate::server) fn is_between(&self) -> bool {
        self.between.load(Relaxed) && !self.is_lingering() && !self.is_switched()
    }

    pub(in crate::server) fn has_begun(&self) -> bool {
        self.head.load(Relaxed)
    }

    /// A head's time is over. Whether one had begun.
    pub(in crate::server) fn expire(&self) -> bool {
        self.has_begun() && !self.late.swap(true, Relaxed)
    }

    /// The first head's time was over before it could be read.
    pub(in crate::server) fn began_late(&self) {
        self.late.store(true, Relaxed);
    }

    pub(in crate::server) fn is_late(&self) -> bool {
        self.late.load(Relaxed)
    }

    /// A head was refused, which happens once.
    pub(in crate::server) fn refuse(&self, refusal: Refusal) {
        let _ = self.refusal.set(refusal);
    }

    pub(in crate::server) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get().copied()
    }

    /// The protocol is another one after the present answer.
    pub(in crate::server) fn switch(&self) {
        self.switched.store(true, Relaxed);
    }

    pub(in crate::server) fn is_switched(&self) -> bool {
        self.switched.load(Relaxed)
    }

    /// Bytes wait for the end of the present answer.
    pub(in crate::server) fn hold(&self) {
        self.held.store(true, Relaxed);
    }

    /// Whether bytes waited for what has ended now; nothing else wakes the codec for them.
    pub(in crate::server) fn release(&self) -> bool {
        self.held.load(Relaxed) && self.held.swap(false, Relaxed)
    }

    /// Whatever comes is answered that it should have come over TLS.
    pub(in crate::server) fn misplace(&self) {
        self.misplaced.store(true, Relaxed);
    }

    pub(in crate::server) fn is_misplaced(&self) -> bool {
        self.misplaced.load(Relaxed)
    }

    /// The last answer is written and the connection is emptied.
    pub(in crate::server) fn linger(&self) {
        self.lingering.store(true, Relaxed);
    }

    pub(in crate::server) fn is_lingering(&self) -> bool {
        self.lingering.load(Relaxed)
    }
}
