//! How the layers of a route combine: one rule per field, and this module has all of them.
//!
//! Layers stand in the order of precedence: mandates, the route's own Policies, its own keys, defaults.
//! What a mandate says may only be tightened; a default holds where nothing else says anything.

mod access;
mod headers;
mod limits;

use std::{sync::Arc, time::Duration};

use super::{
    explain::{self, Line},
    part::Part,
};
use crate::{
    config::Spanned,
    diagnostic::{Code, Diagnostic, Place},
    policy::{Policies, Priority},
    scalar::{show_duration, show_size},
};

/// What a route may take when nothing says so.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Who puts a Policy in front of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Voice {
    /// The binding at this index, with `mode: mandatory`.
    Mandate(usize),
    /// The route itself, in this entry of `policies`.
    Own(usize),
    /// The binding at this index, with `mode: default`.
    Default(usize),
}

/// A Policy in front of a route.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) voice: Voice,
    pub(super) part: Arc<Part>,
    /// The binding's name and where it stands.
    pub(super) binding: Option<(Arc<str>, Place)>,
}

/// The route's own keys that a Policy has too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnKeys {
    pub(super) timeout: Option<Duration>,
    pub(super) max_bytes: Option<u64>,
}

/// Where a finding about a route belongs: what its author can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// An entry of the route's `policies`.
    Own(usize),
    /// The route's `timeout`.
    Timeout,
    /// The route's `request.body.maxBytes`.
    MaxBytes,
}

/// A finding about a route whose places are not known here, so that routes alike share it.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) code: Code,
    pub(super) at: At,
    pub(super) message: String,
    pub(super) help: &'static str,
    pub(super) related: (Place, String),
    /// It holds only if every route of the first Policy is one of the second's too: both count for all of theirs.
    pub(super) if_all: Option<[Arc<str>; 2]>,
}

/// The effective policy of a route, and what is to be said about it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) policies: Arc<Policies>,
    pub(super) timeout: Duration,
    pub(super) notes: Vec<Note>,
    /// Findings that are about Policies alone.
    pub(super) findings: Vec<Diagnostic>,
    /// Every effective value, if it was asked for.
    pub(super) lines: Vec<Line>,
}

/// Combines layers, which stand in the order of precedence and name each Policy once.
pub(super) fn combine(layers: &[Layer], own: OwnKeys, explain: bool) -> Outcome {
    let mut lattice = Lattice { layers, explain, notes: Vec::new(), findings: Vec::new(), lines: Vec::new() };
    let timeout = lattice.timeout(own.timeout);
    let policies = Policies {
        authenticate: lattice.authenticate(),
        authorize: lattice.authorize(),
        rate_limits: lattice.rate_limits(),
        concurrency: lattice.concurrency(),
        cors: lattice.cors(),
        max_bytes: lattice.max_bytes(own.max_bytes),
        headers: lattice.headers(),
        compress: lattice.first("compress", |part| part.compress.as_ref(), |it| explain::compress(it)),
        tracing: lattice.first("tracing", |part| part.tracing.as_ref(), |it| explain::tracing(it)),
        priority: lattice
            .first("priority", |part| part.priority.as_ref(), |it: &Priority| it.as_str().to_owned())
            .unwrap_or_default(),
        error_body: lattice
            .first(
                "errorBody",
                |part| part.error_body.as_ref(),
                |it| explain::error_body(&it.written, &it.settings),
            )
            .map(|it| it.settings),
    };
    let Lattice { notes, findings, lines, .. } = lattice;
    Outcome { policies: Arc::new(policies), timeout, notes, findings, lines }
}

struct Lattice<'l> {
    layers: &'l [Layer],
    explain: bool,
    notes: Vec<Note>,
    findings: Vec<Diagnostic>,
    lines: Vec<Line>,
}

/// What a layer says about a field, and where.
pub(super) struct Said<'l, T> {
    pub(super) layer: &'l Layer,
    pub(super) value: &'l T,
    pub(super) place: &'l Place,
}

impl<T> Said<'_, T> {
    /// Where the route's author can change it.
    const fn at(&self) -> At {
        match self.layer.voice {
            Voice::Own(index) => At::Own(index),
            Voice::Mandate(_) | Voice::Default(_) => At::Own(0),
        }
    }
}

/// What the layers say about one field, by rank.
struct Ranks<'l, T> {
    mandates: Vec<Said<'l, T>>,
    own: Vec<Said<'l, T>>,
    default: Option<Said<'l, T>>,
}

impl<'l, T> Ranks<'l, T> {
    /// What counts: mandates and the route's own, or a default if there are none.
    fn holding(&self) -> impl Iterator<Item = &Said<'l, T>> {
        let unset = self.mandates.is_empty() && self.own.is_empty();
        self.mandates.iter().chain(&self.own).chain(self.default.iter().filter(move |_| unset))
    }
}

impl<'l> Lattice<'l> {
    /// What each layer says about a field, a layer's several values one after the other.
    fn ranks<T>(&self, get: impl Fn(&'l Part) -> Option<(&'l T, &'l Place)>) -> Ranks<'l, T> {
        let mut ranks = Ranks { mandates: Vec::new(), own: Vec::new(), default: None };
        for layer in self.layers {
            let Some((value, place)) = get(&layer.part) else { continue };
            let said = Said { layer, value, place };
            match layer.voice {
                Voice::Mandate(_) => ranks.mandates.push(said),
                Voice::Own(_) => ranks.own.push(said),
                Voice::Default(_) if ranks.default.is_none() => ranks.default = Some(said),
                Voice::Default(_) => {}
            }
        }
        ranks
    }

    fn note(&mut self, code: Code, at: At, message: String, help: &'static str, mandate: &Layer) {
        let related = match &mandate.binding {
            Some((name, place)) => (place.clone(), format!("the mandate `{name}`")),
            None => (mandate.part.place.clone(), "the Policy".to_owned()),
        };
        self.notes.push(Note { code, at, message, help, related, if_all: None });
    }

    fn loosens(&mut self, at: At, message: String, mandate: &Layer) {
        let help = "against a mandate a unit may only tighten; change it, or ask IT";
        self.note(Code::LoosensMandate, at, message, help, mandate);
    }

    fn void(&mut self, at: At, message: String, mandate: &Layer) {
        let help = "it says something that never happens; remove it, or make it tighter";
        self.note(Code::VoidLimit, at, message, help, mandate);
    }

    /// A limit that is void where all that it counts is counted by the mandate too.
    fn void_limit(&mut self, at: At, message: String, (own, mandate): (&Layer, &Layer)) {
        self.void(at, message, mandate);
        let names = [Arc::clone(&own.part.name), Arc::clone(&mandate.part.name)];
        self.notes.iter_mut().last().into_iter().for_each(|note| note.if_all = Some(names.clone()));
    }

    fn line(&mut self, field: impl Into<String>, line: impl FnOnce(String) -> Line) {
        if self.explain {
            self.lines.push(line(field.into()));
        }
    }

    /// The least of all counts; a route's own that is above the least mandate loosens it.
    fn least<T: Copy + Ord + 'l>(
        &mut self,
        field: &'static str,
        get: impl Fn(&'l Part) -> Option<&'l Spanned<T>>,
        own_key: Option<(T, At)>,
        show: fn(T) -> String,
    ) -> Option<T> {
        let ranks = self.ranks(|part| get(part).map(|found| (&found.value, &found.place)));
        if let Some(floor) = ranks.mandates.iter().min_by_key(|said| *said.value) {
            let own = ranks.own.iter().map(|said| (*said.value, said.at(), Some(said.layer)));
            for (value, at, layer) in own.chain(own_key.map(|(value, at)| (value, at, None))) {
                if value > *floor.value {
                    let whose =
                        layer.map_or(String::new(), |layer| format!(" of the Policy `{}`", layer.part.name));
                    let message = format!(
                        "`{field}: {}`{whose} is more than the {} that `{}` mandates ({})",
                        show(value),
                        show(*floor.value),
                        floor.layer.part.name,
                        floor.place
                    );
                    self.loosens(at, message, floor.layer);
                }
            }
        }
        let set = !ranks.mandates.is_empty() || !ranks.own.is_empty() || own_key.is_some();
        let held: Vec<&Said<'l, T>> = if set {
            ranks.mandates.iter().chain(&ranks.own).collect()
        } else {
            ranks.default.iter().collect()
        };
        let least = held.iter().min_by_key(|said| *said.value).copied();
        let value = least.map(|said| *said.value).into_iter().chain(own_key.map(|(value, _)| value)).min()?;
        let by_key = own_key.filter(|(own, _)| least.is_none_or(|said| own < said.value));
        self.line(field, |field| {
            let mut line = match (by_key, least) {
                (None, Some(said)) => Line::of(field, show(value), said),
                _ => Line::own(field, show(value)),
            };
            for said in &held {
                if *said.value > value {
                    line.tightens(show(*said.value), said.place);
                }
            }
            line
        });
        Some(value)
    }

    /// An upper bound of the route's own, which is 30 s where the route does not say; a default is what
    /// holds instead of that.
    fn timeout(&mut self, own: Option<Duration>) -> Duration {
        let own_key = own.map(|value| (value, At::Timeout));
        let found = self.least("timeout", |part| part.timeout.as_ref(), own_key, show_duration);
        let bound = self
            .layers
            .iter()
            .any(|layer| !matches!(layer.voice, Voice::Default(_)) && layer.part.timeout.is_some());
        match found {
            Some(value) if own.is_some() || !bound || value <= TIMEOUT => value,
            Some(_) => {
                self.lines.retain(|line| line.field != "timeout");
                self.line("timeout", |field| Line::built_in(field, show_duration(TIMEOUT)));
                TIMEOUT
            }
            None => {
                self.line("timeout", |field| Line::built_in(field, show_duration(TIMEOUT)));
                TIMEOUT
            }
        }
    }

    /// The least of all.
    fn max_bytes(&mut self, own: Option<u64>) -> Option<u64> {
        let own_key = own.map(|value| (value, At::MaxBytes));
        self.least("body.maxBytes", |part| part.max_bytes.as_ref(), own_key, show_size)
    }

    /// A mandate's value, else the route's own, else a default's; an own value beside a mandate has no
    /// effect.
    fn first<T: Clone + 'l>(
        &mut self,
        field: &'static str,
        get: impl Fn(&'l Part) -> Option<&'l Spanned<T>>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let ranks = self.ranks(|part| get(part).map(|it| (&it.value, &it.place)));
        if let Some(mandate) = ranks.mandates.first() {
            for said in &ranks.own {
                let message = format!(
                    "`{field}` of the Policy `{}` has no effect: `{}` mandates it ({})",
                    said.layer.part.name, mandate.layer.part.name, mandate.place
                );
                self.void(said.at(), message, mandate.layer);
            }
        }
        let said = ranks.holding().next()?;
        self.line(field, |field| Line::of(field, show(said.value), said));
        Some(said.value.clone())
    }
}
