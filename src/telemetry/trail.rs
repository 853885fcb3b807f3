//! A call's way back to its request's record, for those who learn how it goes.

use std::{sync::Arc, time::Instant};

use http::StatusCode;

use super::{CallRecord, Exchange};
use crate::problem::Kind;

/// See the module.
#[derive(Clone, Debug)]
pub struct Trail {
    exchange: Arc<Exchange>,
    number: u32,
}

/// How a call went out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Since when whoever sends it had it.
    pub since: Option<Instant>,
    /// To which endpoint of its service, if one was chosen.
    pub endpoint: Option<u16>,
    /// On a connection that was there.
    pub reused: bool,
    /// Over HTTP/2.
    pub http2: bool,
    /// So often because pooled connections were closed.
    pub resends: u8,
}

// === impl Trail ===

impl Trail {
    /// Notes that a call begins.
    #[must_use]
    pub fn begin(exchange: &Arc<Exchange>, call: CallRecord) -> Self {
        let number = exchange.record().calls.begin(call);
        Self { exchange: Arc::clone(exchange), number }
    }

    /// The span that its `traceparent` names.
    #[must_use]
    pub fn span(&self) -> u64 {
        self.exchange.call_span(self.number)
    }

    /// The answer's head is there, or there will be none. `at` is when.
    pub fn answered(&self, sent: Sent, answer: Result<StatusCode, Kind>, at: Instant) {
        let since = sent.since.map(|since| self.exchange.micros(since));
        let at = self.exchange.micros(at);
        self.with(|call| {
            // A step's began when its step did: making its request is part of it.
            if call.step.is_none() {
                call.started_us = since.unwrap_or(0);
            }
            call.endpoint = sent.endpoint;
            (call.reused, call.http2, call.resends) = (sent.reused, sent.http2, sent.resends);
            match answer {
                Ok(status) => (call.head_us, call.status) = (at.max(1), Some(status)),
                Err(kind) => (call.ended_us, call.failure) = (at.max(1), Some(kind)),
            }
        });
    }

    /// It has ended: with an answer whose body had so many bytes, or not well.
    pub fn ended(&self, outcome: Result<u64, Kind>, at: Instant) {
        let at = self.exchange.micros(at);
        self.with(|call| {
            call.ended_us = at.max(1);
            match outcome {
                Ok(bytes) => call.bytes = bytes,
                Err(kind) => call.failure = Some(kind),
            }
        });
    }

    fn with(&self, change: impl FnOnce(&mut CallRecord)) {
        // None once the record has been written, which calls may outlive.
        if let Some(call) = self.exchange.record().calls.get_mut(self.number) {
            change(call);
        }
    }
}
