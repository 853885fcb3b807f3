//! One Policy, compiled: what it gives to the effective policy of a route.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use super::super::{Findings, text::Expressions};
use crate::{
    config::{
        Node, Spanned,
        policy::{CorsTemplate, EditsTemplate, PolicyTemplate, RateLimitTemplate, RuleTemplate},
        yaml::Value,
    },
    diagnostic::{Code, Place},
    expr::{Scope, Slot, Text},
    policy::{
        Priority, authenticate, authorize, compress, concurrency, error_body, rate_limit, respond, tracing,
    },
};

/// A Policy for routes of certain captures; every value with its place.
#[derive(Debug)]
pub(in crate::compile) struct Part {
    pub(super) name: Arc<str>,
    pub(super) place: Place,
    pub(super) authenticate: Option<Arc<authenticate::Settings>>,
    pub(super) authorize: Option<Spanned<Arc<[authorize::Rule]>>>,
    pub(super) rate_limits: Vec<RateLimit>,
    pub(super) concurrency: Option<Spanned<Arc<concurrency::Settings>>>,
    pub(super) cors: Option<CorsTemplate>,
    pub(super) max_bytes: Option<Spanned<u64>>,
    pub(super) timeout: Option<Spanned<Duration>>,
    pub(super) request: Edits,
    pub(super) response: Edits,
    pub(super) compress: Option<Spanned<Arc<compress::Settings>>>,
    pub(super) tracing: Option<Spanned<Arc<tracing::Settings>>>,
    pub(super) priority: Option<Spanned<Priority>>,
    pub(super) error_body: Option<Spanned<ErrorBody>>,
}

/// `errorBody`
#[derive(Clone, Debug)]
pub(super) struct ErrorBody {
    pub(super) settings: Arc<error_body::Settings>,
    /// The shape as written.
    pub(super) written: Arc<str>,
}

/// An entry of `rateLimit`.
#[derive(Debug)]
pub(super) struct RateLimit {
    pub(super) settings: Arc<rate_limit::Settings>,
    /// `key` as written; empty without one.
    pub(super) key: String,
    /// Whether `burst` is written.
    pub(super) bursts: bool,
    pub(super) place: Place,
}

/// What is done to a head.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) set: Vec<(Spanned<HeaderName>, Arc<Text>)>,
    pub(super) remove: Vec<Spanned<HeaderName>>,
}

/// Compiles a Policy, and says which captures it reads and where.
pub(super) fn compile(
    template: &PolicyTemplate,
    captures: Vec<String>,
    findings: &mut Findings,
) -> (Option<Part>, Vec<(u16, Place)>) {
    let name: Arc<str> = Arc::from(template.metadata.name.value.as_str());
    let scope = Scope { captures, request: true, principal: true, ..Scope::default() };
    let mut with = Expressions::new(scope, findings);
    let authorize = match &template.authorize {
        Some(rules) => with.rules(&rules.value).map(|found| Some(spanned(Arc::from(found), &rules.place))),
        None => Some(None),
    };
    let rate_limits: Option<Vec<_>> =
        all(template.rate_limits.iter().map(|entry| with.rate_limit(entry, &name)));
    let concurrency = match &template.concurrency {
        Some(entry) => with.optional(entry.key.as_ref(), Expressions::counted_by).map(|key| {
            let settings = concurrency::Settings { policy: Arc::clone(&name), max: entry.max, key };
            Some(spanned(Arc::new(settings), &entry.place))
        }),
        None => Some(None),
    };
    let request = with.edits(&template.headers.request);
    let response = with.edits(&template.headers.response);
    with.scope.principal = false;
    with.scope.error = true;
    let error_body = match &template.error_body {
        Some(written) => with.shape(&written.value).map(|shape| {
            let content_type = template.error_content_type.clone().unwrap_or(respond::CONTENT_TYPE);
            let settings = Arc::new(error_body::Settings { shape, content_type });
            let shown = Arc::from(super::explain::node(&written.value));
            Some(spanned(ErrorBody { settings, written: shown }, &written.place))
        }),
        None => Some(None),
    };
    let mut paths = Vec::new();
    let mut whole = true;
    for read in with.take_reads() {
        match read.slot {
            Slot::Path(index) if !paths.iter().any(|(known, _)| *known == index) => {
                paths.push((index, read.place()));
            }
            Slot::RequestBody => {
                with.findings.advise(
                    Code::BodyNotReadable,
                    &read.place(),
                    "a Policy cannot read `request.body`: it decides before the body is there",
                    "read something else of the request, or check the body in the route's `require`",
                );
                whole = false;
            }
            _ => {}
        }
    }
    let part = (|| {
        Some(Part {
            name,
            place: template.metadata.name.place.clone(),
            authenticate: template.authenticate.clone(),
            authorize: authorize?,
            rate_limits: rate_limits?,
            concurrency: concurrency?,
            cors: template.cors.clone(),
            max_bytes: template.max_bytes.clone(),
            timeout: template.timeout.clone(),
            request: request?,
            response: response?,
            compress: template.compress.clone(),
            tracing: template.tracing.clone(),
            priority: template.priority.clone(),
            error_body: error_body?,
        })
    })();
    (part.filter(|_| whole), paths)
}

fn spanned<T>(value: T, place: &Place) -> Spanned<T> {
    Spanned { value, place: place.clone() }
}

/// Everything, or nothing after a finding; all are looked at.
fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    items.collect::<Vec<_>>().into_iter().collect()
}

impl<'t> Expressions<'t, '_> {
    fn rules(&mut self, rules: &'t [RuleTemplate]) -> Option<Vec<authorize::Rule>> {
        all(rules.iter().map(|rule| {
            let condition = self.condition(&rule.condition)?;
            let (message, place) = (rule.message.clone(), rule.condition.place.clone());
            Some(authorize::Rule { allow: rule.allow, condition, message, place })
        }))
    }

    fn rate_limit(&mut self, entry: &'t RateLimitTemplate, policy: &Arc<str>) -> Option<RateLimit> {
        let key = self.optional(entry.key.as_ref(), Self::counted_by);
        let when = self.optional(entry.when.as_ref(), Self::condition);
        let settings = Arc::new(rate_limit::Settings {
            policy: Arc::clone(policy),
            name: Arc::from(entry.name.value.as_str()),
            limit: u64::from(entry.limit),
            window: entry.window,
            burst: u64::from(entry.burst),
            key: key?,
            when: when?,
        });
        let key = entry.key.as_ref().map_or("", |node| match &node.value {
            Value::Text(text) | Value::Number(text) => text.trim(),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => "",
        });
        Some(RateLimit {
            settings,
            key: key.to_owned(),
            bursts: entry.bursts,
            place: entry.name.place.clone(),
        })
    }

    /// A `key`: text that differs between those who are counted apart. A constant counts all together.
    fn counted_by(&mut self, node: &'t Node) -> Option<Text> {
        let text = self.text(node)?;
        match &text {
            Text::One(program) if !self.has_text(node, 2, program) => None,
            Text::Literal(_) | Text::One(_) | Text::Parts(_) => Some(text),
        }
    }

    fn edits(&mut self, template: &'t EditsTemplate) -> Option<Edits> {
        let set = all(template.set.iter().map(|(name, node)| {
            let text = self.header_value(name, node)?;
            Some((name.clone(), Arc::new(text)))
        }));
        Some(Edits { set: set?, remove: template.remove.clone() })
    }
}

/// The names of captures that its expressions may read: what a route's path must have is known only when
/// a route names the Policy.
pub(super) fn captures(template: &PolicyTemplate) -> Vec<String> {
    let mut names = Vec::new();
    let rules = template.authorize.iter().flat_map(|rules| &rules.value).map(|rule| &rule.condition);
    let limits = template.rate_limits.iter().flat_map(|entry| entry.key.iter().chain(&entry.when));
    let concurrency = template.concurrency.iter().filter_map(|entry| entry.key.as_ref());
    let edits = [&template.headers.request, &template.headers.response];
    let fields = edits.into_iter().flat_map(|edits| edits.set.iter().map(|(_, node)| node));
    let body = template.error_body.iter().map(|body| &body.value);
    for node in rules.chain(limits).chain(concurrency).chain(fields).chain(body) {
        look(node, &mut names);
    }
    names
}

fn look(node: &Node, names: &mut Vec<String>) {
    match &node.value {
        Value::Text(text) if text.contains("${") => named_captures(text, names),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        Value::List(items) => items.iter().for_each(|item| look(item, names)),
        Value::Map(members) => members.iter().for_each(|(_, member)| look(member, names)),
    }
}

/// Names after `path`: a few too many do no harm.
fn named_captures(text: &str, names: &mut Vec<String>) {
    for (at, root) in text.match_indices("path") {
        let after = text[at + root.len()..]
            .trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '?' | '[' | '"' | '\''));
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let name = &after[..end];
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::named_captures;

    #[test]
    fn names_of_captures_are_found_in_every_spelling() {
        let mut names = Vec::new();
        let text = "${ request.path.id + request . path.?tenant.orValue('') + request.path[\"unit\"] + request.path.id }";
        named_captures(text, &mut names);
        assert_eq!(names, ["id", "tenant", "unit"]);
    }
}
