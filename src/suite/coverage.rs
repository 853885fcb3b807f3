//! Which branches of `when`, `optional`, `fallback` and `errors` the tests have taken.

use std::collections::BTreeMap;

use super::play::{Played, Settled};
use crate::{
    config::{Templates, route::ErrorTemplate, step::StepTemplate},
    diagnostic::Place,
    plan::{Action, Composition, Endpoint, Plan},
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

/// The branches of the routes that tests have reached, by route, and of the Compositions that these run.
#[derive(Debug, Default)]
pub struct Coverage {
    routes: BTreeMap<String, Reached>,
    /// By their index in the plan.
    compositions: Vec<Reached>,
}

#[derive(Debug, Default)]
struct Reached {
    reached: bool,
    branches: Vec<Branch>,
}

// === impl Coverage ===

impl Coverage {
    pub(super) fn of(templates: &Templates) -> Self {
        let routes = templates.routes.iter().map(|route| {
            let name = format!("{}/{}", route.metadata.unit, route.metadata.name.value);
            (name, Reached { reached: false, branches: branches(&route.steps, &route.errors) })
        });
        let compositions = templates
            .compositions
            .iter()
            .map(|composition| Reached { reached: false, branches: branches(&composition.steps, &[]) });
        Self { routes: routes.collect(), compositions: compositions.collect() }
    }

    pub(super) fn note(&mut self, played: &Played, plan: &Plan) {
        let Some(route) = self.routes.get_mut(&played.route) else { return };
        if !std::mem::replace(&mut route.reached, true) {
            let planned = plan.routes.iter().find(|planned| *planned.name == *played.route);
            let own = planned.and_then(|planned| match &planned.endpoint {
                Endpoint::Compose { composition, .. } => Some(composition),
                Endpoint::Proxy { composition, .. } => composition.as_ref(),
                Endpoint::Static(_) => None,
            });
            if let Some(own) = own {
                reach(own, plan, &mut self.compositions);
            }
        }
        for settled in &played.steps {
            let of = match settled.composition {
                Some(index) => self.compositions.get_mut(index),
                None => self.routes.get_mut(&played.route),
            };
            for branch in of.into_iter().flat_map(|reached| &mut reached.branches) {
                branch.taken |= branch.taken_by.is(settled);
            }
        }
        for branch in self.routes.get_mut(&played.route).into_iter().flat_map(|route| &mut route.branches) {
            branch.taken |= matches!(branch.taken_by, TakenBy::Rule(rule) if played.rule == Some(rule));
        }
    }

    /// Every branch of the routes that a test has reached and of what they run, by route and line.
    pub fn branches(&self) -> impl Iterator<Item = &Branch> {
        let all = self.routes.values().chain(&self.compositions);
        all.filter(|one| one.reached).flat_map(|one| &one.branches)
    }

    /// Routes that no test has reached.
    pub fn unreached(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().filter(|(_, route)| !route.reached).map(|(name, _)| name.as_str())
    }
}

/// The Compositions that steps run, and those that they run.
fn reach(composition: &Composition, plan: &Plan, all: &mut [Reached]) {
    for step in &composition.steps {
        let Action::Compose(nested) = &step.action else { continue };
        let id = nested.composition.index();
        if let Some(reached) = all.get_mut(id).filter(|reached| !reached.reached) {
            reached.reached = true;
            reach(&plan.compositions[id].composition, plan, all);
        }
    }
}

impl TakenBy {
    fn is(self, settled: &Settled) -> bool {
        match self {
            Self::Outcome(step, outcome) => settled.step == step && settled.outcome == outcome,
            Self::Failure(step) => {
                settled.step == step && (settled.outcome == "failed" || settled.failed_items)
            }
            Self::Rule(_) => false,
        }
    }
}

fn branches(steps: &[StepTemplate], errors: &[ErrorTemplate]) -> Vec<Branch> {
    let mut found = Vec::new();
    let mut add = |place: &Place, what: String, taken_by| {
        found.push(Branch { place: place.clone(), what, taken: false, taken_by });
    };
    for (index, step) in steps.iter().enumerate() {
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
    for (index, rule) in errors.iter().enumerate() {
        add(&rule.place, format!("entry {} of `errors` answers", index + 1), TakenBy::Rule(index));
    }
    found
}
