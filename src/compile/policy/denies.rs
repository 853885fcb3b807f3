//! Rules that read of the caller what no caller of a route can have.
//!
//! Such a rule cannot be evaluated where it reads that, and denies then: safe, and never what its author means.

use std::{collections::HashSet, sync::Arc};

use super::{super::Findings, lattice::Layer};
use crate::{
    config::route::RouteTemplate,
    diagnostic::{Code, Diagnostic},
    expr::{PrincipalField, Reference, Slot},
    policy::{Policies, authorize::Rule},
};

/// Warns of them, once each, with the first route.
pub(super) fn check(
    layers: &[Layer],
    policies: &Policies,
    template: &RouteTemplate,
    told: &mut HashSet<(Arc<str>, u32, u32)>,
    findings: &mut Findings,
) {
    let asked = !policies.authenticate.is_empty();
    let known = policies.authenticate.iter().any(|settings| !settings.methods.is_empty());
    if known {
        return;
    }
    for rule in
        layers.iter().filter_map(|layer| layer.part.authorize.as_ref()).flat_map(|rules| &*rules.value)
    {
        let Some(field) = absent(rule, asked) else { continue };
        if !told.insert((Arc::clone(&rule.place.file), rule.place.line, rule.place.column)) {
            continue;
        }
        let name = &template.metadata.name;
        let route = format!("`{}/{}` is such a route", template.metadata.unit, name.value);
        let message =
            format!("`principal.{field}` is absent for every caller of a route with this rule, so it denies");
        findings.push(
            Diagnostic::new(Code::DeniesEverybody, rule.place.clone(), message)
                .help("bind a Policy with a method under `authenticate`, or read it with `.?` and `orValue`")
                .related(name.place.clone(), route),
        );
    }
}

/// A field that a rule reads plainly and that is never there. Where it asks for it elsewhere, it may know.
fn absent(rule: &Rule, asked: bool) -> Option<&'static str> {
    let references = rule.condition.references();
    let asks = |slot| references.iter().any(|one: &Reference| one.slot == slot && one.tolerant);
    references.iter().find_map(|one| match one.slot {
        Slot::Principal(field) if !one.tolerant && !asks(one.slot) => match field {
            PrincipalField::Id => Some("id"),
            PrincipalField::Consumer => Some("consumer"),
            PrincipalField::Plan => Some("plan"),
            PrincipalField::Kind if !asked => Some("kind"),
            PrincipalField::Claims if !asked => Some("claims"),
            PrincipalField::Scopes if !asked => Some("scopes"),
            PrincipalField::Kind | PrincipalField::Claims | PrincipalField::Scopes => None,
        },
        _ => None,
    })
}
