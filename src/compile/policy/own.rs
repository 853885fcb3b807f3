//! Headers that a unit's own templates set where a mandate does.
//!
//! What is known before there is a request is a finding here, where the unit can change it. What is computed then is
//! held by the layers: those of answers have the last word over every answer, and what steps send is put right in
//! `policy::headers`.

mod calls;

use http::HeaderName;

use super::{
    Findings,
    lattice::{Layer, Voice},
    part::Edits,
};
use crate::{
    config::{
        Spanned,
        route::{CheckTemplate, RouteTemplate},
    },
    diagnostic::{Code, Diagnostic, Place},
    policy::headers::is_read_as,
};
pub(super) use calls::Callees;

/// A unit may not set a header that a mandate sets or removes, nor remove one that it sets.
pub(super) fn headers(
    template: &RouteTemplate,
    callees: &Callees<'_, '_>,
    layers: &[Layer],
    findings: &mut Findings,
) {
    let mandates = |of: fn(&Layer) -> &Edits| -> Vec<&Layer> {
        let edits = |layer: &&Layer| !of(layer).set.is_empty() || !of(layer).remove.is_empty();
        let mandated = layers.iter().filter(|layer| matches!(layer.voice, Voice::Mandate(_)));
        mandated.filter(edits).collect()
    };
    let answers = Judge { layers: mandates(|layer| &layer.part.response), of: |layer| &layer.part.response };
    if !answers.layers.is_empty() {
        let fixed = template.respond.iter().chain(&template.fixed).map(|answer| &answer.headers);
        let errors = template.errors.iter().map(|error| &error.problem);
        let checks = template.require.iter().chain(template.steps.iter().flat_map(|step| &step.ensure));
        let failed = checks.filter_map(|CheckTemplate { problem, .. }| problem.as_ref());
        let problems = errors.chain(failed).map(|problem| &problem.headers);
        for (name, _) in fixed.chain(problems).flatten() {
            answers.set(name, findings);
        }
    }
    let requests = Judge { layers: mandates(|layer| &layer.part.request), of: |layer| &layer.part.request };
    if !requests.layers.is_empty() {
        if let Some(proxy) = &template.proxy {
            for (name, _) in &proxy.set {
                requests.set(name, findings);
            }
            for name in &proxy.remove {
                requests.remove(name, findings);
            }
        }
        calls::judge(template, callees, &requests, findings);
    }
}

/// The mandates that edit what is judged, in the order of precedence.
struct Judge<'a> {
    layers: Vec<&'a Layer>,
    of: fn(&Layer) -> &Edits,
}

/// What a mandate does with a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Set,
    Remove,
}

impl Judge<'_> {
    /// The first mandate that sets or removes a field, and which of both.
    fn mandate(&self, name: &HeaderName) -> Option<(&Layer, Does)> {
        self.layers.iter().find_map(|layer| {
            let edits = (self.of)(layer);
            if edits.set.iter().any(|(known, _)| is_read_as(name, known)) {
                Some((*layer, Does::Set))
            } else {
                let removes = edits.remove.iter().any(|known| is_read_as(name, known));
                removes.then_some((*layer, Does::Remove))
            }
        })
    }

    fn set(&self, name: &Spanned<HeaderName>, findings: &mut Findings) {
        if let Some((layer, does)) = self.mandate(name) {
            let what = format!("the route sets the header `{}`, which", name.value);
            refuse(layer, does, &name.place, &what, HELP, findings);
        }
    }

    fn remove(&self, name: &Spanned<HeaderName>, findings: &mut Findings) {
        if let Some((layer, Does::Set)) = self.mandate(name) {
            let what = format!("the route removes the header `{}`, which", name.value);
            refuse(layer, Does::Set, &name.place, &what, HELP, findings);
        }
    }
}

const HELP: &str = "against a mandate a unit may only tighten; remove it, or ask IT";

fn refuse(layer: &Layer, does: Does, at: &Place, what: &str, help: &str, findings: &mut Findings) {
    let (binding, place) = match &layer.binding {
        Some((binding, place)) => (format!("the mandate `{binding}`"), place.clone()),
        None => ("the Policy".to_owned(), layer.part.place.clone()),
    };
    let verb = match does {
        Does::Set => "sets",
        Does::Remove => "removes",
    };
    let message = format!("{what} the mandated Policy `{}` {verb}", layer.part.name);
    findings
        .push(Diagnostic::new(Code::LoosensMandate, at.clone(), message).help(help).related(place, binding));
}
