//! Effective values as text, each with where it comes from.

use std::sync::Arc;

use super::lattice::{Layer, Said, Voice};
use crate::{
    config::{Node, Spanned, yaml::Value},
    diagnostic::Place,
    expr::{Part, Text},
    policy::{
        authenticate::{self, Method},
        authorize, compress, concurrency, cors, error_body, rate_limit, tracing,
    },
    scalar::{show_duration, show_size},
};

/// What holds for a route and why.
#[derive(Debug)]
pub struct Explanation {
    /// `unit/name`
    pub route: String,
    /// Where the route is defined.
    pub place: Place,
    /// Its layers in the order of precedence.
    pub layers: Vec<Rank>,
    /// Every effective value.
    pub values: Vec<Line>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// `mandatory`, `own` or `default`
    pub mode: &'static str,
    /// The Policy; nothing for the route's own keys.
    pub policy: Option<Arc<str>>,
    /// Where the Policy is.
    pub place: Place,
    /// What puts it there: the binding, or the route.
    pub by: Option<Arc<str>>,
    /// Where that stands.
    pub by_place: Place,
}

/// An effective value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `timeout`, `rateLimit.partner`, `headers.request.set.x-tenant` …
    pub field: String,
    /// As text.
    pub value: String,
    /// `mandatory`, `own` (a Policy that the route names), `route` (a key of its own), `default` (of a
    /// binding), `together` (what several say and none alone) or `built-in`.
    pub layer: &'static str,
    /// The Policy it stands in.
    pub policy: Option<Arc<str>>,
    /// The binding that brought it.
    pub binding: Option<Arc<str>>,
    /// Where it is written; nothing for what is built in, and for keys of the route until they are placed.
    pub place: Option<Place>,
    /// What it is tighter than, and where that stands.
    pub tightens: Vec<(String, Place)>,
}

impl Line {
    /// What a layer says.
    pub(super) fn of<T>(field: String, value: String, said: &Said<'_, T>) -> Self {
        let Layer { voice, part, binding } = said.layer;
        Self {
            field,
            value,
            layer: mode(*voice),
            policy: Some(Arc::clone(&part.name)),
            binding: binding.as_ref().map(|(name, _)| Arc::clone(name)),
            place: Some(said.place.clone()),
            tightens: Vec::new(),
        }
    }

    /// The same where the value stands elsewhere than all that the layer says of the field.
    pub(super) fn at<T>(field: String, value: String, said: &Said<'_, T>, place: &Place) -> Self {
        Self { place: Some(place.clone()), ..Self::of(field, value, said) }
    }

    /// What several layers say together and none alone.
    pub(super) const fn together(field: String, value: String) -> Self {
        Self::bare(field, value, "together")
    }

    /// What a key of the route says.
    pub(super) const fn own(field: String, value: String) -> Self {
        Self::bare(field, value, "route")
    }

    /// What holds when nobody says anything.
    pub(super) const fn built_in(field: String, value: String) -> Self {
        Self::bare(field, value, "built-in")
    }

    const fn bare(field: String, value: String, layer: &'static str) -> Self {
        Self { field, value, layer, policy: None, binding: None, place: None, tightens: Vec::new() }
    }

    pub(super) fn tightens(&mut self, value: String, place: &Place) {
        self.tightens.push((value, place.clone()));
    }
}

/// The word for a layer.
pub(super) const fn mode(voice: Voice) -> &'static str {
    match voice {
        Voice::Mandate(_) => "mandatory",
        Voice::Own(_) => "own",
        Voice::Default(_) => "default",
    }
}

// -- values as text

pub(super) fn text(text: &Text) -> String {
    let expression = |source: &str| format!("${{ {} }}", source.trim());
    match text {
        Text::Literal(text) => text.clone(),
        Text::One(program) => expression(program.source()),
        Text::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Program(program) => expression(program.source()),
            })
            .collect(),
    }
}

pub(super) fn key(key: &Option<Text>) -> Option<String> {
    key.as_ref().map(text)
}

pub(super) fn authenticate(settings: &authenticate::Settings) -> String {
    let mut ways: Vec<String> = settings
        .methods
        .iter()
        .map(|method| match method {
            Method::Jwt(jwt) => {
                let issuers: Vec<_> = jwt.issuers.iter().map(|issuer| issuer.issuer.as_str()).collect();
                format!("jwt ({})", issuers.join(", "))
            }
            Method::ApiKey(_) => "apiKey".to_owned(),
            Method::Mtls(mtls) => format!("mtls ({})", mtls.subjects.join(", ")),
        })
        .collect();
    if settings.anonymous {
        ways.push("anonymous".to_owned());
    }
    ways.join(if settings.all { " and " } else { " or " })
}

pub(super) fn rule(rule: &authorize::Rule) -> String {
    let word = if rule.allow { "allow" } else { "deny" };
    format!("{word} ${{ {} }}", rule.condition.source().trim())
}

pub(super) fn rate_limit(settings: &rate_limit::Settings) -> String {
    let mut shown = format!("{} per {}", settings.limit, show_duration(settings.window));
    if settings.burst != settings.limit {
        shown.push_str(&format!(", burst {}", settings.burst));
    }
    if let Some(by) = key(&settings.key) {
        shown.push_str(&format!(", by {by}"));
    }
    if let Some(when) = &settings.when {
        shown.push_str(&format!(", when ${{ {} }}", when.source().trim()));
    }
    shown
}

pub(super) fn concurrency(settings: &concurrency::Settings) -> String {
    match key(&settings.key) {
        Some(by) => format!("{}, by {by}", settings.max),
        None => settings.max.to_string(),
    }
}

/// The parts of `cors` by name.
pub(super) fn cors(settings: &cors::Settings) -> Vec<(&'static str, String)> {
    fn list<T: ToString>(items: &[T]) -> String {
        if items.is_empty() {
            return "none".to_owned();
        }
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
    let mut parts = vec![
        ("origins", list(&settings.origins)),
        ("methods", list(&settings.methods)),
        ("headers", list(&settings.headers)),
        ("expose", list(&settings.expose)),
        ("credentials", settings.credentials.to_string()),
    ];
    parts.push(("maxAge", show_duration(settings.max_age.unwrap_or(cors::UNSAID_AGE))));
    parts
}

pub(super) fn compress(settings: &compress::Settings) -> String {
    format!("{} from {}", settings.types.join(", "), show_size(settings.min_bytes))
}

pub(super) fn tracing(settings: &tracing::Settings) -> String {
    let sample = settings.sample.map_or_else(|| "the Gateway's".to_owned(), |sample| sample.to_string());
    let flag = |on, name: &str| if on { format!(", {name}") } else { String::new() };
    format!(
        "sample {sample}{}{}",
        flag(settings.server_timing, "serverTiming"),
        flag(settings.generation_header, "generationHeader")
    )
}

pub(super) fn error_body(written: &str, settings: &error_body::Settings) -> String {
    format!("{written} as {}", settings.content_type.to_str().unwrap_or("a type of its own"))
}

/// A value as it is written, on one line.
pub(super) fn node(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(text) => text.clone(),
        Value::Text(text) => format!("{text:?}"),
        Value::List(items) => format!("[{}]", items.iter().map(self::node).collect::<Vec<_>>().join(", ")),
        Value::Map(members) => {
            let member =
                |(name, value): &(Spanned<String>, Node)| format!("{}: {}", name.value, self::node(value));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}
