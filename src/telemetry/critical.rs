//! What made an answer take as long as it did: the chain of steps in which each started when the one before
//! it had settled, up to the last that the answer waited for, whether that settled or was left. What no step took is the gateway's own.

use super::{Does, Generation, Record, RouteInfo, StepInfo, StepOutcome, StepRecord};
use crate::problem::Kind;

/// A stretch of time and what took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What took it.
    pub what: What,
    /// How long, in microseconds.
    pub us: u64,
}

/// What takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A step of the route, with the service that it, or something inside of it, called.
    Step {
        /// Index in the route's steps.
        step: u16,
        /// Which service.
        service: u32,
    },
    /// The proxied call, up to its answer's head.
    Proxied,
    /// From the answer's head to its last byte: as fast as the client takes it and the service gives it.
    Transfer,
}

/// Gives every part but the gateway's own, which is the rest of `us`, all of the request's time.
pub(super) fn parts(
    record: &Record,
    us: u64,
    route: &RouteInfo,
    generation: &Generation,
    give: &mut dyn FnMut(Part),
) {
    // Nothing may be counted twice, whatever the clocks of threads say: parts end where the last began.
    let mut before = us;
    if record.answered_us > 0 {
        let answered = record.answered_us.min(us);
        give(Part { what: What::Transfer, us: us - answered });
        before = answered;
    }
    let proxied = record.calls.iter().map(|(_, call)| call).filter(|call| call.step.is_none());
    if let Some(call) = proxied.last() {
        let head = [call.head_us, call.ended_us].into_iter().find(|end| *end > 0).unwrap_or(before);
        let (start, end) = (call.started_us.min(before), head.min(before));
        give(Part { what: What::Proxied, us: end.saturating_sub(start) });
        before = start;
    }
    if record.steps.is_empty() {
        return;
    }
    let tree = Tree::of(record);
    // What is inside of a step is visited after it.
    let mut own = 0;
    tree.walk(0, &route.steps, before, generation, &mut |index, us, info| {
        let step = &record.steps[index];
        if step.scope == 0 {
            own = step.step;
        }
        if let Does::Calls(service) = info.does {
            give(Part { what: What::Step { step: own, service }, us });
        }
    });
}

/// A record's steps by the run that they belong to.
#[derive(Debug)]
pub struct Tree<'a> {
    record: &'a Record,
    /// By scope.
    steps: Vec<Vec<usize>>,
    /// In the order of what they are inside of; of one step the last to end first.
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    inside: (u16, u16),
    scope: u16,
    composition: u32,
    began: u64,
    ended: u64,
}

impl<'a> Tree<'a> {
    /// Sorts a record.
    #[must_use]
    pub fn of(record: &'a Record) -> Self {
        let mut steps = vec![Vec::new(); record.scopes.len() + 1];
        for (index, step) in record.steps.iter().enumerate() {
            if let Some(scope) = steps.get_mut(usize::from(step.scope)) {
                scope.push(index);
            }
        }
        let mut runs = Vec::with_capacity(record.scopes.len());
        for (scope, run) in (1u16..).zip(&record.scopes) {
            let own = || steps[usize::from(scope)].iter().map(|index| &record.steps[*index]);
            let began = own().map(|step| step.started_us).min();
            let ended = own().map(|step| step.ended_us).max();
            if let (Some(began), Some(ended)) = (began, ended) {
                let inside = (run.outer, run.step);
                runs.push(Run { inside, scope, composition: run.composition, began, ended });
            }
        }
        runs.sort_by_key(|run| (run.inside, std::cmp::Reverse(run.ended)));
        Self { record, steps, runs }
    }

    /// The steps on the critical path of a run, the last first, as indexes of [`Record::steps`].
    #[must_use]
    pub fn chain(&self, scope: u16, steps: &[StepInfo], before: u64) -> Vec<usize> {
        let last = |wanted: &dyn Fn(u16) -> bool| {
            let all = self.steps.get(usize::from(scope)).map_or(&[][..], Vec::as_slice);
            let found = all.iter().map(|index| (*index, &self.record.steps[*index])).filter(|(_, one)| {
                one.started_us <= before && usize::from(one.step) < steps.len() && wanted(one.step)
            });
            // What was left when the answer was decided ends with what decided it. If that was the time, the
            // first in file order counts, which the answer names too.
            let overdue = Some(Kind::DeadlineExceeded.code());
            let left = |one: &StepRecord| match one.outcome {
                StepOutcome::Late | StepOutcome::Cancelled => true,
                _ => one.code == overdue,
            };
            found.max_by_key(|(_, one)| (one.ended_us, !left(one), std::cmp::Reverse(one.step)))
        };
        let mut found = Vec::new();
        let mut next = last(&|_| true);
        while let Some((index, step)) = next {
            found.push(index);
            // References are free of cycles, so this ends.
            let needs = &steps[usize::from(step.step)].needs;
            next = last(&|other| needs.contains(&other));
        }
        found
    }

    /// The span-worthy step that something of a step belongs to: itself, or the nearest around it that the
    /// record has. None for what belongs to the request.
    #[must_use]
    pub fn known(&self, mut scope: u16, mut step: u16) -> Option<(u16, u16)> {
        loop {
            let all = self.steps.get(usize::from(scope)).map_or(&[][..], Vec::as_slice);
            if all.iter().any(|index| self.record.steps[*index].step == step) {
                return Some((scope, step));
            }
            let run = self.record.scopes.get(usize::from(scope.checked_sub(1)?))?;
            (scope, step) = (run.outer, run.step);
        }
    }

    /// Every step on the critical path, inside of steps too, as sorted indexes of [`Record::steps`].
    #[must_use]
    pub fn critical(&self, steps: &[StepInfo], before: u64, generation: &Generation) -> Vec<usize> {
        let mut found = Vec::new();
        self.walk(0, steps, before, generation, &mut |index, _, _| found.push(index));
        found.sort_unstable();
        found
    }

    /// Visits the critical path of a run, the last step first, with the time that each took of it. A step
    /// that runs Compositions is followed by what is inside of it: of the runs of its items those that one
    /// after the other reach from its end to its start.
    fn walk(
        &self,
        scope: u16,
        steps: &[StepInfo],
        mut before: u64,
        generation: &Generation,
        visit: &mut dyn FnMut(usize, u64, &StepInfo),
    ) {
        for index in self.chain(scope, steps, before) {
            let one = &self.record.steps[index];
            let info = &steps[usize::from(one.step)];
            let (from, to) = (one.started_us.min(before), one.ended_us.min(before));
            before = from;
            visit(index, to - from, info);
            if let Does::Runs(_) = info.does {
                self.inside((scope, one.step), to, generation, visit);
            }
        }
    }

    fn inside(
        &self,
        step: (u16, u16),
        end: u64,
        generation: &Generation,
        visit: &mut dyn FnMut(usize, u64, &StepInfo),
    ) {
        let first = self.runs.partition_point(|run| run.inside < step);
        let mut before = end;
        for run in self.runs[first..].iter().take_while(|run| run.inside == step) {
            // Of one that an unsafe call outlived, what the step waited for counts.
            if run.ended > before && (before < end || run.began >= end) {
                continue;
            }
            let Some((_, steps)) = generation.compositions.get(run.composition as usize) else { return };
            self.walk(run.scope, steps, before, generation, visit);
            before = before.min(run.began);
        }
    }
}
