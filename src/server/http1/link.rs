//! What a connection of HTTP/1 and its watchdog tell each other.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// See the module. All of it is said on one thread.
#[derive(Debug, Default)]
pub(in crate::server) struct Link {
    /// The last message that began has ended.
    between: AtomicBool,
    /// A head has begun to arrive.
    head: AtomicBool,
    /// That head has had its time.
    late: AtomicBool,
    closing: AtomicBool,
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
        self.between.load(Relaxed) && !self.is_lingering()
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

    /// The gateway ends: no request after those that have begun.
    pub(in crate::server) fn close(&self) {
        self.closing.store(true, Relaxed);
    }

    pub(in crate::server) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
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
