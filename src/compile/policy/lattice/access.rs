//! Who may call: `authenticate`, `authorize`, `cors`.

use std::sync::Arc;

use super::{
    super::explain::{self, Line},
    Lattice, Said, Voice,
};
use crate::policy::{authenticate, authorize, cors};

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
                self.line("authorize", |field| Line::of(field, explain::rule(rule), said));
            }
            layers.push(Arc::clone(said.value));
        }
        (!layers.is_empty()).then(|| Arc::new(authorize::Settings { layers }))
    }

    /// What all allow.
    pub(super) fn cors(&mut self) -> Option<Arc<cors::Settings>> {
        let ranks = self.ranks(|part| part.cors.as_ref().map(|it| (&it.value, &it.place)));
        let mut held = ranks.holding();
        let first = held.next()?;
        let mut met = Arc::clone(first.value);
        for said in held {
            let before = met.origins.len();
            met = Arc::new(meet(&met, said.value));
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
            for (field, value) in explain::cors(&met) {
                let whole = |said: &&Said<'l, Arc<cors::Settings>>| {
                    explain::cors(said.value).into_iter().any(|(name, shown)| name == field && shown == value)
                };
                let from = ranks.holding().find(whole).unwrap_or(first);
                let mut line = Line::of(format!("cors.{field}"), value.clone(), from);
                for said in ranks.holding() {
                    let shown = explain::cors(said.value).into_iter().find(|(name, _)| *name == field);
                    if let Some((_, shown)) = shown.filter(|(_, shown)| *shown != value) {
                        line.tightens(shown, said);
                    }
                }
                self.lines.push(line);
            }
        }
        Some(met)
    }
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
        max_age: a.max_age.into_iter().chain(b.max_age).min(),
    }
}

fn both<T: Clone + PartialEq>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().filter(|item| b.contains(item)).cloned().collect()
}
