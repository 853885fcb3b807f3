//! The data of one execution: what expressions read while steps are in flight.
//!
//! Outputs are slots that are written once. Nothing is ever taken out or replaced, so an evaluation may
//! borrow from the state while other steps settle. An evaluation is synchronous: it never lives across
//! an `await`.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    Call,
    content::Content,
    output::{Ended, Output, Single},
    request::Request,
    vars::Var,
};
use crate::{
    body::Body,
    expr::{Data, EvalError, Frame, Meter, Slot, StepField, Value},
    plan::{Composition, Endpoint, ErrorRule, Plan, Route, Step, Tolerance},
    telemetry::{Exchange, StepRecord},
    upstream::Upstream,
};

/// Everything that an execution owns but the calls in flight.
pub(super) struct State {
    plan: Arc<Plan>,
    route: crate::id::RouteId,
    pub(super) upstreams: Arc<[Arc<Upstream>]>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) request: Request,
    pub(super) request_body: OnceLock<Content>,
    /// The request's body where exactly one place streams it.
    pub(super) request_stream: Mutex<Option<Body>>,
    /// When the whole composition ends.
    pub(super) deadline: Instant,
    /// When tolerated steps end.
    pub(super) cut: Instant,
    outputs: Box<[OnceLock<Output>]>,
    /// A bit per settled step.
    settled: AtomicU64,
    vars: Box<[OnceLock<Result<Var, EvalError>>]>,
    now: OnceLock<SystemTime>,
    /// Random bytes of this execution.
    seed: OnceLock<[u8; 16]>,
    pub(super) meter: Meter,
    /// Bytes of step answers held.
    pub(super) received: AtomicU64,
    /// The answer is certain: no step and no item starts.
    decided: AtomicBool,
    /// An unsafe call was sent.
    unsafe_sent: AtomicBool,
    pub(super) common: OnceLock<super::outgoing::Common>,
}

impl State {
    pub(super) fn new(call: Call) -> (Arc<Self>, Body, http::Extensions) {
        let Call { plan, route, upstreams, exchange, head, captures, body, deadline, .. } = call;
        let (steps, vars) = match composition(&plan.routes[route.index()]) {
            Some(composition) => (composition.steps.len(), composition.vars.len()),
            None => (0, 0),
        };
        exchange.record().steps.reserve_exact(steps);
        let state = Arc::new(Self {
            plan,
            route,
            upstreams,
            exchange,
            request: Request::new(head.method, head.uri, head.headers, captures),
            request_body: OnceLock::new(),
            request_stream: Mutex::new(None),
            deadline,
            cut: deadline - call.timeout / 10,
            outputs: (0..steps).map(|_| OnceLock::new()).collect(),
            settled: AtomicU64::new(0),
            vars: (0..vars).map(|_| OnceLock::new()).collect(),
            now: OnceLock::new(),
            seed: OnceLock::new(),
            meter: Meter::default(),
            received: AtomicU64::new(0),
            decided: AtomicBool::new(false),
            unsafe_sent: AtomicBool::new(false),
            common: OnceLock::new(),
        });
        (state, body, head.extensions)
    }

    pub(super) fn route(&self) -> &Route {
        &self.plan.routes[self.route.index()]
    }

    pub(super) fn composition(&self) -> Option<&Composition> {
        composition(self.route())
    }

    pub(super) fn errors(&self) -> &[ErrorRule] {
        match &self.route().endpoint {
            Endpoint::Compose { errors, .. } | Endpoint::Proxy { errors, .. } => errors,
            Endpoint::Static(_) => &[],
        }
    }

    pub(super) fn service(&self, step: &Step) -> &crate::plan::Service {
        &self.plan.services[step.call.service.index()]
    }

    /// An evaluation over this state.
    pub(super) fn frame<'a, 'f>(&'a self, locals: &'f [Value<'a>]) -> Frame<'a, 'f> {
        Frame::new(self, &self.meter, locals)
    }

    pub(super) fn output(&self, step: usize) -> Option<&Output> {
        self.outputs.get(step)?.get()
    }

    /// Settles a step, once.
    pub(super) fn settle(&self, step: usize, output: Output, started: Instant) {
        let record = StepRecord {
            step: u16::try_from(step).unwrap_or(u16::MAX),
            outcome: output.outcome(),
            started_us: self.micros(started),
            ended_us: self.micros(Instant::now()),
            code: output.error().map(|error| error.kind().code()),
        };
        if self.outputs[step].set(output).is_ok() {
            self.settled.fetch_or(1 << step, Relaxed);
            self.record(record);
        }
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Relaxed)
    }

    pub(super) fn record(&self, record: StepRecord) {
        self.exchange.record().steps.push(record);
    }

    /// Microseconds since the request's head was complete.
    pub(super) fn micros(&self, at: Instant) -> u64 {
        let since = at.into_std().saturating_duration_since(self.exchange.started);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn decide(&self) {
        self.decided.store(true, Relaxed);
    }

    pub(super) fn is_decided(&self) -> bool {
        self.decided.load(Relaxed)
    }

    pub(super) fn note_unsafe_call(&self) {
        self.unsafe_sent.store(true, Relaxed);
    }

    pub(super) fn has_sent_unsafe_call(&self) -> bool {
        self.unsafe_sent.load(Relaxed)
    }

    /// Steps that failed and were tolerated, in file order.
    pub(super) fn degraded(&self) -> impl Iterator<Item = (&Arc<str>, &Output)> {
        let steps = self.composition().map_or(&[][..], |composition| &composition.steps);
        steps.iter().enumerate().filter_map(|(index, step)| {
            let output = self.output(index)?;
            let tolerated = match output {
                Output::One(Single { ended: Ended::Failed(_), .. }) => {
                    !matches!(step.tolerance, Tolerance::Required)
                }
                Output::One(_) => false,
                Output::Many(many) => many.count().1 > 0,
            };
            tolerated.then_some((&step.name, output))
        })
    }

    fn read_step(&self, step: usize, field: StepField) -> Option<Value<'_>> {
        match self.output(step) {
            Some(output) => output.read(field),
            // Only `errors` can ask for a step that has not settled: it will not start any more.
            None => SKIPPED.read(field),
        }
    }

    fn read_var(&self, var: usize) -> Result<Option<Value<'_>>, EvalError> {
        let Some((cell, (_, shape))) =
            self.vars.get(var).zip(self.composition().and_then(|composition| composition.vars.get(var)))
        else {
            return Ok(None);
        };
        // Not `get_or_init`: a variable that read itself would wait for itself. `compile` refuses it.
        let made = match cell.get() {
            Some(made) => made,
            None => {
                let made = Var::eval(shape, &self.frame(&[]));
                cell.get_or_init(|| made)
            }
        };
        match made {
            Ok(var) => Ok(var.value()),
            Err(error) => Err(error.clone()),
        }
    }

    fn now(&self) -> Duration {
        let now = self.now.get_or_init(SystemTime::now);
        now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

impl Data for State {
    fn seed(&self) -> [u8; 16] {
        *self.seed.get_or_init(|| {
            let mut seed = [0; 16];
            // The system's generator does not fail once the process has started; unlike keys, identifiers
            // could do with the other one.
            if aws_lc_rs::rand::fill(&mut seed).is_err() {
                seed = fastrand::u128(..).to_be_bytes();
            }
            seed
        })
    }

    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError> {
        let text = |text| Some(Value::Str(Cow::Borrowed(text)));
        Ok(match slot {
            Slot::Method => text(self.request.method.as_str()),
            Slot::Host => self.request.host().and_then(text),
            Slot::Scheme => text(self.exchange.scheme),
            Slot::ClientIp => Some(Value::Str(Cow::Owned(self.exchange.client.to_string()))),
            Slot::RequestId => text(&self.exchange.id),
            Slot::Path(index) => self.request.captures.get(usize::from(index)).and_then(|path| text(path)),
            Slot::Query => Some(Value::Object(&self.request.query)),
            Slot::Headers => Some(Value::Object(&self.request.headers)),
            Slot::Cookies => Some(Value::Object(self.request.cookies())),
            Slot::RequestBody => self.request_body.get().map(Content::value),
            Slot::Step(step, field) => self.read_step(usize::from(step), field),
            Slot::Var(var) => self.read_var(usize::from(var))?,
            Slot::Input(_) | Slot::Own(_) | Slot::Error(_) => None,
            Slot::Now => {
                let now = self.now();
                let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
                Some(Value::Timestamp(seconds, now.subsec_nanos()))
            }
            Slot::TraceId => Some(Value::Str(Cow::Owned(format!("{:032x}", self.exchange.trace.id)))),
            Slot::Degraded => {
                let names = self.degraded().map(|(name, _)| Value::Str(Cow::Borrowed(&**name)));
                Some(Value::List(names.collect()))
            }
            Slot::DeadlineMs => Some(Value::Int(remaining_ms(self.deadline, Instant::now()))),
        })
    }
}

/// What is left until then, in milliseconds.
pub(super) fn remaining_ms(deadline: Instant, now: Instant) -> i64 {
    let left = deadline.saturating_duration_since(now);
    i64::try_from(left.as_millis()).unwrap_or(i64::MAX)
}

fn composition(route: &Route) -> Option<&Composition> {
    match &route.endpoint {
        Endpoint::Compose { composition, .. } => Some(composition),
        Endpoint::Proxy { composition, .. } => composition.as_deref(),
        Endpoint::Static(_) => None,
    }
}

/// A step that never ran.
static SKIPPED: Single = Single { ended: Ended::Skipped, stand_in: None };

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither fields nor bodies: they may be secrets.
        f.debug_struct("State").field("route", &self.route().name).finish_non_exhaustive()
    }
}
