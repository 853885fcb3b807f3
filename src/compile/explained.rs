//! What holds for one route and why: the question of `segue explain UNIT/ROUTE`.

use super::{Findings, policy, route, unit};
use crate::{
    config::{Templates, Tree},
    diagnostic::{Diagnostics, nearest},
};
pub use policy::{Explanation, Line, Rank};

/// What is known of a route's policy.
#[derive(Debug)]
pub enum Explained {
    /// Its layers and every effective value.
    Route(Box<Explanation>),
    /// There is no route of that name; perhaps this one was meant.
    Unknown(Option<String>),
}

/// Explains the effective policy of `unit/name`. It goes by the templates alone, so a route that has
/// findings is explained too.
#[must_use]
pub fn explain(tree: &Tree, name: &str) -> Explained {
    let templates = Templates::parse(tree, &mut Diagnostics::default());
    let called = |template: &crate::config::route::RouteTemplate| {
        format!("{}/{}", template.metadata.unit, template.metadata.name.value)
    };
    let Some(found) = templates.routes.iter().find(|template| called(template) == name) else {
        let names: Vec<String> = templates.routes.iter().map(called).collect();
        return Explained::Unknown(nearest(name, names.iter().map(String::as_str)).map(str::to_owned));
    };
    let mut findings = Findings::new(Diagnostics::default());
    let units = unit::Units::index(tree, &templates, &mut findings);
    let mut governance = policy::Governance::index(tree, &templates, &units, &mut findings);
    let matches = route::matches(std::slice::from_ref(found), &mut findings);
    let captures = matches.into_iter().flat_map(|(_, captures)| captures).collect::<Vec<_>>();
    Explained::Route(Box::new(governance.explain(found, &captures, &mut findings)))
}
