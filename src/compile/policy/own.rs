//! Headers that a unit's own templates set where a mandate does.

use http::HeaderName;

use super::{
    Findings,
    lattice::{Layer, Voice},
    part::{Edits, Part},
};
use crate::{
    config::{
        Node, Spanned,
        route::{CheckTemplate, RouteTemplate},
        service::ServiceTemplate,
    },
    diagnostic::{Code, Diagnostic},
};

/// A unit may not set a header that a mandate sets or removes, nor remove one that it sets. The layers
/// would have the last word over answers anyway; here the unit hears of it. Over requests they would not:
/// what a proxy route sets, and what its Service sets on every call, comes last.
pub(super) fn headers(
    template: &RouteTemplate,
    service: Option<&ServiceTemplate>,
    layers: &[Layer],
    findings: &mut Findings,
) {
    let mandated = |layer: &&Layer| {
        let edits = [&layer.part.request, &layer.part.response];
        matches!(layer.voice, Voice::Mandate(_))
            && edits.iter().any(|edits| !edits.set.is_empty() || !edits.remove.is_empty())
    };
    for layer in layers.iter().filter(mandated) {
        let mut judge = Judge { layer, findings };
        let answers = template.respond.iter().chain(&template.fixed).map(|answer| &answer.headers);
        let errors = template.errors.iter().map(|error| &error.problem);
        let checks = template.require.iter().chain(template.steps.iter().flat_map(|step| &step.ensure));
        let failed = checks.filter_map(|CheckTemplate { problem, .. }| problem.as_ref());
        let problems = errors.chain(failed).map(|problem| &problem.headers);
        for (name, _) in answers.chain(problems).flatten() {
            judge.set(name, |part| &part.response);
        }
        if let Some(proxy) = &template.proxy {
            for (name, _) in &proxy.set as &[(Spanned<HeaderName>, Node)] {
                judge.set(name, |part| &part.request);
            }
            for (name, _) in service.iter().flat_map(|service| &service.headers) {
                judge.set_by_service(name, &proxy.service);
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
    fn set(&mut self, name: &Spanned<HeaderName>, of: fn(&Part) -> &Edits) {
        let edits = of(&self.layer.part);
        let set = edits.set.iter().any(|(known, _)| is_read_as(name, known));
        if set || edits.remove.iter().any(|known| is_read_as(name, known)) {
            let verb = if set { "sets" } else { "removes" };
            self.refuse(name, &format!("sets the header `{}`, which", name.value), verb);
        }
    }

    /// A Service's own value in the place of a client's is what a removal is for; in that of a mandate's it is not.
    fn set_by_service(&mut self, name: &Spanned<HeaderName>, service: &Spanned<String>) {
        let edits = &self.layer.part.request;
        if edits.set.iter().any(|(known, _)| is_read_as(name, known)) {
            let at = Spanned { value: name.value.clone(), place: service.place.clone() };
            let what = format!(
                "reaches the Service `{}`, which sets the header `{}` ({}), which",
                service.value, name.value, name.place
            );
            self.refuse(&at, &what, "sets");
        }
    }

    fn remove(&mut self, name: &Spanned<HeaderName>, of: fn(&Part) -> &Edits) {
        if of(&self.layer.part).set.iter().any(|(known, _)| known.value == name.value) {
            self.refuse(name, &format!("removes the header `{}`, which", name.value), "sets");
        }
    }

    fn refuse(&mut self, name: &Spanned<HeaderName>, what: &str, verb: &str) {
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

/// Whether a server may take one name for the other: many turn `-` into `_`.
fn is_read_as(own: &Spanned<HeaderName>, mandated: &Spanned<HeaderName>) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let (own, mandated) = (own.value.as_str().bytes(), mandated.value.as_str().bytes());
    own.map(plain).eq(mandated.map(plain))
}
