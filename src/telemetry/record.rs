//! What is learnt of a request on its way. Every signal is written from this, so that they agree.
//!
//! Times are microseconds since the request's head was complete. A proxied call needs no allocation: the
//! first call of a request has its place in the record itself.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{Refuser, RouteInstruments};
use crate::problem::{Fault, Kind};

/// The most steps inside of Compositions, and the most runs of these, that one request's record holds. A
/// route's own steps always have a place, and calls are bounded by `limits.maxCalls`.
pub const MOST_INNER: usize = 1024;

/// The part of an [`Exchange`](super::Exchange) that is filled on the way.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The route's instruments, once it is known.
    pub route: Option<Arc<RouteInstruments>>,
    /// The status answered.
    pub status: Option<StatusCode>,
    /// When the answer's head was known.
    pub answered_us: u64,
    /// Why the route did not answer, if it did not.
    pub failure: Option<Kind>,
    /// Which policy refused, where the failure's kind alone does not say.
    pub refuser: Option<Refuser>,
    /// Body bytes sent to the client.
    pub sent: u64,
    /// Body bytes that the client sent.
    pub received: u64,
    /// One entry per settled step, in order of settling.
    pub steps: Vec<StepRecord>,
    /// Runs of Compositions. What is inside of the first one says 1, of the route itself 0.
    pub scopes: Vec<Scope>,
    /// Calls to services, in order of their start.
    pub calls: Calls,
    /// Names of degraded steps.
    pub degraded: Vec<String>,
    /// Which entry of the route's `errors` made the answer, counted from 0.
    pub rule: Option<usize>,
    /// Steps and runs that had no place any more.
    pub lost: u32,
}

/// How a step ended.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// In which run: 0 is the route's own, others are numbered from 1 as in [`Record::scopes`].
    pub scope: u16,
    /// Index in its composition.
    pub step: u16,
    /// How it ended.
    pub outcome: StepOutcome,
    /// When it started.
    pub started_us: u64,
    /// When it settled.
    pub ended_us: u64,
    /// Why it failed.
    pub code: Option<&'static str>,
    /// Its `fallback` stands in for its body.
    pub fallback: bool,
    /// How many items it had, if it has a `forEach`.
    pub items: Option<u32>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It gave what it should.
    Ok,
    /// It did not.
    Failed,
    /// Its `when` was false.
    Skipped,
    /// The answer was decided while its unsafe call went on.
    Late,
}

/// A run of a Composition.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The run that it is inside of.
    pub outer: u16,
    /// The step that runs it.
    pub step: u16,
    /// Which item of that step.
    pub item: Option<u32>,
    /// Which Composition of the plan.
    pub composition: u32,
}

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
    /// When it ended; 0 if it was given up before that.
    pub ended_us: u64,
    /// What was answered.
    pub status: Option<StatusCode>,
    /// Why it failed.
    pub failure: Option<Kind>,
    /// It went out on a connection that was there.
    pub reused: bool,
    /// It spoke HTTP/2.
    pub http2: bool,
    /// How often it was sent again because a pooled connection was found closed.
    pub resends: u8,
    /// Bytes of the answer's body, where the gateway read it.
    pub bytes: u64,
}

/// Calls, the first of which is in place.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    first: Option<CallRecord>,
    more: Vec<CallRecord>,
}

/// A method that a label may have: the known ones, and all others as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its method")]
pub enum Verb {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Query,
    Connect,
    Trace,
    Other,
}

/// How a request ended, as metrics, spans and the access log say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered whole.
    Ok,
    /// Answered without a part whose failure was tolerated.
    Degraded,
    /// Refused because of what the client sent.
    Refused,
    /// Not answered as its route should.
    Failed,
    /// The answer did not reach its end.
    Aborted,
}

// === impl Record ===

impl Record {
    /// How the request ended. `aborted` says by whose fault the answer did not reach its end.
    #[must_use]
    pub fn outcome(&self, aborted: Option<Fault>) -> Outcome {
        let server_error = self.status.is_some_and(|status| status.is_server_error());
        if aborted.is_some() {
            Outcome::Aborted
        } else if server_error || self.failure.is_some_and(|kind| kind.fault() != Fault::Client) {
            Outcome::Failed
        } else if self.failure.is_some() {
            Outcome::Refused
        } else if self.degraded.is_empty() {
            Outcome::Ok
        } else {
            Outcome::Degraded
        }
    }

    /// A route's own steps.
    pub fn own_steps(&self) -> impl Iterator<Item = &StepRecord> {
        self.steps.iter().filter(|step| step.scope == 0)
    }

    /// The route's own step that a run is inside of.
    #[must_use]
    pub fn own_step(&self, mut scope: u16) -> Option<u16> {
        loop {
            let run = self.scopes.get(usize::from(scope.checked_sub(1)?))?;
            // What a run is inside of was numbered before it.
            if run.outer == 0 {
                return Some(run.step);
            }
            scope = run.outer;
        }
    }

    /// Notes how a step ended.
    pub fn settled(&mut self, step: StepRecord) {
        let is_it = |one: &StepRecord| (one.scope, one.step) == (step.scope, step.step);
        // How a late call ends changes nothing of the answer.
        if self.steps.iter().any(|one| one.outcome == StepOutcome::Late && is_it(one)) {
            return;
        }
        if step.scope == 0 || self.steps.len() < MOST_INNER {
            self.steps.push(step);
        } else {
            self.lost += 1;
        }
    }

    /// Numbers a run of a Composition. One that has no place gets a number that none has.
    pub fn enter(&mut self, scope: Scope) -> u16 {
        if self.scopes.len() >= MOST_INNER {
            self.lost += 1;
            return u16::MAX;
        }
        self.scopes.push(scope);
        u16::try_from(self.scopes.len()).unwrap_or(u16::MAX)
    }
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

    /// The request has ended: so has the proxied call, whose body was the answer's.
    pub(super) fn conclude(&mut self, us: u64, aborted: Option<Fault>) {
        let Some(call) = self.more.last_mut().or(self.first.as_mut()) else { return };
        if call.step.is_some() || call.head_us == 0 || call.ended_us > 0 {
            return;
        }
        match aborted {
            None => call.ended_us = us,
            Some(Fault::Client) => {}
            Some(Fault::Upstream | Fault::Gateway) => {
                call.ended_us = us;
                call.failure = Some(Kind::UpstreamReset);
            }
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
            reused: false,
            http2: false,
            resends: 0,
            bytes: 0,
        }
    }

    /// `error.type` of the semantic conventions: the status if that is the error, else the failure's code;
    /// `cancelled` if it was given up.
    #[must_use]
    pub fn error(&self) -> Option<CallError> {
        let status = self.status.filter(|status| status.as_u16() >= 400).map(CallError::Status);
        let gone = (self.ended_us == 0).then_some(CallError::Cancelled);
        status.or_else(|| self.failure.map(CallError::Failed)).or(gone)
    }
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The answer's status says so.
    Status(StatusCode),
    /// There was no answer, or no good one.
    Failed(Kind),
    /// Nobody waited for it any more.
    Cancelled,
}

impl CallError {
    /// `error.type`
    #[must_use]
    pub fn as_text(&self) -> &str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Failed(kind) => kind.code(),
            Self::Cancelled => "cancelled",
        }
    }
}

// === impl Verb ===

impl Verb {
    /// Each one, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Options,
        Self::Query,
        Self::Connect,
        Self::Trace,
        Self::Other,
    ];

    /// `http.request.method`
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Query => "QUERY",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Other => "_OTHER",
        }
    }
}

impl From<&Method> for Verb {
    fn from(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::POST => Self::Post,
            Method::HEAD => Self::Head,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            Method::QUERY => Self::Query,
            Method::CONNECT => Self::Connect,
            Method::TRACE => Self::Trace,
            _ => Self::Other,
        }
    }
}

// === impl StepOutcome ===

impl StepOutcome {
    /// Each one, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Failed, Self::Skipped, Self::Late];

    /// Its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Late => "late",
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Each one, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Degraded, Self::Refused, Self::Failed, Self::Aborted];

    /// Its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }
}
