//! What is set and removed: `headers`.

use std::sync::Arc;

use super::{
    super::{
        explain::{self, Line},
        part::{self, Part},
    },
    At, Lattice, Layer, Said, Voice,
};
use crate::{
    config::Spanned,
    diagnostic::{Code, Diagnostic, Place},
    policy::headers::{self, is_read_as},
};

impl<'l> Lattice<'l> {
    /// Sets are a mandate's, then the route's own, then a default's, each name once; all removals apply.
    pub(super) fn headers(&mut self) -> Option<Arc<headers::Settings>> {
        let request = self.edits("headers.request", |part| &part.request);
        let response = self.edits("headers.response", |part| &part.response);
        let both = headers::Settings { request, response };
        (!both.is_empty()).then(|| Arc::new(both))
    }

    fn edits(&mut self, field: &str, get: impl Fn(&'l Part) -> &'l part::Edits) -> headers::Edits {
        let mut edits = headers::Edits::default();
        // Each name with the layer that had it first.
        let mut taken: Vec<(&'l http::HeaderName, &'l Layer, &'l Place, bool)> = Vec::new();
        for layer in self.layers {
            let part: &'l Part = &layer.part;
            let of = get(part);
            let sets = of.set.iter().map(|(name, text)| (name, Some(text)));
            for (name, text) in sets.chain(of.remove.iter().map(|name| (name, None))) {
                let exact = |&&(known, ..): &&(&http::HeaderName, _, _, _)| *known == name.value;
                // A server may take a name for a mandate's, whoever sets it.
                let alike = |&&(known, first, ..): &&(&http::HeaderName, &Layer, _, _)| {
                    matches!(first.voice, Voice::Mandate(_)) && is_read_as(&name.value, known)
                };
                let others =
                    || taken.iter().find(alike).filter(|_| !matches!(layer.voice, Voice::Mandate(_)));
                let known = taken.iter().find(exact).or_else(others);
                if let Some(&(_, first, place, set)) = known {
                    let mandated = matches!(first.voice, Voice::Mandate(_));
                    if matches!(layer.voice, Voice::Mandate(_)) && mandated && set != text.is_some() {
                        self.findings.push(contradiction((first, place), (layer, name), set));
                    }
                    if let Voice::Own(own) = layer.voice
                        && mandated
                        && (set || text.is_some())
                    {
                        let verb = |set| if set { "sets" } else { "removes" };
                        let message = format!(
                            "the Policy `{}` {} the header `{}`, which `{}` {} ({place})",
                            part.name,
                            verb(text.is_some()),
                            name.value,
                            first.part.name,
                            verb(set),
                        );
                        self.loosens(At::Own(own), message, first);
                    }
                    continue;
                }
                taken.push((&name.value, layer, &name.place, text.is_some()));
                let said = Said { layer, value: name, place: &name.place };
                match text {
                    Some(text) => {
                        self.line(format!("{field}.set.{}", name.value), |field| {
                            Line::of(field, explain::text(text), &said)
                        });
                        edits.set.push((name.value.clone(), Arc::clone(text)));
                        if matches!(layer.voice, Voice::Mandate(_)) {
                            edits.mandated.push(name.value.clone());
                        }
                    }
                    None => {
                        self.line(format!("{field}.remove"), |field| {
                            Line::of(field, name.value.to_string(), &said)
                        });
                        edits.remove.push(name.value.clone());
                        if matches!(layer.voice, Voice::Mandate(_)) {
                            edits.withheld.push(name.value.clone());
                        }
                    }
                }
            }
        }
        edits
    }
}

/// Two mandates of which one sets what the other removes: not both can hold.
fn contradiction(
    (first, place): (&Layer, &Place),
    (second, name): (&Layer, &Spanned<http::HeaderName>),
    set: bool,
) -> Diagnostic {
    let whose = |layer: &Layer| match &layer.binding {
        Some((binding, place)) => format!("`{}` of the mandate `{binding}` ({place})", layer.part.name),
        None => format!("`{}`", layer.part.name),
    };
    let (does, did) = if set { ("removes", "sets") } else { ("sets", "removes") };
    let message =
        format!("{} {does} the header `{}`, which {} {did}", whose(second), name.value, whose(first));
    Diagnostic::new(Code::InvalidValue, name.place.clone(), message)
        .help("no route can keep to both; remove one of them, or bind them to different routes")
        .related(place.clone(), if set { "set here" } else { "removed here" })
}
