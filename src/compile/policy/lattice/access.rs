//! Who may call: `authenticate`, `authorize`, `cors`.

use std::sync::Arc;

use http::HeaderName;

use super::{
    super::explain::{self, Line},
    Lattice, Layer, Said, Voice,
};
use crate::{
    config::{Spanned, policy::CorsTemplate},
    diagnostic::Place,
    policy::{authenticate, authorize, cors},
};

impl<'l> Lattice<'l> {
    /// Each must succeed, and none may let everybody pass beside a mandate.
    pub(super) fn authenticate(&mut self) -> Vec<Arc<authenticate::Settings>> {
        let ranks = self.ranks(|part| part.authenticate.as_ref().map(|it| (it, &it.place)));
        if let Some(mandate) = ranks.mandates.first() {
            for said in ranks.own.iter().filter(|said| said.value.anonymous) {
                let message = format!(
                    "`anonymous: true` of the Policy `{}` stands beside `authenticate` that `{}` mandates ({})",
                    said.layer.part.name, mandate.layer.part.name, mandate.place
                );
                self.loosens(said.at(), message, mandate.layer);
            }
        }
        let mut all: Vec<&Said<'l, Arc<authenticate::Settings>>> = ranks.holding().collect();
        // One that asks for nothing refuses nothing.
        if all.iter().any(|said| !said.value.methods.is_empty()) {
            all.retain(|said| !said.value.methods.is_empty());
        } else {
            all.truncate(1);
        }
        for said in &all {
            self.line("authenticate", |field| Line::of(field, explain::authenticate(said.value), said));
        }
        all.into_iter().map(|said| Arc::clone(said.value)).collect()
    }

    /// Every rule of every layer.
    pub(super) fn authorize(&mut self) -> Option<Arc<authorize::Settings>> {
        let ranks = self.ranks(|part| part.authorize.as_ref().map(|it| (&it.value, &it.place)));
        let mut layers = Vec::new();
        for said in ranks.holding() {
            for rule in said.value.iter() {
                self.line("authorize", |field| Line::at(field, explain::rule(rule), said, &rule.place));
            }
            layers.push(Arc::clone(said.value));
        }
        (!layers.is_empty()).then(|| Arc::new(authorize::Settings { layers }))
    }

    /// What all allow.
    pub(super) fn cors(&mut self) -> Option<Arc<cors::Settings>> {
        let ranks = self.ranks(|part| part.cors.as_ref().map(|it| (it, &it.place)));
        let granted = self.mandated_grants();
        if ranks.mandates.is_empty() {
            ranks.own.iter().for_each(|said| self.judge_grants(said, &granted));
        }
        let mut held = ranks.holding();
        let first = held.next()?;
        let mut met = Arc::clone(&first.value.settings);
        for said in held {
            let before = met.origins.len();
            met = Arc::new(meet(&met, &said.value.settings));
            if met.origins.is_empty()
                && before > 0
                && let Some(mandate) = ranks.mandates.first()
                && matches!(said.layer.voice, Voice::Own(_))
            {
                let message = format!(
                    "`cors` of the Policy `{}` shares no origin with that of `{}` ({}), so no page may call",
                    said.layer.part.name, mandate.layer.part.name, mandate.place
                );
                self.void(said.at(), message, mandate.layer);
            }
        }
        if self.explain {
            let held: Vec<_> = ranks.holding().collect();
            // What a mandate sets or removes is told there.
            let mandated = |field: &str| granted.iter().any(|grant| cors::grant(field) == *grant.name);
            let aged = held.iter().any(|said| said.value.settings.max_age.is_some());
            for (field, value) in explain::cors(&met) {
                if mandated(field) || (field == "maxAge" && !aged) {
                    continue;
                }
                self.lines.push(cors_line(field, value, &held));
            }
        }
        Some(met)
    }

    /// The fields that say who may do what which mandates set or remove.
    fn mandated_grants(&self) -> Vec<Grant<'l>> {
        let mandates = self.layers.iter().filter(|layer| matches!(layer.voice, Voice::Mandate(_)));
        let edits = mandates.flat_map(|layer| {
            let edits = &layer.part.response;
            let set = edits.set.iter().map(move |(name, _)| Grant {
                layer,
                name: &name.value,
                place: &name.place,
                set: true,
            });
            let removed = |name: &'l Spanned<HeaderName>| Grant {
                layer,
                name: &name.value,
                place: &name.place,
                set: false,
            };
            set.chain(edits.remove.iter().map(removed))
        });
        edits.filter(|grant| cors::is_grant(grant.name)).collect()
    }

    /// What a route's own `cors` writes is set by the unit, like a header that its Policy names.
    fn judge_grants(&mut self, own: &Said<'l, CorsTemplate>, granted: &[Grant<'l>]) {
        let written = own.value.settings.written();
        let met = |name: &HeaderName| granted.iter().find(|grant| grant.name == name);
        let Some((key, grant)) = written.into_iter().find_map(|(key, name)| Some((key, met(&name)?))) else {
            return;
        };
        let verb = if grant.set { "sets" } else { "removes" };
        let message = format!(
            "`cors.{key}` of the Policy `{}` sets the header `{}`, which `{}` {verb} ({})",
            own.layer.part.name, grant.name, grant.layer.part.name, grant.place
        );
        self.loosens(own.at(), message, grant.layer);
    }
}

/// A field that says who may do what, which a mandate sets or removes.
struct Grant<'l> {
    layer: &'l Layer,
    name: &'l HeaderName,
    place: &'l Place,
    set: bool,
}

/// A part of `cors`, where it is written, and what it is tighter than.
fn cors_line(field: &'static str, value: String, held: &[&Said<'_, CorsTemplate>]) -> Line {
    let shown = |said: &Said<'_, CorsTemplate>| {
        let parts = explain::cors(&said.value.settings);
        parts.into_iter().find(|(name, _)| *name == field).map(|(_, shown)| shown).unwrap_or_default()
    };
    let name = format!("cors.{field}");
    let saying: Vec<_> = held.iter().filter(|said| shown(said) == value).collect();
    let written = saying.iter().find_map(|said| Some((said, said.value.key(field)?)));
    let mut line = match written {
        Some((said, place)) => Line::at(name, value.clone(), said, place),
        None if saying.is_empty() => Line::together(name, value.clone()),
        None => Line::built_in(name, value.clone()),
    };
    for said in held {
        let shown = shown(said);
        if shown != value {
            line.tightens(shown, said.value.key(field).unwrap_or(said.place));
        }
    }
    line
}

/// What both allow.
fn meet(a: &cors::Settings, b: &cors::Settings) -> cors::Settings {
    let any = |origins: &[String]| origins.iter().any(|origin| origin == "*");
    let origins = match (any(&a.origins), any(&b.origins)) {
        (true, _) => b.origins.clone(),
        (_, true) => a.origins.clone(),
        _ => both(&a.origins, &b.origins),
    };
    cors::Settings {
        origins,
        methods: both(&a.methods, &b.methods),
        headers: both(&a.headers, &b.headers),
        expose: both(&a.expose, &b.expose),
        credentials: a.credentials && b.credentials,
        // Who says nothing leaves it to browsers, and a longer age is looser than that.
        max_age: [a.max_age, b.max_age]
            .into_iter()
            .min_by_key(|age| age.unwrap_or(cors::UNSAID_AGE))
            .flatten(),
    }
}

fn both<T: Clone + PartialEq>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().filter(|item| b.contains(item)).cloned().collect()
}
