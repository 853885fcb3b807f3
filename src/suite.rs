//! Tests of templates: what `*.test.yaml` asks is played on everything that serves but the network.
//!
//! A request goes into a worker's handle on the compiled plan: router, layers, executor or proxy, and the
//! upstream's codec. Behind that, on byte streams within the process, `stage` answers for every service.
//! The clock is paused, so that a timeout of a minute takes none, and times are exact.
//!
//! Absent: sockets, names, TLS, secrets, and a second place that decides what a template means.

mod caller;
mod compare;
mod coverage;
mod judge;
mod names;
mod play;
mod reply;
pub mod report;
mod script;
mod seen;
mod stage;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};

use crate::{
    config::{Spanned, Templates, Tree, suite},
    diagnostic::{Diagnostics, Place},
    plan::Plan,
};
pub use coverage::{Branch, Coverage};
use names::Names;
pub use seen::Seen;

/// What running tests gave.
#[derive(Debug)]
pub struct Report {
    /// What is wrong with the test files themselves.
    pub findings: Diagnostics,
    /// The tests in the order of files and lines.
    pub cases: Vec<Case>,
    /// Which branches of the routes they reached.
    pub coverage: Coverage,
}

/// A test that was run.
#[derive(Debug)]
pub struct Case {
    /// Its name and where that stands.
    pub name: Spanned<String>,
    /// What it expected in vain.
    pub failures: Diagnostics,
    /// The answer, unless the client left or none came.
    pub answer: Option<Answered>,
    /// Calls in the order in which they came.
    pub calls: Vec<Seen>,
    /// Answers of its mocks that no call was given.
    pub unused: Vec<Place>,
}

/// An answer as the client got it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body; nothing if it broke off.
    pub body: Option<bytes::Bytes>,
    /// When its body had ended, on the test's clock.
    pub elapsed: Duration,
    /// `request.id`, which differs from run to run.
    pub request_id: Arc<str>,
    /// The trace's id, which differs too.
    pub trace_id: String,
}

/// Runs the tests of the files that are wanted.
#[must_use]
pub fn run(tree: &Tree, mut plan: Plan, wanted: &dyn Fn(&str) -> bool) -> Report {
    let mut findings = Diagnostics::default();
    let suites = suite::parse(tree, wanted, &mut findings);
    let templates = Templates::parse(tree, &mut Diagnostics::default());
    let names = Arc::new(Names::of(&templates));
    stage::furnish(&mut plan);
    let plan = Arc::new(plan);
    let keys = tree.others.iter().filter_map(|file| Some((Arc::clone(&file.path), file.text.clone()?)));
    let keys = keys.collect();
    let mut coverage = Coverage::of(&templates);
    let mut cases = Vec::new();
    for suite in &suites {
        let mut reached = BTreeSet::new();
        for test in &suite.tests {
            let played = play::play((&plan, &keys), &names, suite, test);
            // A branch that nobody looks at is not tested.
            if test.expects_something() {
                coverage.note(&played, &plan);
            }
            if !played.route.is_empty() {
                reached.insert(played.route.clone());
            }
            let failures = judge::judge(&names, suite, test, &played);
            let play::Played { answer, calls, unused, .. } = played;
            cases.push(Case { name: test.name.clone(), failures, answer, calls, unused });
        }
        judge::shared(&names, suite, &reached, &mut findings);
    }
    findings.finish();
    Report { findings, cases, coverage }
}

// === impl Report ===

impl Report {
    /// Whether everything is as expected.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        !self.findings.has_errors() && self.cases.iter().all(Case::is_fine)
    }
}

// === impl Case ===

impl Case {
    /// Whether everything is as the test expects.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.failures.items().is_empty()
    }
}
