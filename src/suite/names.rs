//! What mocks and expected calls may name: steps of the route and of what they run, operations, services.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{
    Templates,
    step::{CallTemplate, StepTemplate},
};

/// The name of a proxied call, which belongs to no step.
pub(super) const PROXY: &str = "proxy";

/// Names of steps that a message chooses from.
const MOST_NAMES: usize = 500;

/// Names of a tree.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By `unit/name`.
    routes: BTreeMap<String, Steps>,
    /// By `unit/name` and major version.
    compositions: BTreeMap<String, BTreeMap<u64, Steps>>,
    /// `unit/service`
    services: BTreeSet<String>,
    /// `unit/service.operation`
    operations: BTreeSet<String>,
}

type Steps = BTreeMap<String, Callee>;

/// What a step calls.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Callee {
    /// `unit/service.operation`
    Operation(String),
    /// A Composition, `unit/name`, and the major version that the step asks for.
    Composition(String, Option<u64>),
    /// A path of a service, or a proxied call.
    Written,
}

/// Who calls whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The step, `outer.inner` inside of a Composition, or `proxy`.
    pub step: String,
    /// `unit/service`
    pub service: String,
    /// `unit/service.operation`, if the step calls one by its name.
    pub operation: Option<String>,
}

// === impl Names ===

impl Names {
    pub(super) fn of(templates: &Templates) -> Self {
        let mut names = Self::default();
        for service in &templates.services {
            let full = qualified(&service.metadata.name.value, &service.metadata.unit);
            for operation in &service.operations {
                names.operations.insert(format!("{full}.{}", operation.name.value));
            }
            names.services.insert(full);
        }
        for composition in &templates.compositions {
            let metadata = &composition.metadata;
            let versions =
                names.compositions.entry(qualified(&metadata.name.value, &metadata.unit)).or_default();
            versions.insert(metadata.major().unwrap_or(0), steps(&composition.steps, &metadata.unit));
        }
        for route in &templates.routes {
            let unit = &route.metadata.unit;
            let mut steps = steps(&route.steps, unit);
            if route.proxy.is_some() {
                steps.entry(PROXY.to_owned()).or_insert(Callee::Written);
            }
            names.routes.insert(qualified(&route.metadata.name.value, unit), steps);
        }
        // An operation may come from a contract.
        let inner = names.compositions.values().flat_map(BTreeMap::values);
        let called = names.routes.values().chain(inner).flat_map(BTreeMap::values);
        names.operations.extend(called.filter_map(|callee| match callee {
            Callee::Operation(name) => Some(name.clone()),
            Callee::Composition(..) | Callee::Written => None,
        }));
        names
    }

    /// The caller of a call to a service, from what [`crate::upstream::dial::STEP`] says: the route and
    /// the step.
    pub(super) fn caller(&self, service: &str, label: &str) -> Caller {
        let (route, step) = label.split_once(' ').unwrap_or(("", PROXY));
        let operation = match self.callee(route, step) {
            Some(Callee::Operation(name)) => Some(name.clone()),
            Some(Callee::Composition(..) | Callee::Written) | None => None,
        };
        Caller { step: step.to_owned(), service: service.to_owned(), operation }
    }

    /// What the step of a route calls, through as many Compositions as its name has dots.
    fn callee(&self, route: &str, step: &str) -> Option<&Callee> {
        let mut steps = self.routes.get(route)?;
        let mut parts = step.split('.').peekable();
        loop {
            let callee = steps.get(parts.next()?)?;
            if parts.peek().is_none() {
                return Some(callee);
            }
            let Callee::Composition(name, major) = callee else { return None };
            steps = self.version(name, *major)?;
        }
    }

    /// Whether anything has the name, for a test of this unit whose request the route answers.
    pub(super) fn knows(&self, name: &str, unit: &str, route: &str) -> bool {
        let full = qualified(name, unit);
        self.services.contains(&full)
            || self.operations.contains(&full)
            || self.callee(route, name).is_some_and(|callee| !matches!(callee, Callee::Composition(..)))
    }

    /// Every name that there is, as a test of this unit would write it; of steps, those of these routes.
    pub(super) fn all<'r>(&self, unit: &str, routes: impl IntoIterator<Item = &'r str>) -> Vec<String> {
        let mut found = Vec::new();
        for route in routes {
            if let Some(steps) = self.routes.get(route) {
                self.calling(steps, "", &mut found);
            }
        }
        let own = |name: &String| {
            name.strip_prefix(unit).and_then(|name| name.strip_prefix('/')).unwrap_or(name).to_owned()
        };
        found.extend(self.operations.iter().chain(&self.services).map(own));
        found
    }

    /// Steps that call a service; those inside of a Composition after the name of the step that runs it.
    fn calling(&self, steps: &Steps, prefix: &str, found: &mut Vec<String>) {
        for (name, callee) in steps {
            // A tree of Compositions can be very large.
            if found.len() >= MOST_NAMES {
                return;
            }
            match callee {
                Callee::Operation(_) | Callee::Written => found.push(format!("{prefix}{name}")),
                Callee::Composition(composition, major) => {
                    if let Some(inner) = self.version(composition, *major) {
                        self.calling(inner, &format!("{prefix}{name}."), found);
                    }
                }
            }
        }
    }

    /// The steps of a Composition in the version that is asked for, or the latest.
    fn version(&self, name: &str, major: Option<u64>) -> Option<&Steps> {
        let versions = self.compositions.get(name)?;
        match major {
            Some(major) => versions.get(&major),
            None => versions.values().next_back(),
        }
    }
}

fn steps(templates: &[StepTemplate], unit: &str) -> Steps {
    let steps = templates.iter().map(|step| {
        let callee = match &step.call {
            CallTemplate::Operation(name) => Callee::Operation(qualified(name, unit)),
            CallTemplate::Compose { name, .. } => {
                let (name, major) = name.split_once('@').unwrap_or((name, ""));
                Callee::Composition(qualified(name, unit), major.parse().ok())
            }
            CallTemplate::Http { .. } => Callee::Written,
        };
        (step.name.value.clone(), callee)
    });
    steps.collect()
}

// === impl Caller ===

impl Caller {
    /// How closely a name fits, best first: the step, the operation, the service.
    pub(super) fn closeness(&self, name: &str, unit: &str) -> Option<usize> {
        let full = qualified(name, unit);
        let fits = [name == self.step, self.operation.as_ref() == Some(&full), full == self.service];
        fits.into_iter().position(|fits| fits)
    }
}

fn qualified(name: &str, unit: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{unit}/{name}") }
}
