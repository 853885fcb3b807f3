//! What one request can cost at worst: calls, time, bytes. Computed from the plan alone, before it serves.
//!
//! Calls are a product: `max` of `forEach`, `attempts` of `retry`, and what a Composition calls. Every step
//! counts, because no one knows which `when` will be true.
//!
//! A call whose pooled connection was found closed is sent once more, and if it may be repeated the origin may
//! have read it before. So beside the calls stands how many of them an origin may see twice. Where both together
//! would pass `limits.maxCalls`, a request has so many of these as there is room for (`Route::spare`): no request
//! reaches origins more often than [`Cost::on_the_wire`] says.
//!
//! Time is the longest path over what waits for what, each call taking all of its timeout, waits between
//! attempts included. A `Retry-After` may ask for more; the route's timeout ends it all.

use std::{cell::OnceCell, sync::Arc, time::Duration};

use super::{
    Action, BodyUse, Callable, Composition, Endpoint, ForEach, Plan, Retry, Route, Service, Step, Tolerance,
    reads,
};
use crate::id::CompositionId;

/// What the answer of one call may hold, in bytes.
pub const ANSWER_BYTES: u64 = 4 * 1024 * 1024;
/// What all answers of one execution may hold, in bytes.
pub const EXECUTION_BYTES: u64 = 16 * 1024 * 1024;
/// What is read of a request's body, in bytes.
pub const REQUEST_BYTES: u64 = 1024 * 1024;

/// How deep Compositions nest; `compile` refuses more.
const MAX_DEPTH: usize = 8;

/// The worst of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Upstream calls, attempts counted one by one.
    pub calls: u64,
    /// How many of them an origin may see twice: those that may be repeated.
    pub again: u64,
    /// From the first call to the last, without the route's timeout.
    pub time: Duration,
    /// Bytes of answers held in memory.
    pub bytes: u64,
}

impl Cost {
    /// How often all of it can reach origins when a request may send so many calls again.
    #[must_use]
    pub fn on_the_wire(&self, spare: Option<u32>) -> u64 {
        self.calls.saturating_add(spare.map_or(self.again, |spare| self.again.min(spare.into())))
    }
}

/// A composition's steps with what each costs.
#[derive(Clone, Debug)]
pub struct Outline {
    /// In file order.
    pub steps: Vec<StepCost>,
    /// The steps that decide the worst time, in the order they run.
    pub critical: Vec<usize>,
    /// All together.
    pub cost: Cost,
}

/// What a step costs.
#[derive(Clone, Debug)]
pub struct StepCost {
    /// The most items of its `forEach`.
    pub items: Option<u64>,
    /// Attempts of each call, the first counted.
    pub attempts: u32,
    /// One attempt at its longest; for a Composition all of it.
    pub attempt: Duration,
    /// All of it.
    pub cost: Cost,
    /// The Composition that it runs.
    pub composition: Option<CompositionId>,
}

/// Estimates over the tables of one plan. What a Composition costs is computed once.
#[derive(Debug)]
pub struct Estimates<'p> {
    services: &'p [Service],
    callables: &'p [Callable],
    known: Vec<OnceCell<Arc<Outline>>>,
}

impl<'p> Estimates<'p> {
    /// Estimates over these tables.
    #[must_use]
    pub fn new(services: &'p [Service], callables: &'p [Callable]) -> Self {
        Self { services, callables, known: callables.iter().map(|_| OnceCell::new()).collect() }
    }

    /// Estimates over a whole plan.
    #[must_use]
    pub fn of(plan: &'p Plan) -> Self {
        Self::new(&plan.services, &plan.compositions)
    }

    /// A route's own steps.
    #[must_use]
    pub fn steps(&self, route: &Route) -> Outline {
        match &route.endpoint {
            Endpoint::Compose { composition, .. } => self.outline(composition, 0),
            Endpoint::Proxy { composition: Some(composition), .. } => self.outline(composition, 0),
            Endpoint::Proxy { composition: None, .. } | Endpoint::Static(_) => {
                Outline { steps: Vec::new(), critical: Vec::new(), cost: Cost::default() }
            }
        }
    }

    /// All that a request to a route can cost: its steps, its proxied call, the body that it reads.
    #[must_use]
    pub fn route(&self, route: &Route) -> Cost {
        let mut cost = self.steps(route).cost;
        let reads_body = |composition: &Composition| composition.request_body > BodyUse::Unread;
        match &route.endpoint {
            Endpoint::Compose { composition, .. } if reads_body(composition) => cost.bytes += REQUEST_BYTES,
            // Its body streams, and its time ends with the route's.
            Endpoint::Proxy { .. } => {
                let methods = &route.matching.methods;
                let repeatable = methods.is_empty() || methods.iter().any(reads);
                cost.calls = cost.calls.saturating_add(1);
                cost.again = cost.again.saturating_add(repeatable.into());
            }
            Endpoint::Compose { .. } | Endpoint::Static(_) => {}
        }
        cost
    }

    /// A Composition's steps.
    #[must_use]
    pub fn composition(&self, id: CompositionId) -> Arc<Outline> {
        self.nested(id, 0)
    }

    fn nested(&self, id: CompositionId, depth: usize) -> Arc<Outline> {
        let known = &self.known[id.index()];
        if let Some(known) = known.get() {
            return Arc::clone(known);
        }
        let outline = Arc::new(self.outline(&self.callables[id.index()].composition, depth + 1));
        Arc::clone(known.get_or_init(|| outline))
    }

    fn outline(&self, composition: &Composition, depth: usize) -> Outline {
        let steps: Vec<_> = composition.steps.iter().map(|step| self.step(step, depth)).collect();
        let mut cost = Cost::default();
        for step in &steps {
            cost.calls = cost.calls.saturating_add(step.cost.calls);
            cost.again = cost.again.saturating_add(step.cost.again);
            cost.bytes = cost.bytes.saturating_add(step.cost.bytes).min(EXECUTION_BYTES);
        }
        let (critical, time) = longest(&composition.steps, &steps);
        Outline { steps, critical, cost: Cost { time, ..cost } }
    }

    fn step(&self, step: &Step, depth: usize) -> StepCost {
        let (one, attempt, composition) = match &step.action {
            Action::Call(call) => {
                let service = &self.services[call.service.index()];
                let attempt = step.timeout.unwrap_or(service.timeout);
                let (attempts, time) = attempts(attempt, step.retry.as_ref());
                // What nobody reads is dropped, not held.
                let bytes = if step.body == BodyUse::Unread { 0 } else { ANSWER_BYTES };
                let again = if call.safe { attempts.into() } else { 0 };
                (Cost { calls: attempts.into(), again, time, bytes }, attempt, None)
            }
            // Deeper ones are refused; what they would cost is nobody's question.
            Action::Compose(_) if depth >= MAX_DEPTH => (Cost::default(), Duration::ZERO, None),
            Action::Compose(nested) => {
                let cost = self.nested(nested.composition, depth).cost;
                (cost, cost.time, Some(nested.composition))
            }
        };
        let items = step.for_each.as_ref().map(|each| each.max as u64);
        let cost = match &step.for_each {
            None => one,
            Some(ForEach { max, concurrency, .. }) => {
                let rounds = max.div_ceil((*concurrency).max(1));
                Cost {
                    calls: one.calls.saturating_mul(*max as u64),
                    again: one.again.saturating_mul(*max as u64),
                    time: one.time.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX)),
                    bytes: one.bytes.saturating_mul(*max as u64).min(EXECUTION_BYTES),
                }
            }
        };
        let attempts = step.retry.as_ref().map_or(1, |retry| retry.attempts);
        StepCost { items, attempts, attempt, cost, composition }
    }
}

impl Tolerance {
    /// How it is written.
    #[must_use]
    pub const fn word(&self) -> Option<&'static str> {
        match self {
            Self::Required => None,
            Self::Optional => Some("optional"),
            Self::Fallback(_) => Some("fallback"),
        }
    }
}

/// How many attempts there are, and how long they and the waits between them take.
fn attempts(one: Duration, retry: Option<&Retry>) -> (u32, Duration) {
    let Some(retry) = retry else { return (1, one) };
    let mut time = one.saturating_mul(retry.attempts);
    let mut wait = retry.initial;
    for _ in 1..retry.attempts {
        // Jitter is at most half of the wait.
        time = time.saturating_add(wait.saturating_mul(3) / 2);
        wait = wait.saturating_mul(2).min(retry.max);
    }
    (retry.attempts, time)
}

/// The steps of the longest path, and how long it is.
fn longest(steps: &[Step], costs: &[StepCost]) -> (Vec<usize>, Duration) {
    let mut by_wave: Vec<usize> = (0..steps.len()).collect();
    by_wave.sort_by_key(|&index| steps[index].wave);
    let mut ends = vec![Duration::ZERO; steps.len()];
    let mut before: Vec<Option<usize>> = vec![None; steps.len()];
    for index in by_wave {
        let needs = steps[index].needs.iter().map(|need| need.index());
        before[index] = needs.max_by_key(|&need| ends[need]);
        let start = before[index].map_or(Duration::ZERO, |need| ends[need]);
        ends[index] = start.saturating_add(costs[index].cost.time);
    }
    // The first in file order of those that end last.
    let last = (0..steps.len()).rev().max_by_key(|&index| ends[index]);
    let time = last.map_or(Duration::ZERO, |last| ends[last]);
    let mut path: Vec<usize> = std::iter::successors(last, |&index| before[index]).collect();
    path.reverse();
    (path, time)
}
