//! Which answer a call gets, and the log of all calls.
//!
//! Of the mocks that fit, the one of the step goes before that of the operation, and that before the one
//! of the service. Of its answers that fit the call's content, the first that was not given yet is
//! given; when all were, the last of them goes on.

use tokio::time::Instant;

use super::seen::Seen;
use crate::{
    config::suite::{AnswerTemplate, Fault, MockTemplate},
    diagnostic::Place,
};

/// The mocks of a test and what they have seen.
#[derive(Debug)]
pub(super) struct Script {
    unit: String,
    mocks: Vec<(MockTemplate, Vec<bool>)>,
    started: Instant,
    log: Vec<Seen>,
    /// Calls for which there was no answer.
    unanswered: Vec<Seen>,
}

impl Script {
    /// A test's own mocks, and those of its file for what the test has none of.
    pub(super) fn new(unit: &str, own: &[MockTemplate], shared: &[MockTemplate]) -> Self {
        let others = shared.iter().filter(|mock| own.iter().all(|own| own.target != mock.target));
        let mocks = own.iter().chain(others).map(|mock| (mock.clone(), vec![false; mock.answers.len()]));
        Self {
            unit: unit.to_owned(),
            mocks: mocks.collect(),
            started: Instant::now(),
            log: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    /// Since the start of the test, on its clock.
    pub(super) fn now(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// The answer to a call, which is logged. Absent when no mock fits.
    pub(super) fn answer(&mut self, call: Seen) -> Option<AnswerTemplate> {
        let chosen = self.choose(&call);
        if chosen.is_none() {
            self.unanswered.push(call.clone());
        }
        self.log.push(call);
        let (mock, index) = chosen?;
        let (mock, given) = &mut self.mocks[mock];
        given[index] = true;
        Some(mock.answers[index].clone())
    }

    /// Whether the call will be refused a connection; then it is logged and its answer is given.
    pub(super) fn refuses(&mut self, call: Seen) -> Option<std::time::Duration> {
        let (mock, index) = self.choose(&call)?;
        if self.mocks[mock].0.answers[index].fault != Some(Fault::Connect) {
            return None;
        }
        self.answer(call).map(|answer| answer.delay)
    }

    fn choose(&self, call: &Seen) -> Option<(usize, usize)> {
        let mut fitting: Vec<(usize, usize)> = Vec::new();
        for (index, (mock, _)) in self.mocks.iter().enumerate() {
            fitting.extend(call.caller.closeness(&mock.target, &self.unit).map(|rank| (rank, index)));
        }
        fitting.sort_unstable();
        fitting.into_iter().find_map(|(_, mock)| {
            let (template, given) = &self.mocks[mock];
            let answers = template.answers.iter().enumerate();
            let fits = answers.filter(|(_, answer)| call.differences(&answer.on).is_empty());
            let fits: Vec<usize> = fits.map(|(index, _)| index).collect();
            let fresh = fits.iter().find(|&&index| !given[index]);
            fresh.or_else(|| fits.last()).map(|&index| (mock, index))
        })
    }

    /// What came so far was before the test's own request: only a call without an answer still matters.
    pub(super) fn begin(&mut self) {
        self.log.clear();
        self.started = Instant::now();
    }

    /// Places of the answers that a test itself has and that no call was given.
    pub(super) fn unused(&self, own: usize) -> Vec<Place> {
        let mocks = self.mocks.iter().take(own);
        let answers = mocks.flat_map(|(mock, given)| mock.answers.iter().zip(given));
        answers.filter(|(_, given)| !**given).map(|(answer, _)| answer.place.clone()).collect()
    }

    /// All calls, and those without an answer.
    pub(super) fn take(&mut self) -> (Vec<Seen>, Vec<Seen>) {
        (std::mem::take(&mut self.log), std::mem::take(&mut self.unanswered))
    }
}
