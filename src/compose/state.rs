//! The data of a composition while its steps are in flight: what its expressions read.
//!
//! A route's own composition has one, and every Composition that a step runs has its own; what they have
//! in common is in [`Run`].
//!
//! Outputs are slots that are written once. Nothing is ever taken out or replaced, so an evaluation may
//! borrow from the state while other steps settle. An evaluation is synchronous: it never lives across
//! an `await`.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use tokio::time::Instant;

use super::{
    Call,
    degraded::Degraded,
    execution::Run,
    output::{Ended, Output, Single},
    vars::Var,
};
use crate::{
    body::Body,
    content::Content,
    expr::{self, Data, EvalError, Frame, Slot, StepField, Value},
    head,
    id::CompositionId,
    plan::{Callable, Composition, Endpoint, Step, Tolerance},
    problem::Kind,
    telemetry::{CallRecord, Scope, StepOutcome, StepRecord, Trail, Verb},
};

/// See the module.
pub(super) struct State {
    pub(super) run: Arc<Run>,
    /// What runs this, if it is not the route's own.
    caller: Option<Inside>,
    outputs: Box<[OnceLock<Output>]>,
    /// A bit per settled step.
    settled: AtomicU64,
    vars: Box<[OnceLock<Result<Var, EvalError>>]>,
    /// Random bytes of this run of the composition.
    seed: OnceLock<[u8; 16]>,
    /// What comes of it is certain: no step and no item starts.
    decided: AtomicBool,
}

/// A Composition inside of another composition.
struct Inside {
    state: Arc<State>,
    /// The step that runs it.
    step: usize,
    id: CompositionId,
    inputs: Box<[Option<Var>]>,
    /// Its number in the request's record.
    scope: u16,
}

impl State {
    /// The state of the route's own composition.
    pub(super) fn new(call: Call) -> (Arc<Self>, Body, http::Extensions) {
        let (run, body, extensions) = Run::new(call);
        let (steps, vars) = match route(&run) {
            Some(composition) => (composition.steps.len(), composition.vars.len()),
            None => (0, 0),
        };
        {
            let mut record = run.exchange.record();
            record.steps.reserve_exact(steps);
            record.calls.reserve(steps);
        }
        (Arc::new(Self::with(Arc::new(run), None, steps, vars)), body, extensions)
    }

    /// The state of a Composition that a step of `caller`, or an item of it, runs.
    pub(super) fn nested(
        caller: &Arc<Self>,
        (step, item): (usize, Option<usize>),
        id: CompositionId,
        inputs: Box<[Option<Var>]>,
    ) -> Arc<Self> {
        let run = Arc::clone(&caller.run);
        let composition = &run.plan.compositions[id.index()].composition;
        let (steps, vars) = (composition.steps.len(), composition.vars.len());
        let scope = run.exchange.record().enter(Scope {
            outer: caller.scope(),
            step: small(step),
            item: item.map(narrow),
            composition: id.0,
        });
        let inside = Inside { state: Arc::clone(caller), step, id, inputs, scope };
        Arc::new(Self::with(run, Some(inside), steps, vars))
    }

    fn with(run: Arc<Run>, caller: Option<Inside>, steps: usize, vars: usize) -> Self {
        Self {
            run,
            caller,
            outputs: (0..steps).map(|_| OnceLock::new()).collect(),
            settled: AtomicU64::new(0),
            vars: (0..vars).map(|_| OnceLock::new()).collect(),
            seed: OnceLock::new(),
            decided: AtomicBool::new(false),
        }
    }

    pub(super) fn composition(&self) -> Option<&Composition> {
        match self.callable() {
            Some(callable) => Some(&callable.composition),
            None => route(&self.run),
        }
    }

    /// The Composition that this is the state of; nothing for a route's own steps.
    pub(super) fn callable(&self) -> Option<&Callable> {
        let inside = self.caller.as_ref()?;
        Some(&self.run.plan.compositions[inside.id.index()])
    }

    /// What runs this, and its step that does; nothing for a route's own steps.
    pub(super) fn caller(&self) -> Option<(&Self, &Step)> {
        let inside = self.caller.as_ref()?;
        Some((&inside.state, inside.state.composition()?.steps.get(inside.step)?))
    }

    /// `UNIT/ROUTE STEP`, or `UNIT/ROUTE OUTER.INNER`: what whoever stands in for the network is told.
    pub(super) fn label(&self, step: &Step) -> String {
        let mut name = step.name.to_string();
        let mut inside = self;
        while let Some((outer, step)) = inside.caller() {
            name = format!("{}.{name}", step.name);
            inside = outer;
        }
        format!("{} {name}", self.run.route().name)
    }

    /// An evaluation over this state.
    pub(super) fn frame<'a, 'f>(&'a self, locals: &'f [Value<'a>]) -> Frame<'a, 'f> {
        Frame::new(self, &self.run.meter, locals)
    }

    pub(super) fn output(&self, step: usize) -> Option<&Output> {
        self.outputs.get(step)?.get()
    }

    /// Settles a step, once.
    pub(super) fn settle(&self, step: usize, output: Output, started: Instant) {
        let settled = Settled::of(&output);
        if self.outputs[step].set(output).is_err() {
            return;
        }
        self.settled.fetch_or(1 << step, Relaxed);
        self.record(step, settled, started);
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Relaxed)
    }

    /// Notes that a step starts.
    pub(super) fn begin(&self, step: usize, started: Instant) {
        let started_us = self.run.micros(started);
        self.run.exchange.record().began(self.scope(), small(step), started_us);
    }

    /// Notes that what comes of the steps is decided while some of them run: those in `kept` go on.
    pub(super) fn record_decision(&self, decision: Decision, kept: impl Iterator<Item = usize>) {
        let kept = kept.filter(|step| *step < 64).fold(0u64, |kept, step| kept | 1 << step);
        let (at, code) = match decision {
            Decision::Failed => (None, None),
            Decision::Overdue(at) => (Some(at), Some(Kind::DeadlineExceeded.code())),
            Decision::Elsewhere(at) => (Some(at), None),
        };
        let at_us = at.map(|at| self.run.micros(at));
        let goes_on = |step: u16| kept & 1 << (step & 63) != 0;
        self.run.exchange.record().decided(self.scope(), at_us, code, goes_on);
    }

    /// Notes that the client has left while steps go on, because an unsafe call may be on the wire.
    pub(super) fn record_departure(&self) {
        let at_us = Some(self.run.micros(Instant::now()));
        self.run.exchange.record().decided(0, at_us, None, |_| true);
    }

    /// Notes how a step ended.
    fn record(&self, step: usize, settled: Settled, started: Instant) {
        let Settled { outcome, streams, code, fallback, items, failed_items } = settled;
        let (started_us, ended_us) = (self.run.micros(started), self.run.micros(Instant::now()));
        let (scope, step) = (self.scope(), small(step));
        let streamed_us = streams.then_some(0);
        self.run.exchange.record().settled(StepRecord {
            scope,
            step,
            outcome,
            started_us,
            ended_us,
            streamed_us,
            code,
            fallback,
            items,
            failed_items,
        });
    }

    /// Notes that a call of a step, or of an item of it, begins.
    pub(super) fn trail(
        &self,
        step: usize,
        call: &crate::plan::Call,
        item: Option<usize>,
        (now, tries): (Instant, u8),
    ) -> Trail {
        let mut record = CallRecord::new(call.service.0, Verb::from(&call.method));
        (record.scope, record.step, record.item) = (self.scope(), Some(small(step)), item.map(narrow));
        (record.started_us, record.tries) = (self.run.micros(now), tries);
        record.due_us = self.run.micros(self.end_of(step));
        let mut trail = Trail::begin(&self.run.exchange, record);
        trail.outlives = !call.safe;
        trail
    }

    /// When a step's time is over: tolerated ones, and what is inside of them, have less of the route's.
    pub(super) fn end_of(&self, step: usize) -> Instant {
        let steps = self.composition().map_or(&[][..], |composition| &composition.steps);
        let mut next = steps.get(step);
        let mut state = self;
        while let Some(step) = next {
            if !matches!(step.tolerance, Tolerance::Required) {
                return self.run.cut;
            }
            let Some((outer, around)) = state.caller() else { break };
            (state, next) = (outer, Some(around));
        }
        self.run.deadline
    }

    /// The number that the request's record knows this run by; 0 for the route itself.
    fn scope(&self) -> u16 {
        self.caller.as_ref().map_or(0, |inside| inside.scope)
    }

    pub(super) fn decide(&self) {
        self.decided.store(true, Relaxed);
    }

    /// Whether nothing may start any more, here or anywhere around it.
    pub(super) fn is_decided(&self) -> bool {
        let mut state = self;
        loop {
            if state.decided.load(Relaxed) {
                return true;
            }
            match &state.caller {
                Some(inside) => state = &inside.state,
                None => return false,
            }
        }
    }

    /// What failed and was tolerated, in file order, what is inside of a step before what follows it.
    pub(super) fn degraded(&self) -> Vec<Degraded> {
        let steps = self.composition().map_or(&[][..], |composition| &composition.steps);
        let mut found = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let tolerated = !matches!(step.tolerance, Tolerance::Required);
            match self.output(index) {
                Some(Output::One(single)) => single.degraded(&step.name, tolerated, &mut found),
                Some(Output::Many(many)) => many.degraded(&step.name, &mut found),
                None => {}
            }
        }
        found
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
                if expr::is_cut() {
                    // Nobody looks at the result: it is evaluated again, with more time.
                    return Err(EvalError::Budget);
                }
                cell.get_or_init(|| made)
            }
        };
        match made {
            Ok(var) => Ok(var.value()),
            Err(error) => Err(error.clone()),
        }
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
        let run = &*self.run;
        Ok(match slot {
            Slot::Method => text(run.request.method.as_str()),
            Slot::Host => run.request.host().and_then(text),
            Slot::Path(index) => run.request.path(index),
            Slot::Query => Some(Value::Object(&run.request.query)),
            Slot::Headers => Some(Value::Object(&run.request.headers)),
            Slot::Cookies => Some(Value::Object(run.request.cookies())),
            Slot::RequestBody => run.request_body.get().map(Content::value),
            Slot::Step(step, field) => self.read_step(usize::from(step), field),
            Slot::Var(var) => self.read_var(usize::from(var))?,
            Slot::Input(index) => {
                let inputs = self.caller.as_ref().map_or(&[][..], |inside| &inside.inputs);
                inputs.get(usize::from(index)).and_then(|given| given.as_ref()?.value())
            }
            Slot::Own(_) | Slot::Error(_) => None,
            Slot::Degraded => {
                let names = self.degraded().into_iter().map(|one| Value::Str(Cow::Owned(one.name)));
                Some(Value::List(names.collect()))
            }
            Slot::DeadlineMs => Some(Value::Int(remaining_ms(run.deadline, Instant::now()))),
            Slot::Scheme
            | Slot::ClientIp
            | Slot::RequestId
            | Slot::Principal(_)
            | Slot::Now
            | Slot::TraceId => head::known(&run.exchange, slot),
        })
    }
}

/// Why what comes of the steps is decided while some of them run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decision {
    /// One of them has failed.
    Failed,
    /// Their time is over, since then.
    Overdue(Instant),
    /// Something around them has been decided, since then.
    Elsewhere(Instant),
}

/// What the record is told of a step that has settled.
#[derive(Clone, Copy, Debug)]
struct Settled {
    outcome: StepOutcome,
    /// The request's answer streams its body.
    streams: bool,
    code: Option<&'static str>,
    fallback: bool,
    items: Option<u32>,
    failed_items: u32,
}

impl Settled {
    fn of(output: &Output) -> Self {
        let (ended, fallback, items, failed) = match output {
            Output::One(single) => (Some(&single.ended), single.stand_in.is_some(), None, 0),
            Output::Many(many) => (None, many.has_stand_ins(), Some(narrow(many.len())), many.failed()),
        };
        let outcome = match ended {
            Some(Ended::Failed(_)) => StepOutcome::Failed,
            Some(Ended::Skipped) => StepOutcome::Skipped,
            // Items that failed were tolerated one by one, or the step had failed as a whole.
            Some(Ended::Ok(_) | Ended::Composed(_)) | None => StepOutcome::Ok,
        };
        let code = output.failure().map(|failure| failure.error.kind().code());
        let streams = matches!(ended, Some(Ended::Ok(received)) if received.stream.is_some());
        Self { outcome, streams, code, fallback, items, failed_items: narrow(failed) }
    }
}

fn small(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What is left until then, in milliseconds.
pub(super) fn remaining_ms(deadline: Instant, now: Instant) -> i64 {
    let left = deadline.saturating_duration_since(now);
    i64::try_from(left.as_millis()).unwrap_or(i64::MAX)
}

fn route(run: &Run) -> Option<&Composition> {
    match &run.route().endpoint {
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
        f.debug_struct("State").field("route", &self.run.route().name).finish_non_exhaustive()
    }
}
