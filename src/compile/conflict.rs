//! Two routes that match the same requests with equal right.
//!
//! Specificity orders any two different path shapes, so only routes of one host pattern and one shape
//! (capture names aside) can tie: when their methods overlap and they have equally many predicates that
//! do not exclude each other.

use std::collections::HashMap;

use http::Method;

use super::{findings::Findings, path::Capture};
use crate::{
    config::route::RouteTemplate,
    diagnostic::{Code, Diagnostic},
    plan::{Match, PathPattern, Segment},
};

/// Routes that may tie: one host, one shape, one number of predicates.
#[derive(Default)]
struct Group<'m> {
    routes: Vec<usize>,
    /// Routes by predicate; nearly always one of them leaves few to compare.
    by_predicate: HashMap<Predicate<'m>, Vec<usize>>,
    /// How many routes have a predicate of this name.
    by_name: HashMap<Name<'m>, usize>,
}

/// A header's or a query parameter's name.
type Name<'m> = (bool, &'m str);
type Predicate<'m> = (Name<'m>, &'m [u8]);

/// Reports each route that ties with an earlier one, once.
pub(super) fn check(
    templates: &[RouteTemplate],
    matches: &[(Option<Match>, Vec<Capture>)],
    findings: &mut Findings,
) {
    let mut groups: HashMap<(&str, String, usize), Group<'_>> = HashMap::new();
    let predicates: Vec<Vec<Predicate<'_>>> =
        matches.iter().map(|(matching, _)| matching.as_ref().map(predicates).unwrap_or_default()).collect();
    for (index, (matching, _)) in matches.iter().enumerate() {
        let Some(matching) = matching else { continue };
        let shape = shape(&matching.path);
        let mut earlier: Option<usize> = None;
        let every = matching.hosts.is_empty().then_some("");
        for host in matching.hosts.iter().map(String::as_str).chain(every) {
            let group = groups.entry((host, shape.clone(), predicates[index].len())).or_default();
            let ties = |other: &usize| {
                let methods = matches[*other].0.as_ref().map_or(&[][..], |other| &other.methods);
                overlap(&matching.methods, methods) && !exclusive(&predicates[index], &predicates[*other])
            };
            let found = group.candidates(&predicates[index]).iter().copied().find(ties);
            earlier = [earlier, found].into_iter().flatten().min();
            group.add(index, &predicates[index]);
        }
        if let Some(earlier) = earlier {
            report(&templates[index], &templates[earlier], findings);
        }
    }
}

impl<'m> Group<'m> {
    /// The routes that could tie with one that has these predicates.
    fn candidates(&self, predicates: &[Predicate<'m>]) -> &[usize] {
        let everywhere =
            predicates.iter().filter(|(name, _)| self.by_name.get(name).copied() == Some(self.routes.len()));
        let same = |predicate| self.by_predicate.get(predicate).map_or(&[][..], Vec::as_slice);
        everywhere.map(same).min_by_key(|routes| routes.len()).unwrap_or(&self.routes)
    }

    fn add(&mut self, route: usize, predicates: &[Predicate<'m>]) {
        self.routes.push(route);
        for predicate in predicates {
            self.by_predicate.entry(*predicate).or_default().push(route);
            *self.by_name.entry(predicate.0).or_default() += 1;
        }
    }
}

/// Predicates sorted by name.
fn predicates(matching: &Match) -> Vec<Predicate<'_>> {
    let headers = matching.headers.iter().map(|(name, value)| ((false, name.as_str()), value.as_bytes()));
    let query = matching.query.iter().map(|(name, value)| ((true, name.as_str()), value.as_bytes()));
    let mut all: Vec<_> = headers.chain(query).collect();
    all.sort_unstable();
    all
}

/// Whether no request can satisfy both: one name, two values.
fn exclusive(a: &[Predicate<'_>], b: &[Predicate<'_>]) -> bool {
    a.iter().any(|(name, value)| b.iter().any(|(other, theirs)| other == name && theirs != value))
}

/// No methods are all methods. A HEAD request goes to an explicit HEAD before it is served by GET.
fn overlap(a: &[Method], b: &[Method]) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|method| b.contains(method))
}

/// The pattern without the names of its captures. `{` never stands in a canonical literal.
fn shape(path: &PathPattern) -> String {
    let mut shape = String::with_capacity(path.text.len());
    for segment in &path.segments {
        shape.push('/');
        match segment {
            Segment::Literal(text) => shape.push_str(text),
            Segment::Capture(_) => shape.push_str("{}"),
            Segment::Rest(_) => shape.push_str("{...}"),
        }
    }
    shape
}

fn report(later: &RouteTemplate, earlier: &RouteTemplate, findings: &mut Findings) {
    findings.next_document();
    let place = later.matching.path.place.clone();
    let name = |route: &RouteTemplate| format!("{}/{}", route.metadata.unit, route.metadata.name.value);
    let message = format!("`{}` matches the same requests as `{}`", name(later), name(earlier));
    findings.push(
        Diagnostic::new(Code::RouteConflict, place, message)
            .help("give one of them another path, host or method, or one predicate more")
            .related(earlier.matching.path.place.clone(), format!("`{}` claims them here", name(earlier))),
    );
}
