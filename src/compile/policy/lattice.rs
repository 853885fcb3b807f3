//! How the layers of a route combine: one rule per field, and this file has all of them.
//!
//! Layers stand in the order of precedence: mandates, the route's own Policies, its own keys, defaults.
//! What a mandate says may only be tightened; a default holds where nothing else says anything.

use std::{sync::Arc, time::Duration};

use super::{
    explain::{self, Line},
    part::{self, Part},
};
use crate::{
    config::{Spanned, policy::disagreement},
    diagnostic::{Code, Diagnostic, Place},
    policy::{Policies, Priority, authenticate, authorize, concurrency, cors, headers, rate_limit},
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
            .first(
                "priority",
                |part| part.priority.as_ref(),
                |it: &Priority| explain::priority(*it).to_owned(),
            )
            .unwrap_or_default(),
        error_body: lattice.first("errorBody", |part| part.error_body.as_ref(), |it| explain::error_body(it)),
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
        self.notes.push(Note { code, at, message, help, related });
    }

    fn loosens(&mut self, at: At, message: String, mandate: &Layer) {
        let help = "against a mandate a unit may only tighten; change it, or ask IT";
        self.note(Code::LoosensMandate, at, message, help, mandate);
    }

    fn void(&mut self, at: At, message: String, mandate: &Layer) {
        let help = "it says something that never happens; remove it, or make it tighter";
        self.note(Code::VoidLimit, at, message, help, mandate);
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
                    line.tightens(show(*said.value), said);
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

    /// Each must succeed, and none may let everybody pass beside a mandate.
    fn authenticate(&mut self) -> Vec<Arc<authenticate::Settings>> {
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
    fn authorize(&mut self) -> Option<Arc<authorize::Settings>> {
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

    /// All admit. Limits of one name agree in window and key, and the least of them is what a client meets;
    /// each still counts what it counts on other routes.
    fn rate_limits(&mut self) -> Vec<Arc<rate_limit::Settings>> {
        let ranks =
            self.ranks(|part| (!part.rate_limits.is_empty()).then_some((&part.rate_limits, &part.place)));
        let mut all: Vec<(Said<'l, Arc<rate_limit::Settings>>, &str)> = Vec::new();
        for said in ranks.holding() {
            for entry in said.value {
                let one = Said { layer: said.layer, value: &entry.settings, place: &entry.place };
                let alike = all.iter().find(|(known, _)| known.value.name == one.value.name);
                if let Some((first, key)) = alike {
                    self.agree(first, &one, *key == entry.key);
                }
                all.push((one, &entry.key));
            }
        }
        for (said, key) in &all {
            if matches!(said.layer.voice, Voice::Own(_)) {
                self.judge_rate(said, key, &all);
            }
            let name = format!("rateLimit.{}", said.value.name);
            self.line(name, |field| Line::of(field, explain::rate_limit(said.value), said));
        }
        all.into_iter().map(|(said, _)| Arc::clone(said.value)).collect()
    }

    fn agree(
        &mut self,
        first: &Said<'l, Arc<rate_limit::Settings>>,
        second: &Said<'l, Arc<rate_limit::Settings>>,
        same_key: bool,
    ) {
        let what = if first.value.window != second.value.window {
            "window"
        } else if !same_key {
            "key"
        } else {
            return;
        };
        let name = &second.value.name;
        if let Voice::Own(_) = second.layer.voice {
            let message = format!(
                "the limit `{name}` of the Policy `{}` ({}) has another `{what}` than that of `{}` ({})",
                second.layer.part.name, second.place, first.layer.part.name, first.place
            );
            self.loosens(second.at(), message, first.layer);
        } else {
            let found = disagreement(name, second.place, (second.value.window, first.value.window), what);
            self.findings.push(found.related(first.place.clone(), "the first one"));
        }
    }

    /// A route's own limit against those that are mandated.
    fn judge_rate(
        &mut self,
        own: &Said<'l, Arc<rate_limit::Settings>>,
        key: &str,
        all: &[(Said<'l, Arc<rate_limit::Settings>>, &str)],
    ) {
        let when = |said: &Said<'l, Arc<rate_limit::Settings>>| {
            said.value.when.as_ref().map(|when| when.source().trim().to_owned())
        };
        let mandates = || all.iter().filter(|(said, _)| matches!(said.layer.voice, Voice::Mandate(_)));
        let named: Vec<_> = mandates().filter(|(said, _)| said.value.name == own.value.name).collect();
        let alike = named.iter().any(|(said, _)| when(said) == when(own));
        let floor = named
            .iter()
            .filter(|(said, _)| !alike || when(said) == when(own))
            .min_by_key(|(said, _)| said.value.limit);
        if let Some((floor, _)) = floor {
            // A burst that is not written is as large as the limit, and so says nothing of its own.
            let written = (own.value.burst != own.value.limit).then_some(own.value.burst);
            let over = if own.value.limit > floor.value.limit {
                Some(("limit", own.value.limit, floor.value.limit))
            } else {
                written
                    .filter(|burst| *burst > floor.value.burst)
                    .map(|burst| ("burst", burst, floor.value.burst))
            };
            if let Some((what, value, most)) = over {
                let message = format!(
                    "`{what}: {value}` of `{}` in the Policy `{}` is more than the {most} that `{}` mandates ({})",
                    own.value.name, own.layer.part.name, floor.layer.part.name, floor.place
                );
                self.loosens(own.at(), message, floor.layer);
                return;
            }
        }
        let never = mandates().find(|(said, mandated)| {
            said.value.when.is_none()
                && said.value.window == own.value.window
                && *mandated == key
                && said.value.limit <= own.value.limit
                && said.value.burst <= own.value.burst
        });
        if let Some((mandate, _)) = never {
            let message = format!(
                "the limit `{}` of the Policy `{}` is never reached: `{}` mandates {} ({})",
                own.value.name,
                own.layer.part.name,
                mandate.layer.part.name,
                explain::rate_limit(mandate.value),
                mandate.place
            );
            self.void(own.at(), message, mandate.layer);
        }
    }

    /// All admit; the least is what counts.
    fn concurrency(&mut self) -> Vec<Arc<concurrency::Settings>> {
        let ranks = self.ranks(|part| part.concurrency.as_ref().map(|it| (&it.value, &it.place)));
        if let Some(floor) = ranks.mandates.iter().min_by_key(|said| said.value.max) {
            for said in &ranks.own {
                let (own, most) = (said.value.max, floor.value.max);
                let mandate = format!("`{}` mandates ({})", floor.layer.part.name, floor.place);
                if own > most {
                    let message = format!(
                        "`concurrency.max: {own}` of the Policy `{}` is more than the {most} that {mandate}",
                        said.layer.part.name
                    );
                    self.loosens(said.at(), message, floor.layer);
                } else if own == most && explain::key(&said.value.key) == explain::key(&floor.value.key) {
                    let message = format!(
                        "`concurrency` of the Policy `{}` is never reached: it is what {mandate}",
                        said.layer.part.name
                    );
                    self.void(said.at(), message, floor.layer);
                }
            }
        }
        let mut all = Vec::new();
        for said in ranks.holding() {
            self.line("concurrency", |field| Line::of(field, explain::concurrency(said.value), said));
            all.push(Arc::clone(said.value));
        }
        all
    }

    /// What all allow.
    fn cors(&mut self) -> Option<Arc<cors::Settings>> {
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

    /// Sets are a mandate's, then the route's own, then a default's, each name once; all removals apply.
    fn headers(&mut self) -> Option<Arc<headers::Settings>> {
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
                let known = taken.iter().find(|(known, ..)| **known == name.value);
                if let Some(&(_, first, place, set)) = known {
                    let mandated = matches!(first.voice, Voice::Mandate(_));
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
                    }
                    None => {
                        self.line(format!("{field}.remove"), |field| {
                            Line::of(field, name.value.to_string(), &said)
                        });
                        edits.remove.push(name.value.clone());
                    }
                }
            }
        }
        edits
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
