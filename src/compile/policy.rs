//! Policies: which hold for a route, and what they come to together.
//!
//! Each Policy is judged once, compiled for the captures of the routes that it holds for, and shared;
//! routes with the same layers share their effective policy.

mod binding;
mod denies;
mod explain;
mod keys;
mod lattice;
mod own;
mod part;
mod shelf;

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use super::{Findings, nested::Compositions, path::Capture, unit::Units};
use crate::{
    config::{Templates, Tree, route::RouteTemplate, service::ServiceTemplate},
    diagnostic::{Code, Diagnostic, Place},
    policy::Policies,
};
use binding::Bindings;
pub use explain::{Explanation, Line, Rank};
use lattice::{At, Layer, Outcome, OwnKeys, Voice};
use shelf::Shelf;

/// All that IT has written about routes.
pub(super) struct Governance<'t> {
    shelf: Shelf<'t>,
    bindings: Bindings<'t>,
    units: &'t Units<'t>,
    /// Units with a document that could not be read.
    unread: &'t [Arc<str>],
    /// By unit and name.
    services: HashMap<(&'t str, &'t str), &'t ServiceTemplate>,
    /// Outcomes by what they come from.
    known: HashMap<Key, Rc<Outcome>>,
    /// Rules of which it was told that they deny everybody.
    denying: HashSet<(Arc<str>, u32, u32)>,
    /// Findings that hold if every route of the first Policy is one of the second's.
    perhaps: Vec<([Arc<str>; 2], Diagnostic)>,
    /// The routes of each Policy, by their number.
    routes: HashMap<Arc<str>, Vec<usize>>,
    /// How many routes were looked at.
    seen: usize,
}

/// What an effective policy is made of: Policies with who puts them there, captures if they matter, and
/// the route's own keys.
type Key = (Vec<(Voice, usize)>, Option<Vec<String>>, Option<Duration>, Option<u64>);

/// The layers of a route.
struct Layers {
    all: Vec<Layer>,
    /// The same, as indexes.
    key: Vec<(Voice, usize)>,
    /// Whether each Policy could be compiled for this route.
    whole: bool,
    /// Whether one of them reads captures.
    captured: bool,
}

impl<'t> Governance<'t> {
    /// Judges Policies and bindings.
    pub(super) fn index(
        tree: &Tree,
        templates: &'t Templates,
        units: &'t Units<'t>,
        findings: &mut Findings,
    ) -> Self {
        keys::check(&templates.policies, tree, findings);
        let mut shelf = Shelf::index(templates, findings);
        let bindings = Bindings::index(&templates.bindings, &mut shelf, findings);
        let named = |one: &'t ServiceTemplate| ((&*one.metadata.unit, one.metadata.name.value.as_str()), one);
        let services = templates.services.iter().map(named).collect();
        let unread = &templates.unread;
        Self {
            shelf,
            bindings,
            units,
            services,
            unread,
            known: HashMap::new(),
            denying: HashSet::new(),
            perhaps: Vec::new(),
            routes: HashMap::new(),
            seen: 0,
        }
    }

    /// What holds for a route: its timeout and its policies.
    pub(super) fn effective(
        &mut self,
        template: &RouteTemplate,
        captures: &[Capture],
        compositions: &Compositions<'t>,
        findings: &mut Findings,
    ) -> Option<(Duration, Arc<Policies>)> {
        let layers = self.layers(template, captures, findings);
        self.seen += 1;
        for layer in &layers.all {
            self.routes.entry(Arc::clone(&layer.part.name)).or_default().push(self.seen);
        }
        let own = own_keys(template);
        let names = layers.captured.then(|| captures.iter().map(|one| one.name.clone()).collect());
        let key: Key = (layers.key, names, own.timeout, own.max_bytes);
        let known = self.known.get(&key).cloned();
        let outcome = known.unwrap_or_else(|| {
            let outcome = Rc::new(lattice::combine(&layers.all, own, false));
            outcome.findings.iter().for_each(|finding| findings.push(finding.clone()));
            if layers.whole {
                self.known.insert(key, Rc::clone(&outcome));
            }
            outcome
        });
        for note in &outcome.notes {
            let (place, words) = &note.related;
            let at = place_of(template, note.at).clone();
            let finding = Diagnostic::new(note.code, at, note.message.clone())
                .help(note.help)
                .related(place.clone(), words.clone());
            match &note.if_all {
                Some(names) => self.perhaps.push((names.clone(), finding)),
                None => findings.push(finding),
            }
        }
        let callees = own::Callees { services: &self.services, compositions };
        own::headers(template, &callees, &layers.all, findings);
        if !layers.whole {
            return None;
        }
        let unsure = template.unread.contains(&"policies") || self.bindings.are_unsure(template, self.units);
        if self.shelf.policies_unread() || unsure {
            // Nobody knows what else holds, so nothing is said of what does not.
            return Some((outcome.timeout, Arc::clone(&outcome.policies)));
        }
        denies::check(&layers.all, &outcome.policies, template, &mut self.denying, findings);
        if outcome.policies.authenticate.is_empty() {
            let name = &template.metadata.name;
            let message = format!("anybody can call `{}/{}`", template.metadata.unit, name.value);
            let help =
                "bind a Policy with `authenticate`; `authenticate: {anonymous: true}` says that it is meant";
            findings.advise(Code::OpenRoute, &name.place, message, help);
        }
        Some((outcome.timeout, Arc::clone(&outcome.policies)))
    }

    /// The same with every value and where it comes from.
    pub(super) fn explain(
        &mut self,
        template: &RouteTemplate,
        captures: &[Capture],
        findings: &mut Findings,
    ) -> Explanation {
        let layers = self.layers(template, captures, findings);
        let own = own_keys(template);
        let mut outcome = lattice::combine(&layers.all, own, true);
        for line in outcome.lines.iter_mut().filter(|line| line.layer == "route") {
            let at = if line.field == "timeout" { At::Timeout } else { At::MaxBytes };
            line.place = Some(place_of(template, at).clone());
        }
        let metadata = &template.metadata;
        let route = format!("{}/{}", metadata.unit, metadata.name.value);
        let mut ranks: Vec<Rank> = layers.all.iter().map(|layer| rank(layer, template, &route)).collect();
        if own.timeout.is_some() || own.max_bytes.is_some() {
            let at = ranks.iter().position(|rank| rank.mode == "default").unwrap_or(ranks.len());
            let keys = Rank {
                mode: "own",
                policy: None,
                place: metadata.name.place.clone(),
                by: Some(Arc::from(route.as_str())),
                by_place: metadata.name.place.clone(),
            };
            ranks.insert(at, keys);
        }
        Explanation { route, place: metadata.name.place.clone(), layers: ranks, values: outcome.lines }
    }

    /// What nobody uses, once every route has been looked at.
    pub(super) fn finish(&mut self, findings: &mut Findings) {
        // Routes that could not be read may have the one Policy and not the other.
        let whole = !self.shelf.is_unresolved();
        for ([own, mandate], finding) in std::mem::take(&mut self.perhaps) {
            let of = |name| self.routes.get(name).map_or(&[][..], Vec::as_slice);
            // Both are in order, since routes were looked at in order.
            if whole && of(&own).iter().all(|route| of(&mandate).binary_search(route).is_ok()) {
                findings.next_document();
                findings.push(finding);
            }
        }
        self.shelf.unused(findings);
        self.bindings.idle(self.units, self.unread, findings);
    }

    /// The layers of a route in the order of precedence, each Policy where it comes first.
    fn layers(&mut self, template: &RouteTemplate, captures: &[Capture], findings: &mut Findings) -> Layers {
        let mut layers = Layers { all: Vec::new(), key: Vec::new(), whole: true, captured: false };
        let path = &template.matching.path.place;
        let (mandates, defaults) = self.bindings.select(template, self.units);
        for index in mandates {
            let binding = self.bindings.origin(index);
            for &policy in self.bindings.policies(index) {
                let voice = Voice::Mandate(index);
                layers.add(&mut self.shelf, policy, (voice, Some(&binding)), (captures, path), findings);
            }
        }
        for (index, name) in template.policies.iter().enumerate() {
            match self.shelf.find(name, findings) {
                Some(policy) => {
                    let at = (captures, &name.place);
                    layers.add(&mut self.shelf, policy, (Voice::Own(index), None), at, findings);
                }
                None => layers.whole = false,
            }
        }
        for index in defaults {
            let binding = self.bindings.origin(index);
            for &policy in self.bindings.policies(index) {
                let voice = Voice::Default(index);
                layers.add(&mut self.shelf, policy, (voice, Some(&binding)), (captures, path), findings);
            }
        }
        layers
    }
}

impl Layers {
    fn add(
        &mut self,
        shelf: &mut Shelf<'_>,
        policy: usize,
        (voice, binding): (Voice, Option<&(Arc<str>, Place)>),
        (captures, place): (&[Capture], &Place),
        findings: &mut Findings,
    ) {
        if self.key.iter().any(|(_, known)| *known == policy) {
            return;
        }
        self.captured |= shelf.reads_captures(policy);
        match shelf.part(policy, captures, place, findings) {
            Some(part) => {
                self.key.push((voice, policy));
                self.all.push(Layer { voice, part, binding: binding.cloned() });
            }
            None => self.whole = false,
        }
    }
}

fn own_keys(template: &RouteTemplate) -> OwnKeys {
    OwnKeys {
        timeout: template.timeout.as_ref().map(|timeout| timeout.value),
        max_bytes: template
            .request
            .as_ref()
            .and_then(|request| request.body.as_ref()?.max_bytes.as_ref())
            .map(|found| found.value),
    }
}

/// Where the author of a route can change what a note is about.
fn place_of(template: &RouteTemplate, at: At) -> &Place {
    let found = match at {
        At::Own(index) => template.policies.get(index).map(|name| &name.place),
        At::Timeout => template.timeout.as_ref().map(|timeout| &timeout.place),
        At::MaxBytes => {
            let body = template.request.as_ref().and_then(|request| request.body.as_ref());
            body.and_then(|body| body.max_bytes.as_ref()).map(|found| &found.place)
        }
    };
    found.unwrap_or(&template.metadata.name.place)
}

fn rank(layer: &Layer, template: &RouteTemplate, route: &str) -> Rank {
    let (by, by_place) = match (&layer.binding, layer.voice) {
        (Some((name, place)), _) => (Arc::clone(name), place.clone()),
        (None, Voice::Own(index)) => (Arc::from(route), place_of(template, At::Own(index)).clone()),
        (None, _) => (Arc::from(route), template.metadata.name.place.clone()),
    };
    Rank {
        mode: explain::mode(layer.voice),
        policy: Some(Arc::clone(&layer.part.name)),
        place: layer.part.place.clone(),
        by: Some(by),
        by_place,
    }
}
