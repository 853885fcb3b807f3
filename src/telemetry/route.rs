//! What telemetry knows of a route: the words of its template, and its series.

use std::sync::Arc;

use http::StatusCode;
use metrics::{Counter, Histogram};

use super::{
    Abort, Exchange, Generation, Outcome, Record, Refuser, StepOutcome, Verb, critical,
    keep::Floor,
    ledger::{Durations, Lease},
    lines::Lines,
    metric::{
        ABORTED, CRITICAL_TIME, DEGRADED, FAILURES, LATE, REFUSALS, REQUEST_BYTES, REQUESTS, RESPONSE_BYTES,
        RULE_ERRORS, SERVER_DURATION, STEP_BYTES, STEP_DURATION, STEPS,
    },
    record::RequestError,
    rest::Since,
    series::{Chain, Room, overflowed, registered},
};
use crate::problem::{Fault, Kind};

/// A route's words, as signals carry them.
#[derive(Clone, Debug, Default)]
pub struct RouteInfo {
    /// The unit.
    pub unit: Arc<str>,
    /// `unit/route`
    pub name: Arc<str>,
    /// `metadata.owner`
    pub owner: Arc<str>,
    /// `metadata.version`
    pub version: Option<Arc<str>>,
    /// The path pattern, as written.
    pub path: Arc<str>,
    /// Its steps, in file order.
    pub steps: Box<[StepInfo]>,
    /// The service of a proxy route's call.
    pub proxied: Option<u32>,
    /// Answers have as many bytes as what they are made of: no policy compresses them.
    pub plain: bool,
}

/// A step's words.
#[derive(Clone, Debug)]
pub struct StepInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Its wave, from 0.
    pub wave: u16,
    /// Steps that must settle first.
    pub needs: Box<[u16]>,
    /// What it does.
    pub does: Does,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Calls this service.
    Calls(u32),
    /// Runs this Composition.
    Runs(u32),
}

/// A route's instruments.
#[derive(Debug)]
pub struct RouteInstruments {
    /// The words.
    pub info: RouteInfo,
    /// What it shares with the other routes of its generation.
    pub generation: Arc<Generation>,
    /// What a request must exceed to be kept.
    pub(super) floor: Arc<Floor>,
    /// What the log may have about its requests.
    pub(super) lines: Lines,
    lease: Lease,
    duration: Durations<DurationKey>,
    requests: Chain<Outcome, Counter>,
    received: Counter,
    sent: Counter,
    failures: Chain<RequestError, Counter>,
    refusals: Chain<(Refuser, Kind), Counter>,
    rule_errors: Chain<(), Counter>,
    aborted: Chain<Abort, Counter>,
    late: Chain<Option<RequestError>, Counter>,
    gateway_time: Counter,
    transfer_time: Counter,
    proxied_time: Counter,
    steps: Box<[StepInstruments]>,
}

#[derive(Debug)]
struct StepInstruments {
    outcomes: Chain<StepOutcome, Counter>,
    degraded: Chain<(), Counter>,
    duration: Histogram,
    bytes: Counter,
    /// By service.
    time: Chain<u32, Counter>,
}

/// Everything that labels a duration and is not the route's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DurationKey {
    verb: Verb,
    status: Option<StatusCode>,
    secure: bool,
    version: http::Version,
    error: Option<RequestError>,
}

impl DurationKey {
    /// What it counts under where there is no room. How the client asked is not told; the status is, where it
    /// is not that of an answer that was cut.
    fn coarse(self) -> Self {
        let cut = matches!(self.error, Some(RequestError::Aborted(_)));
        let status = self.status.filter(|_| !cut);
        Self { verb: Verb::Other, status, secure: false, version: http::Version::HTTP_11, ..self }
    }

    /// `own`: the gateway itself decided.
    const fn room(&self, own: bool) -> Room {
        let usual =
            self.verb.is_usual() && matches!(self.version, http::Version::HTTP_11 | http::Version::HTTP_2);
        match self.error {
            _ if !usual => Room::Unusual,
            Some(RequestError::Aborted(_)) => Room::Unusual,
            _ if own => Room::Own,
            _ => Room::Answer,
        }
    }
}

// === impl RouteInstruments ===

impl RouteInstruments {
    /// The instruments of a route; the same names give the same series in every generation.
    pub(super) fn new(
        (lease, duration): (Lease, Durations<DurationKey>),
        floor: Arc<Floor>,
        info: RouteInfo,
        generation: &Arc<Generation>,
    ) -> Self {
        let own = [&*info.unit, &*info.name];
        let time =
            |part, service: &str| lease.counter(&CRITICAL_TIME, &[&info.unit, &info.name, part, "", service]);
        let step = |step: &StepInfo| StepInstruments {
            outcomes: Chain::default(),
            degraded: Chain::default(),
            duration: lease.histogram(&STEP_DURATION, &[&info.unit, &info.name, &step.name]),
            bytes: lease.counter(&STEP_BYTES, &[&info.unit, &info.name, &step.name]),
            time: Chain::default(),
        };
        let proxied = info.proxied.map(|service| generation.service_name(service));
        Self {
            floor,
            lines: Lines::default(),
            duration,
            requests: Chain::default(),
            received: lease.counter(&REQUEST_BYTES, &own),
            sent: lease.counter(&RESPONSE_BYTES, &own),
            failures: Chain::default(),
            refusals: Chain::default(),
            rule_errors: Chain::default(),
            aborted: Chain::default(),
            late: Chain::default(),
            gateway_time: time("gateway", ""),
            transfer_time: time("transfer", ""),
            proxied_time: proxied.map_or_else(Counter::noop, |service| time("proxy", service)),
            steps: info.steps.iter().map(step).collect(),
            lease,
            generation: Arc::clone(generation),
            info,
        }
    }

    /// `unit/name` of the route.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// A rule of `authorize` could not be evaluated.
    pub(super) fn rule_failed(&self) {
        self.rule_errors.get((), || self.counter(&RULE_ERRORS, &[])).increment(1);
    }

    /// Writes a request's numbers. `us` is all of its time.
    pub(super) fn finished(&self, exchange: &Exchange, record: &Record, us: u64, aborted: Option<Abort>) {
        let outcome = record.outcome(aborted);
        self.requests.get(outcome, || self.counter(&REQUESTS, &[outcome.as_str()])).increment(1);
        self.sent.increment(record.sent);
        if record.received > 0 {
            self.received.increment(record.received);
        }
        let error = record.error(aborted);
        let key = DurationKey {
            verb: Verb::from(&exchange.method),
            status: record.status.map(registered),
            secure: exchange.scheme == "https",
            version: exchange.version,
            error,
        };
        let room = || key.room(record.failure.is_some());
        let duration =
            self.duration.get(key, room, DurationKey::coarse, |key, overflow| self.duration(key, overflow));
        duration.record(us as f64 / 1e6);
        if let Some(why) = aborted {
            let labels = [why.as_str(), why.fault().as_str()];
            self.aborted.get(why, || self.counter(&ABORTED, &labels)).increment(1);
        } else if let Some(why) = record.code(None) {
            self.failed(why);
            if let Some(kind) = record.failure
                && let Some(refuser) = record.refuser.or_else(|| Refuser::of(kind))
            {
                let labels = [refuser.as_str(), kind.code()];
                self.refusals.get((refuser, kind), || self.counter(&REFUSALS, &labels)).increment(1);
            }
        }
        self.steps_finished(record, 0, us);
        self.bytes_read(record, 0);
        self.degraded(record);
        let mut rest = us;
        critical::parts(record, us, &self.info, &self.generation, &mut |part| {
            rest = rest.saturating_sub(part.us);
            match part.what {
                critical::What::Transfer => self.transfer_time.increment(part.us),
                critical::What::Proxied => self.proxied_time.increment(part.us),
                critical::What::Step { step, service } => self.step_time(step, service).increment(part.us),
            }
        });
        self.gateway_time.increment(rest);
    }

    fn failed(&self, why: RequestError) {
        let fault = match why {
            RequestError::Aborted(why) => why.fault(),
            RequestError::Failed(kind) => kind.fault(),
            // What the service said is the answer, or what the template says.
            RequestError::Status(_) if self.info.proxied.is_some() => Fault::Upstream,
            RequestError::Status(_) => Fault::Gateway,
        };
        let labels = [why.as_text(), fault.as_str()];
        self.failures.get(why, || self.counter(&FAILURES, &labels)).increment(1);
    }

    /// How much of a request's time was the gateway's own.
    #[must_use]
    pub fn gateway_time(&self, record: &Record, us: u64) -> u64 {
        let mut rest = us;
        critical::parts(record, us, &self.info, &self.generation, &mut |part| {
            rest = rest.saturating_sub(part.us);
        });
        rest
    }

    /// Writes the numbers of what an execution did after its request was told.
    pub(super) fn rest(&self, record: &Record, since: Since, (us, failed): (u64, Option<RequestError>)) {
        let (outcome, code) = failed.as_ref().map_or(("ok", ""), |why| ("failed", why.as_text()));
        self.late.get(failed, || self.counter(&LATE, &[outcome, code])).increment(1);
        self.steps_finished(record, since.steps, us);
        self.bytes_read(record, since.calls);
    }

    fn steps_finished(&self, record: &Record, from: usize, us: u64) {
        for step in record.steps.iter().skip(from).filter(|step| step.scope == 0) {
            let index = usize::from(step.step);
            let Some(instruments) = self.steps.get(index) else { continue };
            let outcome = step.outcome;
            let labels = [&*self.info.steps[index].name, outcome.as_str()];
            instruments.outcomes.get(outcome, || self.counter(&STEPS, &labels)).increment(1);
            if outcome != StepOutcome::Skipped {
                instruments.duration.record(step.us(us) as f64 / 1e6);
            }
        }
    }

    fn bytes_read(&self, record: &Record, from: usize) {
        for (_, call) in record.calls.iter().skip(from) {
            let own = match call.scope {
                0 => call.step,
                scope => record.own_step(scope),
            };
            if let Some(instruments) = own.and_then(|step| self.steps.get(usize::from(step))) {
                instruments.bytes.increment(call.bytes);
            }
        }
    }

    fn degraded(&self, record: &Record) {
        if record.degraded.is_empty() {
            return;
        }
        for (step, instruments) in self.info.steps.iter().zip(&self.steps) {
            // What is degraded inside of a step is `step.inner`.
            let is_it = |name: &String| {
                name.strip_prefix(&*step.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if record.degraded.iter().any(is_it) {
                instruments.degraded.get((), || self.counter(&DEGRADED, &[&step.name])).increment(1);
            }
        }
    }

    fn step_time(&self, step: u16, service: u32) -> &Counter {
        let (instruments, info) = (&self.steps[usize::from(step)], &self.info.steps[usize::from(step)]);
        instruments.time.get(service, || {
            let own = [&*self.info.unit, &*self.info.name, "step", &*info.name];
            match self.generation.services.get(service as usize) {
                Some(service) => {
                    let values = [&own[..], &[&*service.name]].concat();
                    self.lease.counter_with(&service.lease, &CRITICAL_TIME, &values)
                }
                None => self.lease.counter(&CRITICAL_TIME, &[&own[..], &[""]].concat()),
            }
        })
    }

    fn counter(&self, metric: &'static super::metric::Metric, values: &[&str]) -> Counter {
        let own = [&*self.info.unit, &*self.info.name];
        self.lease.counter(metric, &[&own, values].concat())
    }

    fn duration(&self, key: DurationKey, overflow: bool) -> Histogram {
        let told = |value| if overflow { "" } else { value };
        let values = [
            told(key.verb.as_str()),
            key.status.as_ref().map_or("", StatusCode::as_str),
            &self.info.path,
            told(if key.secure { "https" } else { "http" }),
            told(protocol_version(key.version)),
            key.error.as_ref().map_or("", RequestError::as_text),
            overflowed(overflow),
            &self.info.unit,
            &self.info.name,
        ];
        self.lease.histogram(&SERVER_DURATION, &values)
    }
}

/// `network.protocol.version`
#[must_use]
pub fn protocol_version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_09 => "0.9",
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        http::Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
