//! Calls to services, as a request's record has them.

use http::{StatusCode, uri::PathAndQuery};

use super::{
    super::{Abort, trail::Sent},
    Verb,
};
use crate::problem::{Fault, Kind};

/// One attempt to call a service.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// In which run.
    pub scope: u16,
    /// For which step; none for the call of a proxy route.
    pub step: Option<u16>,
    /// For which item of it.
    pub item: Option<u32>,
    /// How many attempts of the same call came before it.
    pub tries: u8,
    /// Which service of the plan.
    pub service: u32,
    /// Which of its endpoints, once one was chosen.
    pub endpoint: Option<u16>,
    /// The call's method.
    pub method: Verb,
    /// When it began.
    pub started_us: u64,
    /// When the answer's head was there; 0 without one.
    pub head_us: u64,
    /// When it ended, or was given up; 0 while it goes on.
    pub ended_us: u64,
    /// What was answered.
    pub status: Option<StatusCode>,
    /// Why it failed.
    pub failure: Option<Kind>,
    /// Nobody waited for its end.
    pub left: Option<Left>,
    /// Whether its body is the request's answer.
    pub stream: Stream,
    /// When its caller's time is over: given up from then on, it is for that.
    pub due_us: u64,
    /// What it asks for, of which only the path is told; none if that is the request's own.
    pub target: Option<PathAndQuery>,
    /// It went out on a connection that was there.
    pub reused: bool,
    /// It spoke HTTP/2.
    pub http2: bool,
    /// How often it was sent again because a pooled connection was found closed.
    pub resends: u8,
    /// Bytes of the answer's body, where the gateway read it.
    pub bytes: u64,
}

/// Whether a call's body is the request's answer, which streams it: then it ends as that does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// It is not.
    #[default]
    No,
    /// It is.
    Open,
    /// It was, and nobody read it to its end.
    Dropped,
}

/// Why nobody waited for the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was given up: the client had gone, or the answer was decided without it.
    Cancelled,
    /// It is unsafe and went on.
    Late,
    /// It kept silent for too long while its answer was streamed.
    IdleTimeout,
}

impl Left {
    /// Its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Late => "late",
            Self::IdleTimeout => Abort::IdleTimeout.as_str(),
        }
    }
}

/// Calls, the first of which is in place.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    first: Option<CallRecord>,
    more: Vec<CallRecord>,
}

// === impl Calls ===

impl Calls {
    /// Makes room for so many.
    pub fn reserve(&mut self, calls: usize) {
        self.more.reserve_exact(calls.saturating_sub(1));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds one; gives its number.
    pub fn begin(&mut self, call: CallRecord) -> u32 {
        if self.first.is_none() {
            self.first = Some(call);
            return 0;
        }
        self.more.push(call);
        u32::try_from(self.more.len()).unwrap_or(u32::MAX)
    }

    /// The one of this number. None once the record has been written.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut CallRecord> {
        match number.checked_sub(1) {
            None => self.first.as_mut(),
            Some(index) => self.more.get_mut(index as usize),
        }
    }

    /// The request has ended: so has the call whose body was the answer's, a proxied one always, and as that did.
    /// What a step called besides and still goes on is unsafe: others were given up when their step was. `failed`
    /// is why the route did not answer.
    pub(in crate::telemetry) fn conclude(&mut self, us: u64, aborted: Option<Abort>, failed: Option<Kind>) {
        if aborted == Some(Abort::ClientGone) {
            // The upload broke because its client left, and with it the call whose body that was.
            let broken = |call: &&mut CallRecord| call.failure == Some(Kind::BadRequest);
            for call in self.first.iter_mut().chain(&mut self.more).filter(broken) {
                (call.failure, call.left) = (None, Some(Left::Cancelled));
            }
        }
        let is_open = |call: &&mut CallRecord| call.ended_us == 0 || call.stream == Stream::Dropped;
        for call in self.first.iter_mut().chain(&mut self.more).filter(is_open) {
            if call.ended_us == 0 {
                call.ended_us = us.max(1);
            }
            let proxied = call.step.is_none();
            (call.failure, call.left) = match (aborted, failed) {
                _ if !proxied && call.stream == Stream::No => (None, Some(Left::Late)),
                (Some(Abort::IdleTimeout), _) => (None, Some(Left::IdleTimeout)),
                (Some(Abort::Broken(kind)), _) if kind.fault() == Fault::Upstream => (Some(kind), None),
                // What came was not what was asked for.
                (None, Some(kind)) if proxied && kind.fault() == Fault::Upstream => (Some(kind), None),
                (Some(_), _) | (None, Some(_)) => (None, Some(Left::Cancelled)),
                (None, None) => (None, None),
            };
        }
    }

    /// So many bytes of the proxied call's answer have passed.
    pub(in crate::telemetry) fn passed(&mut self, bytes: u64) {
        if let Some(call) = self.first.iter_mut().chain(&mut self.more).next_back()
            && call.step.is_none()
            && call.head_us > 0
        {
            call.bytes = bytes;
        }
    }

    /// Each one with its number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &CallRecord)> {
        (0u32..).zip(self.first.iter().chain(&self.more))
    }
}

// === impl CallRecord ===

impl CallRecord {
    /// A call that begins.
    #[must_use]
    pub const fn new(service: u32, method: Verb) -> Self {
        Self {
            scope: 0,
            step: None,
            item: None,
            tries: 0,
            service,
            endpoint: None,
            method,
            started_us: 0,
            head_us: 0,
            ended_us: 0,
            status: None,
            failure: None,
            left: None,
            stream: Stream::No,
            due_us: u64::MAX,
            target: None,
            reused: false,
            http2: false,
            resends: 0,
            bytes: 0,
        }
    }

    /// Notes how it goes out, and since when whoever sends it has had it.
    pub(in crate::telemetry) fn went(&mut self, sent: Sent, since_us: Option<u64>) {
        // A step's began when its step did: making its request is part of it.
        if self.step.is_none() {
            self.started_us = since_us.unwrap_or(0);
        }
        self.endpoint = sent.endpoint;
        (self.reused, self.http2, self.resends) = (sent.reused, sent.http2, sent.resends);
    }

    /// Whether anything was done to make it: not if it was shed, or given up, before an endpoint was chosen. Of one
    /// that goes on nobody knows better.
    #[must_use]
    pub const fn attempted(&self) -> bool {
        self.endpoint.is_some() || self.status.is_some() || matches!(self.left, Some(Left::Late))
    }

    /// `error.type` of the semantic conventions: the status if that is the error, else the failure's code;
    /// `cancelled` or `late` if nobody waited for its end.
    #[must_use]
    pub fn error(&self) -> Option<CallError> {
        let status = self.status.filter(|status| status.as_u16() >= 400).map(CallError::Status);
        status.or_else(|| self.failure.map(CallError::Failed)).or_else(|| self.left.map(CallError::Left))
    }
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The answer's status says so.
    Status(StatusCode),
    /// There was no answer, or no good one.
    Failed(Kind),
    /// Nobody waited for its end.
    Left(Left),
}

impl CallError {
    /// `error.type`
    #[must_use]
    pub fn as_text(&self) -> &str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Failed(kind) => kind.code(),
            Self::Left(left) => left.as_str(),
        }
    }
}
