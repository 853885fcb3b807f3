//! A route: what it matches and what answers.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method};

use super::{Composition, ErrorRule, Proxy, Respond, StaticAnswer, request::RequestRules};
use crate::{diagnostic::Place, policy::Policies};

/// A Route, compiled.
#[derive(Debug)]
pub struct Route {
    /// `unit/name`
    pub name: Arc<str>,
    /// The unit.
    pub unit: Arc<str>,
    /// `metadata.owner`
    pub owner: Arc<str>,
    /// `metadata.version`
    pub version: Option<Arc<str>>,
    /// Where it is defined.
    pub place: Place,
    /// What it matches.
    pub matching: Match,
    /// The whole composition, or a proxied call up to its response head.
    pub timeout: Duration,
    /// How many calls of one request an origin may see twice, because their pooled connection was found closed,
    /// if that is not each of them: together with the calls it makes `limits.maxCalls`.
    pub spare: Option<u32>,
    /// The effective policy.
    pub policies: Arc<Policies>,
    /// What its requests must be, if it says.
    pub request: Option<RequestRules>,
    /// What answers.
    pub endpoint: Endpoint,
}

/// What a route matches.
#[derive(Clone, Debug)]
pub struct Match {
    /// Exact or `*.example.com`, lower case, without port; empty for every host.
    pub hosts: Vec<String>,
    /// Empty for all.
    pub methods: Vec<Method>,
    /// The path.
    pub path: PathPattern,
    /// Exact values of fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Exact (decoded) values of query parameters.
    pub query: Vec<(String, String)>,
}

/// A path pattern: segments between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// As written.
    pub text: String,
    /// What stands between the slashes; `/` is one empty literal, a trailing slash too.
    pub segments: Vec<Segment>,
}

/// A segment of a pattern. Captures are numbered in the order they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Canonical text, compared case-sensitively.
    Literal(String),
    /// `{name}`: one segment that is not empty.
    Capture(String),
    /// `{name...}`: zero or more segments, at the end.
    Rest(String),
}

/// What answers a route's requests.
#[derive(Debug)]
pub enum Endpoint {
    /// Steps, then an answer shaped from them.
    Compose {
        /// The steps.
        composition: Arc<Composition>,
        /// The answer.
        respond: Respond,
        /// The route's own error documents.
        errors: Box<[ErrorRule]>,
    },
    /// A proxied call, perhaps after steps.
    Proxy {
        /// Steps that run first, in `steps`+`proxy`.
        composition: Option<Arc<Composition>>,
        /// The call.
        proxy: Proxy,
        /// The route's own error documents.
        errors: Box<[ErrorRule]>,
    },
    /// A fixed answer.
    Static(StaticAnswer),
}
