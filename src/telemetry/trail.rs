//! A call's way back to its request's record, for those who learn how it goes.

use std::{sync::Arc, time::Instant};

use http::{StatusCode, Uri};

use super::{
    CallRecord, Exchange,
    record::{Left, Stream},
};
use crate::problem::Kind;

/// See the module.
#[derive(Clone, Debug)]
pub struct Trail {
    exchange: Arc<Exchange>,
    number: u32,
    /// The call goes on when its request's record is written.
    pub outlives: bool,
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

/// The call of a step: given up if it is dropped before it has ended.
#[derive(Debug)]
pub struct Underway {
    trail: Trail,
    ended: bool,
}

// === impl Underway ===

impl Underway {
    /// A call that has begun.
    #[must_use]
    pub const fn new(trail: Trail) -> Self {
        Self { trail, ended: false }
    }

    /// Its trail.
    #[must_use]
    pub const fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Its answer's body is the request's answer: whoever follows that tells its end.
    pub fn streams(mut self) {
        self.ended = true;
    }

    /// As [`Trail::ended`].
    pub fn ended(mut self, outcome: Result<u64, Kind>, at: Instant) {
        self.ended = true;
        self.trail.ended(outcome, at);
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.ended {
            self.trail.left(tokio::time::Instant::now().into_std());
        }
    }
}

// === impl Trail ===

impl Trail {
    /// Notes that a call begins.
    #[must_use]
    pub fn begin(exchange: &Arc<Exchange>, call: CallRecord) -> Self {
        let number = exchange.record().calls.begin(call);
        Self { exchange: Arc::clone(exchange), number, outlives: false }
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
            call.went(sent, since);
            match answer {
                Ok(status) => (call.head_us, call.status) = (at.max(1), Some(status)),
                Err(kind) => (call.ended_us, call.failure, call.left) = (at.max(1), Some(kind), None),
            }
        });
    }

    /// It goes out like this, and may outlive its request's record.
    pub fn goes(&self, sent: Sent) {
        let since = sent.since.map(|since| self.exchange.micros(since));
        self.with(|call| call.went(sent, since));
    }

    /// Notes what it asks for, where that is not what the request does. Shares it: whether a trace is told may be
    /// known only at its end.
    pub fn asks(&self, target: &Uri) {
        self.with(|call| call.target = target.path_and_query().cloned());
    }

    /// Nobody waits for its answer any more, so it is given up. `sent` is how it went out.
    pub fn dropped(&self, sent: Sent, at: Instant) {
        self.goes(sent);
        self.left(at);
    }

    /// The same of one whose answer has begun, or that was not sent yet.
    fn left(&self, at: Instant) {
        let at = self.exchange.micros(at);
        self.with(|call| {
            if call.ended_us > 0 {
                return;
            }
            call.ended_us = at.max(1);
            if at >= call.due_us {
                call.failure = Some(Kind::DeadlineExceeded);
            } else {
                call.left = Some(Left::Cancelled);
            }
        });
    }

    /// Its answer's body is the request's answer from here on.
    pub fn begins_stream(&self) {
        self.with(|call| call.stream = Stream::Open);
    }

    /// Nobody reads that body any more, of which so many bytes have passed. Why is known when the request ends.
    pub fn leaves_stream(&self, bytes: u64, at: Instant) {
        let at = self.exchange.micros(at);
        self.with(|call| (call.stream, call.ended_us, call.bytes) = (Stream::Dropped, at.max(1), bytes));
    }

    /// The body has ended, well or not, after so many bytes.
    pub fn ends_stream(&self, bytes: u64, outcome: Result<(), Kind>, at: Instant) {
        let at = self.exchange.micros(at);
        self.with(|call| (call.ended_us, call.bytes, call.failure) = (at.max(1), bytes, outcome.err()));
    }

    /// It has ended: with an answer whose body had so many bytes, or not well.
    pub fn ended(&self, outcome: Result<u64, Kind>, at: Instant) {
        let at = self.exchange.micros(at);
        self.with(|call| {
            // Also of one that was told as late.
            (call.ended_us, call.left) = (at.max(1), None);
            match outcome {
                Ok(bytes) => call.bytes = bytes,
                Err(kind) => call.failure = Some(kind),
            }
        });
    }

    fn with(&self, change: impl FnOnce(&mut CallRecord)) {
        // What is written of a record once is not written again, but calls may outlive that.
        if let Some(call) = self.exchange.record().calls.get_mut(self.number) {
            change(call);
        }
    }
}
