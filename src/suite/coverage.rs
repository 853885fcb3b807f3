//! Which branches of `when`, `optional`, `fallback` and `errors` the tests have taken.

use std::collections::BTreeMap;

use super::play::Played;
use crate::{
    config::{Templates, route::RouteTemplate},
    diagnostic::Place,
};

/// A way that a request may take through a route.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Where the template opens it.
    pub place: Place,
    /// What has to happen: `loyalty` fails …
    pub what: String,
    /// Whether a test has taken it.
    pub taken: bool,
    taken_by: TakenBy,
}

/// What takes a branch.
#[derive(Clone, Copy, Debug)]
enum TakenBy {
    /// The step ended so.
    Outcome(usize, &'static str),
    /// The step, or an item of it, failed.
    Failure(usize),
    /// An entry of `errors` answered.
    Rule(usize),
}

/// The branches of the routes that tests have reached, by route.
#[derive(Debug, Default)]
pub struct Coverage {
    routes: BTreeMap<String, Reached>,
}

#[derive(Debug, Default)]
struct Reached {
    reached: bool,
    /// By step index.
    steps: Vec<String>,
    branches: Vec<Branch>,
}

// === impl Coverage ===

impl Coverage {
    pub(super) fn of(templates: &Templates) -> Self {
        let routes = templates.routes.iter().map(|route| {
            let name = format!("{}/{}", route.metadata.unit, route.metadata.name.value);
            let steps = route.steps.iter().map(|step| step.name.value.clone()).collect();
            (name, Reached { reached: false, steps, branches: branches(route) })
        });
        Self { routes: routes.collect() }
    }

    pub(super) fn note(&mut self, played: &Played) {
        let Some(route) = self.routes.get_mut(&played.route) else { return };
        route.reached = true;
        let names = &route.steps;
        let outcome = |step: usize| {
            let ended = played.steps.iter().find(|(index, _)| usize::from(*index) == step);
            ended.map(|(_, outcome)| *outcome)
        };
        for branch in &mut route.branches {
            branch.taken |= match branch.taken_by {
                TakenBy::Outcome(step, wanted) => outcome(step).is_some_and(|got| got == wanted),
                TakenBy::Failure(step) => {
                    outcome(step) == Some("failed")
                        || names.get(step).is_some_and(|name| played.degraded.contains(name))
                }
                TakenBy::Rule(rule) => played.rule == Some(rule),
            };
        }
    }

    /// Every branch of the routes that a test has reached, by route and line.
    pub fn branches(&self) -> impl Iterator<Item = &Branch> {
        self.routes.values().filter(|route| route.reached).flat_map(|route| &route.branches)
    }

    /// Routes that no test has reached.
    pub fn unreached(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().filter(|(_, route)| !route.reached).map(|(name, _)| name.as_str())
    }
}

fn branches(route: &RouteTemplate) -> Vec<Branch> {
    let mut found = Vec::new();
    let mut add = |place: &Place, what: String, taken_by| {
        found.push(Branch { place: place.clone(), what, taken: false, taken_by });
    };
    for (index, step) in route.steps.iter().enumerate() {
        let name = &step.name.value;
        let tolerated = step.optional || step.fallback.is_some();
        if let Some(when) = &step.when {
            add(&when.place, format!("`when` of `{name}` is false"), TakenBy::Outcome(index, "skipped"));
        }
        if step.when.is_some() || tolerated {
            add(&step.name.place, format!("`{name}` is called and answers"), TakenBy::Outcome(index, "ok"));
        }
        if let Some(fallback) = &step.fallback {
            add(&fallback.place, format!("`fallback` of `{name}`: it fails"), TakenBy::Failure(index));
        } else if step.optional {
            add(&step.name.place, format!("`optional` of `{name}`: it fails"), TakenBy::Failure(index));
        }
    }
    for (index, rule) in route.errors.iter().enumerate() {
        add(&rule.place, format!("entry {} of `errors` answers", index + 1), TakenBy::Rule(index));
    }
    found
}
