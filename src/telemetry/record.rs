//! What is learnt of a request on its way. Every signal is written from this, so that they agree.
//!
//! Times are microseconds since the request's head was complete. A proxied call needs no allocation: the
//! first call of a request has its place in the record itself.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{Abort, Refuser, RouteInstruments, rest::Since, series::registered};
use crate::problem::{Fault, Kind};

mod call;

pub use call::{CallError, CallRecord, Calls, Left, Stream};

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
    /// One entry per step that has started or was skipped, in the order of their start.
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
    /// Its execution goes on without it: see [`Rest`](super::Rest).
    pub goes_on: bool,
    /// How steps ended that are late in `steps`.
    pub after: Vec<StepRecord>,
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
    /// When it settled, or was left; 0 while it runs. The answer waited for this.
    pub ended_us: u64,
    /// When its body ended, if the request's answer streams that; 0 while it goes on.
    pub streamed_us: Option<u64>,
    /// Why it failed.
    pub code: Option<&'static str>,
    /// Its `fallback` stands in for its body.
    pub fallback: bool,
    /// How many items it had, if it has a `forEach`.
    pub items: Option<u32>,
    /// How many of them failed.
    pub failed_items: u32,
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
    /// The answer was decided, or the client left, while its unsafe call went on.
    Late,
    /// It still ran when the answer was decided or the client left, and was given up.
    Cancelled,
    /// It has not settled yet: only of a request that has not ended.
    Running,
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

/// Why a request's outcome is neither `ok` nor `degraded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The answer did not reach its end.
    Aborted(Abort),
    /// Why the route did not answer.
    Failed(Kind),
    /// What was answered says so.
    Status(StatusCode),
}

// === impl RequestError ===

impl RequestError {
    /// `error.type`, and the code.
    #[must_use]
    pub fn as_text(&self) -> &str {
        match self {
            Self::Aborted(why) => why.as_str(),
            Self::Failed(kind) => kind.code(),
            Self::Status(status) => status.as_str(),
        }
    }
}

// === impl Record ===

impl Record {
    /// How the request ended. `aborted` says why the answer did not reach its end.
    #[must_use]
    pub fn outcome(&self, aborted: Option<Abort>) -> Outcome {
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

    /// Why its outcome is what it is, in one word: what cut its answer, why its route did not answer, or the 5xx
    /// that was the answer; one that is not registered is 500 everywhere, since it labels series.
    #[must_use]
    pub fn code(&self, aborted: Option<Abort>) -> Option<RequestError> {
        let why = aborted.map(RequestError::Aborted).or_else(|| self.failure.map(RequestError::Failed));
        let status = self.status.filter(StatusCode::is_server_error);
        why.or_else(|| status.map(|status| RequestError::Status(registered(status))))
    }

    /// `error.type` of the semantic conventions: why there was no whole answer, or one that is a 5xx. A 4xx is
    /// no error of whoever answers so.
    #[must_use]
    pub fn error(&self, aborted: Option<Abort>) -> Option<RequestError> {
        let server_error = self.status.is_some_and(|status| status.is_server_error());
        self.code(aborted).filter(|_| aborted.is_some() || server_error)
    }

    /// Of a proxy route: from the start of its last call to the head of that's answer.
    #[must_use]
    pub fn upstream_us(&self) -> Option<u64> {
        let proxied = self.calls.iter().map(|(_, call)| call).filter(|call| call.step.is_none());
        let call = proxied.last().filter(|call| call.head_us > 0)?;
        Some(call.head_us.saturating_sub(call.started_us))
    }

    /// A route's own steps.
    pub fn own_steps(&self) -> impl Iterator<Item = &StepRecord> {
        self.steps.iter().filter(|step| step.scope == 0)
    }

    /// The route's own step that a run is inside of.
    #[must_use]
    pub fn own_step(&self, scope: u16) -> Option<u16> {
        self.step_around(scope, 0)
    }

    /// The step of the run `outer` that the run `scope` is inside of.
    fn step_around(&self, mut scope: u16, outer: u16) -> Option<u16> {
        loop {
            let run = self.scopes.get(usize::from(scope.checked_sub(1)?))?;
            // What a run is inside of was numbered before it.
            if run.outer == outer {
                return Some(run.step);
            }
            scope = run.outer;
        }
    }

    /// Notes that a step starts.
    pub fn began(&mut self, scope: u16, step: u16, started_us: u64) {
        self.add(StepRecord {
            scope,
            step,
            outcome: StepOutcome::Running,
            started_us,
            ended_us: 0,
            streamed_us: None,
            code: None,
            fallback: false,
            items: None,
            failed_items: 0,
        });
    }

    fn add(&mut self, step: StepRecord) {
        if step.scope == 0 || self.steps.len() < MOST_INNER {
            self.steps.push(step);
        } else {
            self.lost += 1;
        }
    }

    /// Notes how a step ended. How one ends that nobody waited for changes nothing of the answer, and is kept apart.
    pub fn settled(&mut self, step: StepRecord) {
        // Those that run are among the last.
        let known = self.steps.iter_mut().rev().find(|one| (one.scope, one.step) == (step.scope, step.step));
        match known.map(|known| (known.outcome, known)) {
            Some((StepOutcome::Running, known)) => *known = step,
            Some((StepOutcome::Late, _)) => self.after.push(step),
            Some(_) | None => {}
        }
    }

    /// Notes that what comes of a run is decided while steps of it, and what is inside of them, still run: at
    /// that time, or without one by the step that settled last, than which no other took longer. Those that go
    /// on, being unsafe, are late if the run is the route's own. `code` is why those that are given up have
    /// failed, if it is not that nobody wants them any more.
    pub fn decided(
        &mut self,
        run: u16,
        at_us: Option<u64>,
        code: Option<&'static str>,
        goes_on: impl Fn(u16) -> bool,
    ) {
        let ends = self.steps.iter().filter(|step| step.scope == run).map(|step| step.ended_us);
        let at_us = at_us.or_else(|| ends.max()).unwrap_or_default();
        for index in 0..self.steps.len() {
            let StepRecord { scope, step, outcome, .. } = self.steps[index];
            let own = if scope == run { Some(step) } else { self.step_around(scope, run) };
            if outcome != StepOutcome::Running {
                continue;
            }
            match own {
                Some(own) if !goes_on(own) && code.is_some() => {
                    self.steps[index].leave(StepOutcome::Failed, at_us);
                    self.steps[index].code = code;
                }
                Some(own) if !goes_on(own) => self.steps[index].leave(StepOutcome::Cancelled, at_us),
                Some(_) if run == 0 && scope == 0 => self.steps[index].leave(StepOutcome::Late, at_us),
                // It ends by itself, or is left with what it is inside of.
                Some(_) | None => {}
            }
        }
    }

    /// Nothing of the answer comes of the steps that still run.
    #[inline]
    pub(super) fn conclude_steps(&mut self, at_us: u64) {
        if self.steps.iter().any(|step| step.outcome == StepOutcome::Running) {
            self.leave_steps(at_us);
        }
    }

    #[cold]
    fn leave_steps(&mut self, at_us: u64) {
        let late = |step: &StepRecord| step.scope == 0 && step.outcome == StepOutcome::Late;
        let late: Vec<u16> = self.steps.iter().filter(|step| late(step)).map(|step| step.step).collect();
        for index in 0..self.steps.len() {
            let StepRecord { scope, outcome, .. } = self.steps[index];
            if outcome == StepOutcome::Running {
                let goes_on = self.step_around(scope, 0).is_some_and(|own| late.contains(&own));
                let outcome = if goes_on { StepOutcome::Late } else { StepOutcome::Cancelled };
                self.steps[index].leave(outcome, at_us);
            }
        }
    }

    /// A step whose body the answer streams ended when its call did, and as that did.
    pub(super) fn conclude_streams(&mut self) {
        for step in self.steps.iter_mut().filter(|step| step.streamed_us == Some(0)) {
            let own = |call: &&CallRecord| (call.scope, call.step) == (step.scope, Some(step.step));
            let mut calls = self.calls.iter().map(|(_, call)| call).filter(own);
            let Some(call) = calls.find(|call| call.stream != Stream::No) else { continue };
            step.streamed_us = Some(call.ended_us);
            (step.outcome, step.code) = match (call.left, call.failure) {
                (Some(Left::IdleTimeout), _) => (StepOutcome::Failed, call.left.map(Left::as_str)),
                (Some(_), _) => (StepOutcome::Cancelled, None),
                (None, Some(kind)) => (StepOutcome::Failed, Some(kind.code())),
                (None, None) => continue,
            };
        }
    }

    /// What it has from there on, and how steps that were late have ended.
    pub(super) fn rest(&self, since: Since) -> Self {
        let mut rest = Self { route: self.route.clone(), status: self.status, ..Self::default() };
        rest.steps.extend(self.after.iter().chain(self.steps.iter().skip(since.steps)).cloned());
        for (_, call) in self.calls.iter().skip(since.calls) {
            rest.calls.begin(call.clone());
        }
        rest
    }

    /// All of it, with the ends of steps that were late.
    pub(super) fn whole(&self) -> Self {
        let mut whole = self.clone();
        for ended in whole.after.drain(..) {
            let late = |step: &&mut StepRecord| (step.scope, step.step) == (ended.scope, ended.step);
            if let Some(step) = whole.steps.iter_mut().find(late) {
                *step = ended;
            }
        }
        whole
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

// === impl StepRecord ===

impl StepRecord {
    const fn leave(&mut self, outcome: StepOutcome, at_us: u64) {
        self.outcome = outcome;
        self.ended_us = if at_us > self.started_us { at_us } else { self.started_us };
    }

    /// How it ended, the body that the answer streams included.
    #[must_use]
    pub const fn outcome(&self) -> StepOutcome {
        if matches!(self.streamed_us, Some(0)) { StepOutcome::Running } else { self.outcome }
    }

    /// When it ended, the same included; `now_us` while it goes on.
    #[must_use]
    pub const fn end_us(&self, now_us: u64) -> u64 {
        match (self.outcome(), self.streamed_us) {
            (StepOutcome::Running, _) => now_us,
            (_, Some(streamed)) => streamed,
            (_, None) => self.ended_us,
        }
    }

    /// How long it took, or has taken up to now.
    #[must_use]
    pub const fn us(&self, now_us: u64) -> u64 {
        self.end_us(now_us).saturating_sub(self.started_us)
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

    /// One that most services are asked with.
    #[must_use]
    pub const fn is_usual(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Post | Self::Put | Self::Patch | Self::Delete)
    }

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
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Failed, Self::Skipped, Self::Late, Self::Cancelled, Self::Running];

    /// Its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Late => "late",
            Self::Cancelled => "cancelled",
            Self::Running => "running",
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
