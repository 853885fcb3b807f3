//! Bindings: which routes they select.

use std::{cell::RefCell, sync::Arc};

use super::{super::unit::Units, Findings, shelf::Shelf};
use crate::{
    config::{Spanned, binding::BindingTemplate, route::RouteTemplate},
    diagnostic::{Code, Place},
};

/// Every binding, in the order of file names.
pub(super) struct Bindings<'t> {
    all: Vec<Binding<'t>>,
}

struct Binding<'t> {
    template: &'t BindingTemplate,
    policies: Vec<usize>,
    /// Which of its `units` and `routes` have selected something, and whether the whole has.
    hits: RefCell<Hits>,
}

#[derive(Debug, Default)]
struct Hits {
    any: bool,
    units: Vec<bool>,
    routes: Vec<bool>,
}

impl<'t> Bindings<'t> {
    pub(super) fn index(
        templates: &'t [BindingTemplate],
        shelf: &mut Shelf<'t>,
        findings: &mut Findings,
    ) -> Self {
        let all = templates.iter().map(|template| {
            findings.next_document();
            let policies = template.policies.iter().filter_map(|name| shelf.find(name, findings)).collect();
            let flags = |list: &Option<Vec<_>>| vec![false; list.as_ref().map_or(0, Vec::len)];
            let select = &template.select;
            let (units, routes) = (flags(&select.units), flags(&select.routes));
            Binding { template, policies, hits: RefCell::new(Hits { any: false, units, routes }) }
        });
        Self { all: all.collect() }
    }

    /// The mandates and the defaults that select a route, in order.
    pub(super) fn select(&self, route: &RouteTemplate, units: &Units<'_>) -> (Vec<usize>, Vec<usize>) {
        let (mut mandates, mut defaults) = (Vec::new(), Vec::new());
        for (index, binding) in self.all.iter().enumerate() {
            if binding.selects(route, units) {
                let list = if binding.template.mandatory { &mut mandates } else { &mut defaults };
                list.push(index);
            }
        }
        (mandates, defaults)
    }

    /// Whether a binding that could not be read as a whole may have more for a route.
    pub(super) fn are_unsure(&self, route: &RouteTemplate, units: &Units<'_>) -> bool {
        self.all.iter().any(|binding| {
            let template = binding.template;
            let lacks =
                || template.unread.contains(&"policies") || binding.policies.len() < template.policies.len();
            template.unread.contains(&"select") || (lacks() && binding.selects(route, units))
        })
    }

    /// Its name, and where it stands.
    pub(super) fn origin(&self, index: usize) -> (Arc<str>, Place) {
        let name = &self.all[index].template.metadata.name;
        (Arc::from(name.value.as_str()), name.place.clone())
    }

    pub(super) fn policies(&self, index: usize) -> &[usize] {
        &self.all[index].policies
    }

    /// Warns of what selects nothing. What may select a route of a document that could not be read is not judged.
    pub(super) fn idle(&self, units: &Units<'_>, unread: &[Arc<str>], findings: &mut Findings) {
        for binding in &self.all {
            let Binding { template, hits, .. } = binding;
            findings.next_document();
            let doubtful = unread.iter().any(|unit| binding.may_select(unit, units))
                || (!template.select.unit_labels.is_empty() && units.labels_unread());
            if doubtful || template.unread.contains(&"select") {
                continue;
            }
            let hits = hits.borrow();
            let name = &template.metadata.name;
            let kind = if template.mandatory { "mandate" } else { "default" };
            if !hits.any && template.select.place.is_none() {
                // It is for every route, and there is none.
                continue;
            }
            if !hits.any {
                let message = format!("the {kind} `{}` selects no route", name.value);
                let help = "look at `select`: all that it gives must hold for a route";
                findings.advise(
                    Code::IdleBinding,
                    template.select.place.as_ref().unwrap_or(&name.place),
                    message,
                    help,
                );
                continue;
            }
            let listed = [(&template.select.units, &hits.units), (&template.select.routes, &hits.routes)];
            for (list, hits) in listed {
                for (text, _) in list.iter().flatten().zip(hits).filter(|(_, hit)| !**hit) {
                    let message = format!("`{}` in the {kind} `{}` selects no route", text.value, name.value);
                    findings.advise(
                        Code::IdleBinding,
                        &text.place,
                        message,
                        "check the spelling, or remove it",
                    );
                }
            }
        }
    }
}

impl Binding<'_> {
    /// Whether a route of a unit of which not all was read may be selected; the empty name is IT's own folder,
    /// where the labels of units are.
    fn may_select(&self, unit: &str, units: &Units<'_>) -> bool {
        let select = &self.template.select;
        if unit.is_empty() {
            return !select.unit_labels.is_empty();
        }
        let names = |pattern: &Spanned<String>| {
            pattern.value.split_once('/').is_none_or(|(units, _)| wildcard(units, unit))
        };
        let labelled = |wanted| units.labels(unit).contains(wanted);
        select.units.as_ref().is_none_or(|units| units.iter().any(|one| one.value == unit))
            && select.routes.as_ref().is_none_or(|routes| routes.iter().any(names))
            && select.unit_labels.iter().all(labelled)
    }

    fn selects(&self, route: &RouteTemplate, units: &Units<'_>) -> bool {
        let select = &self.template.select;
        let (unit, name) = (&*route.metadata.unit, route.metadata.name.value.as_str());
        let has = |labels: &[(String, String)], wanted: &(String, String)| labels.contains(wanted);
        let in_unit = |one: &Spanned<String>| one.value == unit;
        let in_route = |pattern: &Spanned<String>| matches(&pattern.value, unit, name);
        // Every binding is asked about every route: nothing is noted of those that it does not select.
        // Which routes a misspelt `select` means nobody knows; it has its finding.
        let selected = !self.template.unread.contains(&"select")
            && select.units.as_ref().is_none_or(|units| units.iter().any(in_unit))
            && select.unit_labels.iter().all(|wanted| has(units.labels(unit), wanted))
            && select.labels.iter().all(|wanted| has(&route.metadata.labels, wanted))
            && select.routes.as_ref().is_none_or(|routes| routes.iter().any(in_route));
        if selected {
            let mut hits = self.hits.borrow_mut();
            let hits = &mut *hits;
            hits.any = true;
            for (one, hit) in select.units.iter().flatten().zip(&mut hits.units).filter(|(_, hit)| !**hit) {
                *hit = in_unit(one);
            }
            for (one, hit) in select.routes.iter().flatten().zip(&mut hits.routes).filter(|(_, hit)| !**hit) {
                *hit = in_route(one);
            }
        }
        selected
    }
}

/// Whether `unit/name` is meant; `*` stands for any run of characters within a part, alone for all.
fn matches(pattern: &str, unit: &str, name: &str) -> bool {
    match pattern.split_once('/') {
        Some((units, names)) => wildcard(units, unit) && wildcard(names, name),
        None => pattern == "*",
    }
}

fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_run_within_a_part() {
        for pattern in ["*", "*/*", "retail/*", "retail/cart", "re*il/c*", "*/*rt", "retail/*a*t"] {
            assert!(matches(pattern, "retail", "cart"), "{pattern}");
        }
        for pattern in ["retail", "retail/car", "retail/*x", "tail/*", "retail/cart*t", "Retail/*"] {
            assert!(!matches(pattern, "retail", "cart"), "{pattern}");
        }
    }
}
