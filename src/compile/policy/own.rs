//! Headers that a route itself sets where a mandate does.

use super::{
    Findings,
    lattice::{Layer, Voice},
    part::{Edits, Part},
};
use crate::{
    config::{Node, Spanned, route::RouteTemplate},
    diagnostic::{Code, Diagnostic},
};

/// A unit may not set a header that a mandate sets or removes, nor remove one that it sets. The layers
/// would have the last word anyway; here the unit hears of it.
pub(super) fn headers(template: &RouteTemplate, layers: &[Layer], findings: &mut Findings) {
    let mandated = |layer: &&Layer| {
        let edits = [&layer.part.request, &layer.part.response];
        matches!(layer.voice, Voice::Mandate(_))
            && edits.iter().any(|edits| !edits.set.is_empty() || !edits.remove.is_empty())
    };
    for layer in layers.iter().filter(mandated) {
        let mut judge = Judge { layer, findings };
        let answers = template.respond.iter().chain(&template.fixed).map(|answer| &answer.headers);
        let errors = template.errors.iter().map(|error| &error.problem.headers);
        for (name, _) in answers.chain(errors).flatten() {
            judge.set(name, |part| &part.response);
        }
        if let Some(proxy) = &template.proxy {
            for (name, _) in &proxy.set as &[(Spanned<http::HeaderName>, Node)] {
                judge.set(name, |part| &part.request);
            }
            for name in &proxy.remove {
                judge.remove(name, |part| &part.request);
            }
        }
    }
}

struct Judge<'a, 'f> {
    layer: &'a Layer,
    findings: &'f mut Findings,
}

impl Judge<'_, '_> {
    fn set(&mut self, name: &Spanned<http::HeaderName>, of: fn(&Part) -> &Edits) {
        let edits = of(&self.layer.part);
        let set = edits.set.iter().any(|(known, _)| known.value == name.value);
        if set || edits.remove.iter().any(|known| known.value == name.value) {
            let verb = if set { "sets" } else { "removes" };
            self.refuse(name, &format!("sets the header `{}`, which", name.value), verb);
        }
    }

    fn remove(&mut self, name: &Spanned<http::HeaderName>, of: fn(&Part) -> &Edits) {
        if of(&self.layer.part).set.iter().any(|(known, _)| known.value == name.value) {
            self.refuse(name, &format!("removes the header `{}`, which", name.value), "sets");
        }
    }

    fn refuse(&mut self, name: &Spanned<http::HeaderName>, what: &str, verb: &str) {
        let (binding, place) = match &self.layer.binding {
            Some((binding, place)) => (format!("the mandate `{binding}`"), place.clone()),
            None => ("the Policy".to_owned(), self.layer.part.place.clone()),
        };
        let message = format!("the route {what} the mandated Policy `{}` {verb}", self.layer.part.name);
        self.findings.push(
            Diagnostic::new(Code::LoosensMandate, name.place.clone(), message)
                .help("against a mandate a unit may only tighten; remove it, or ask IT")
                .related(place, binding),
        );
    }
}
