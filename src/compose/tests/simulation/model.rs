//! What a composition must do, computed step by step without an executor.

use super::random::{Composition, Outcome, Step, Tolerated};

/// How a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a body, and whether that has `v`.
    Ok {
        v: bool,
    },
    Failed(&'static str),
    Skipped,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// When each step starts, if it does before the decision.
    pub(crate) starts: Vec<Option<u64>>,
    pub(crate) ended: Vec<Ended>,
    pub(crate) settled_at: Vec<u64>,
    /// When the answer is certain.
    pub(crate) decided_at: u64,
    /// The failures of that moment, any of which may be the answer; none if there is one.
    pub(crate) failures: Vec<(usize, &'static str)>,
    /// Every failure that is not tolerated, whenever it would come.
    required_failures: usize,
}

impl Model {
    pub(crate) fn of(composition: &Composition) -> Self {
        let cut = composition.deadline - composition.deadline / 10;
        let mut model = Self::default();
        for (index, step) in composition.steps.iter().enumerate() {
            let needs = step.reads.iter().chain(&step.after).chain(&step.when);
            let start = needs.map(|&need| model.settled_at[need]).max().unwrap_or(0);
            // Whoever says what is degraded waits for all that may be.
            let others = (0..index).filter(|_| step.audits);
            let others = others.filter(|&other| composition.steps[other].tolerated != Tolerated::Not);
            let start = others.map(|other| model.settled_at[other]).fold(start, u64::max);
            let (ended, settled) = model.run(composition, index, step, (start, cut));
            model.starts.push(Some(start));
            model.ended.push(ended);
            model.settled_at.push(settled);
        }
        model.decide(composition);
        model
    }

    fn run(
        &self,
        composition: &Composition,
        index: usize,
        step: &Step,
        (start, cut): (u64, u64),
    ) -> (Ended, u64) {
        if step.when.is_some_and(|when| !matches!(self.ended[when], Ended::Ok { .. })) {
            return (Ended::Skipped, start);
        }
        if step.items.is_some() {
            return self.each(composition, index, step, (start, cut));
        }
        let (outcome, delay) = (composition.outcomes[index][0], composition.delays[index][0]);
        self.call(composition, step, (outcome, delay), (start, cut))
    }

    /// One call that could start now.
    fn call(
        &self,
        composition: &Composition,
        step: &Step,
        (outcome, delay): (Outcome, u64),
        (start, cut): (u64, u64),
    ) -> (Ended, u64) {
        let tolerated = step.tolerated != Tolerated::Not;
        if tolerated && start >= cut {
            return (Ended::Failed("deadline_exceeded"), start);
        }
        // What it reads plainly must be there.
        let lacks = |read: &usize| {
            let from = &composition.steps[*read];
            from.items.is_none() && !from.may_be_absent() && self.ended[*read] == Ended::Ok { v: false }
        };
        if step.reads.iter().any(lacks) {
            return (Ended::Failed("expression_error"), start);
        }
        let own = start + step.timeout;
        let answers = if outcome == Outcome::Never { u64::MAX } else { start + delay };
        let (ended, at) = if answers > own {
            (Ended::Failed("upstream_timeout"), own)
        } else {
            let ended = match outcome {
                Outcome::Ok => Ended::Ok { v: true },
                Outcome::OkWithout => Ended::Ok { v: false },
                Outcome::Status => Ended::Failed("upstream_status"),
                Outcome::Reset | Outcome::Never => Ended::Failed("upstream_reset"),
            };
            (ended, answers)
        };
        if tolerated && at > cut { (Ended::Failed("deadline_exceeded"), cut) } else { (ended, at) }
    }

    /// Items in turn, so many at a time.
    fn each(
        &self,
        composition: &Composition,
        index: usize,
        step: &Step,
        (start, cut): (u64, u64),
    ) -> (Ended, u64) {
        let (count, concurrency) = step.items.unwrap();
        // When each lane is free again.
        let mut lanes = vec![start; concurrency];
        let mut first_failure: Option<(u64, &'static str)> = None;
        let mut last = start;
        for item in 0..count {
            let lane = lanes.iter_mut().min().unwrap();
            if first_failure.is_some_and(|(at, _)| at <= *lane) {
                break;
            }
            let what = (composition.outcomes[index][item], composition.delays[index][item]);
            let (ended, at) = self.call(composition, step, what, (*lane, cut));
            if let (Ended::Failed(code), Tolerated::Not) = (ended, step.tolerated)
                && first_failure.is_none_or(|(before, _)| at < before)
            {
                first_failure = Some((at, code));
            }
            *lane = at;
            last = last.max(at);
        }
        match first_failure {
            Some((at, code)) => (Ended::Failed(code), at),
            None => (Ended::Ok { v: true }, last),
        }
    }

    /// The first failure that nothing tolerates, the deadline, or all settled.
    fn decide(&mut self, composition: &Composition) {
        let required =
            composition.steps.iter().enumerate().filter(|(_, step)| step.tolerated == Tolerated::Not);
        let failed: Vec<(u64, usize, &'static str)> = required
            .filter_map(|(index, _)| match self.ended[index] {
                Ended::Failed(code) => Some((self.settled_at[index], index, code)),
                Ended::Ok { .. } | Ended::Skipped => None,
            })
            .collect();
        // Of a `forEach` each item that fails may be the first.
        let items = |step: usize| {
            let fails = |outcome: &&Outcome| !matches!(outcome, Outcome::Ok | Outcome::OkWithout);
            composition.outcomes[step].iter().filter(fails).count().max(1)
        };
        self.required_failures = failed.iter().map(|(_, step, _)| items(*step)).sum();
        let all = self.settled_at.iter().copied().max().unwrap_or(0);
        let first = failed.iter().map(|(at, ..)| *at).min();
        self.decided_at = first.unwrap_or(all).min(composition.deadline);
        if self.decided_at == composition.deadline {
            let running = (0..self.settled_at.len()).filter(|&step| self.settled_at[step] >= self.decided_at);
            self.failures = running.map(|step| (step, "deadline_exceeded")).collect();
        } else {
            let now = failed.into_iter().filter(|(at, ..)| Some(*at) == first);
            self.failures = now.map(|(_, step, code)| (step, code)).collect();
        }
    }

    /// How many failures could be the answer, if time decided among them.
    pub(crate) fn possible_failures(&self) -> usize {
        self.required_failures
    }
}
