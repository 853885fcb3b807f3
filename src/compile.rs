//! Templates → plan: names resolved, cycles refused, every finding at once. Pure: no I/O, no clock,
//! no secret, so `check` runs anywhere and the server accepts exactly what `check` accepts.
//!
//! Each document is judged on its own, so a broken one never hides what is wrong with another, and a
//! broken expression still says which steps it names, so that it does not cause findings elsewhere.

mod bounds;
mod call;
mod composition;
mod conflict;
mod consumer;
pub mod explained;
mod fields;
mod findings;
mod gateway;
mod graph;
mod nested;
mod partial;
mod path;
mod policy;
mod request;
mod respond;
mod route;
mod service;
mod shape;
mod text;
mod unit;

use crate::{
    config::{Templates, Tree},
    diagnostic::{Code, Diagnostics},
    plan::Plan,
    schema::bounds::bounded,
};
use findings::Findings;
pub use partial::{Partial, partial};

/// Compiles a tree. The plan is there only when no finding is an error.
#[must_use]
pub fn compile(tree: &Tree) -> (Option<Plan>, Diagnostics) {
    let (plan, diagnostics) = draft(tree);
    (plan.filter(|_| !diagnostics.has_errors()), diagnostics)
}

/// The same, but for routes that could only call too often there is a plan that shows how.
fn draft(tree: &Tree) -> (Option<Plan>, Diagnostics) {
    bounded(|| drafted(tree))
}

fn drafted(tree: &Tree) -> (Option<Plan>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let templates = Templates::parse(tree, &mut diagnostics);
    let mut findings = Findings::new(diagnostics);
    let gateway = gateway::compile(&templates.gateways, &mut findings);
    let consumers = consumer::compile(&templates.consumers, &mut findings);
    let units = unit::Units::index(tree, &templates, &mut findings);
    let mut governance = policy::Governance::index(tree, &templates, &units, &mut findings);
    templates.services.iter().for_each(|template| units.grants(template, &mut findings));
    let services = service::Services::index(&templates, &mut findings);
    let compositions = nested::Compositions::index(&templates, &services, &mut findings);
    let callables = compositions.compile(&services, &mut findings);
    let matches = route::matches(&templates.routes, &mut findings);
    conflict::check(&templates.routes, &matches, &mut findings);
    let mut routes = Vec::with_capacity(templates.routes.len());
    for (template, (matching, captures)) in templates.routes.iter().zip(matches) {
        let known = (&services, &compositions);
        match route::compile(template, matching, captures, known, (&units, &mut governance), &mut findings) {
            Some(route) => routes.push(route),
            None if findings.has_errors() => {}
            None => {
                debug_assert!(false, "what is left out has a finding");
                let place = &template.metadata.name.place;
                findings.error(Code::InvalidValue, place, "this Route cannot be compiled");
            }
        }
    }
    governance.finish(&mut findings);
    let plan = gateway.zip(callables).filter(|_| !findings.has_errors());
    let mut plan = plan.map(|(gateway, compositions)| Plan {
        gateway,
        elsewhere: templates.elsewhere.iter().cloned().collect(),
        consumers,
        services: services.plan(&units),
        compositions,
        routes: routes.into(),
    });
    if let Some(plan) = &mut plan {
        bounds::check(plan, &mut findings);
    }
    (plan, findings.finish())
}

#[cfg(test)]
mod tests;
