//! A request as bars on one time axis: the gateway, each step below the one that runs it, each attempt below
//! its step.

use crate::{
    problem::Kind,
    telemetry::{
        CallRecord, Finished, RouteInstruments, StepInfo, StepOutcome, StepRecord, critical::Tree,
        record::CallError,
    },
};

/// The most bars of a request. How many more there would be is said; they are in its trace.
const MOST_BARS: usize = 120;

/// See the module.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) depth: usize,
    pub(super) name: String,
    pub(super) what: What,
    pub(super) start_us: u64,
    pub(super) end_us: u64,
    /// The answer's head, of an attempt.
    pub(super) head_us: Option<u64>,
    pub(super) outcome: &'static str,
    pub(super) code: Option<String>,
    pub(super) critical: bool,
    /// What else there is to say.
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Step { wave: u16 },
    Attempt,
}

/// A request as bars.
#[derive(Debug)]
pub(super) struct Waterfall {
    /// Those below the gateway's own.
    pub(super) bars: Vec<Bar>,
    /// How many steps and attempts have none.
    pub(super) omitted: usize,
    /// How much of the request's time was the gateway's.
    pub(super) gateway_us: u64,
}

pub(super) fn waterfall(request: &Finished) -> Waterfall {
    let record = &request.record;
    let Some(route) = record.route.as_deref() else {
        return Waterfall { bars: Vec::new(), omitted: 0, gateway_us: request.us };
    };
    let tree = Tree::of(record);
    let critical = tree.critical(&route.info.steps, request.us, &route.generation);
    let mut all = Bars { request, route, critical, out: Vec::new() };
    all.run(0, &route.info.steps, 1);
    for (_, call) in record.calls.iter().filter(|(_, call)| call.step.is_none()) {
        all.call(call, 1);
    }
    let bars = all.out;
    let omitted = (record.steps.len() + record.calls.len() + record.lost as usize).saturating_sub(bars.len());
    Waterfall { bars, omitted, gateway_us: route.gateway_time(record, request.us) }
}

/// Whether nobody waited for the end of a step.
const fn is_left(step: &StepRecord) -> bool {
    matches!(step.outcome, StepOutcome::Late | StepOutcome::Cancelled)
}

struct Bars<'a> {
    request: &'a Finished,
    route: &'a RouteInstruments,
    critical: Vec<usize>,
    out: Vec<Bar>,
}

impl Bars<'_> {
    fn run(&mut self, scope: u16, infos: &[StepInfo], depth: usize) {
        let record = &self.request.record;
        let steps = record.steps.iter().enumerate().filter(|(_, step)| step.scope == scope);
        let mut steps: Vec<(usize, &StepRecord, &StepInfo)> =
            steps.filter_map(|(at, step)| Some((at, step, infos.get(usize::from(step.step))?))).collect();
        steps.sort_by_key(|(_, step, info)| (info.wave, step.started_us, step.step));
        for (at, step, info) in steps {
            if self.out.len() >= MOST_BARS {
                return;
            }
            self.step(at, step, info, depth);
            let calls = record.calls.iter().map(|(_, call)| call);
            let own = |call: &&CallRecord| (call.scope, call.step) == (scope, Some(step.step));
            for call in calls.filter(own) {
                self.call(call, depth + 1);
            }
            for (number, run) in (1u16..).zip(&record.scopes) {
                if (run.outer, run.step) == (scope, step.step) {
                    let callable = self.route.generation.compositions.get(run.composition as usize);
                    if let Some((_, inner)) = callable {
                        self.run(number, inner, depth + 1);
                    }
                }
            }
        }
    }

    fn step(&mut self, at: usize, step: &StepRecord, info: &StepInfo, depth: usize) {
        let mut notes = Vec::new();
        if let Some(items) = step.items {
            notes.push(format!("{items} items"));
        }
        if step.fallback {
            notes.push("fallback".to_owned());
        }
        let run = step.scope.checked_sub(1).and_then(|run| self.request.record.scopes.get(usize::from(run)));
        if let Some(item) = run.and_then(|run| run.item) {
            notes.push(format!("of item {item}"));
        }
        self.out.push(Bar {
            depth,
            name: info.name.to_string(),
            what: What::Step { wave: info.wave },
            start_us: step.started_us,
            end_us: step.end_us(self.request.us),
            head_us: None,
            outcome: step.outcome().as_str(),
            code: step.code.or_else(|| is_left(step).then(|| step.outcome.as_str())).map(str::to_owned),
            critical: self.critical.binary_search(&at).is_ok(),
            notes,
        });
    }

    /// Whether an answer was made of that of this call, whatever its status: one that a proxy route passes on and
    /// that is no 5xx, or the last one of a step that takes it.
    fn is_taken(&self, call: &CallRecord) -> bool {
        if !matches!(call.error(), Some(CallError::Status(_)))
            || call.failure.is_some()
            || call.left.is_some()
        {
            return false;
        }
        let record = &self.request.record;
        let Some(own) = call.step else {
            return call.status.is_some_and(|status| !status.is_server_error());
        };
        let is_ok = |step: &StepRecord| step.outcome == StepOutcome::Ok && !step.fallback;
        let mut steps = record.steps.iter().filter(|step| (step.scope, step.step) == (call.scope, own));
        let same =
            |other: &&CallRecord| (other.scope, other.step, other.item) == (call.scope, call.step, call.item);
        let mut later = record.calls.iter().map(|(_, other)| other).filter(same);
        steps.any(is_ok) && !later.any(|other| other.tries > call.tries)
    }

    fn call(&mut self, call: &CallRecord, depth: usize) {
        if self.out.len() >= MOST_BARS {
            return;
        }
        let service = self.route.generation.services.get(call.service as usize);
        let endpoint = service.zip(call.endpoint);
        let endpoint = endpoint.and_then(|(service, at)| service.endpoints.get(usize::from(at)));
        let mut notes = Vec::new();
        if let Some(endpoint) = endpoint {
            notes.push(format!("{}:{}", endpoint.host, endpoint.port));
        }
        let error = call.error().filter(|_| !self.is_taken(call));
        // One that is an error is said as such.
        if let Some(status) = call.status.filter(|_| !matches!(error, Some(CallError::Status(_)))) {
            notes.push(status.as_u16().to_string());
        }
        if let Some(item) = call.item {
            notes.push(format!("item {item}"));
        }
        if call.tries > 0 {
            notes.push(format!("attempt {}", u32::from(call.tries) + 1));
        }
        if call.resends > 0 {
            notes.push(format!("sent again {}×", call.resends));
        }
        if endpoint.is_some() && !call.reused && call.failure != Some(Kind::UpstreamUnreachable) {
            notes.push("new connection".to_owned());
        }
        self.out.push(Bar {
            depth,
            name: format!("{} {}", call.method.as_str(), service.map_or("", |service| &service.name)),
            what: What::Attempt,
            start_us: call.started_us,
            end_us: self.request.call_end(call),
            head_us: Some(call.head_us).filter(|head| *head > 0),
            outcome: match &error {
                None => "ok",
                Some(CallError::Left(left)) => left.as_str(),
                Some(CallError::Status(_) | CallError::Failed(_)) => "failed",
            },
            code: error.map(|error| error.as_text().to_owned()),
            critical: call.step.is_none(),
            notes,
        });
    }
}
