//! A step of a composition as written.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use super::{Node, Spanned, route::CheckTemplate};

/// One entry of `steps`.
#[derive(Clone, Debug)]
pub struct StepTemplate {
    /// Its name.
    pub name: Spanned<String>,
    /// What it calls.
    pub call: CallTemplate,
    /// `path` parameters of `with`, or none.
    pub path: Vec<(Spanned<String>, Node)>,
    /// `query`: a map, or one expression that gives one.
    pub query: Option<Node>,
    /// `headers`: a map, or one expression that gives one.
    pub headers: HeadersTemplate,
    /// `body`
    pub body: Option<Node>,
    /// `when`
    pub when: Option<Node>,
    /// `forEach`
    pub for_each: Option<ForEachTemplate>,
    /// `optional` (false)
    pub optional: bool,
    /// `fallback`
    pub fallback: Option<Node>,
    /// `after`
    pub after: Vec<Spanned<String>>,
    /// `timeout`
    pub timeout: Option<Spanned<Duration>>,
    /// `expect`: replaces the 2xx rule.
    pub expect: Vec<Spanned<StatusCode>>,
    /// `passStatus`
    pub pass_status: Vec<Spanned<StatusCode>>,
    /// `ensure`, in file order.
    pub ensure: Vec<CheckTemplate>,
    /// `unordered` (false)
    pub unordered: bool,
}

/// Headers of a call.
#[derive(Clone, Debug)]
pub enum HeadersTemplate {
    /// A map.
    Map(Vec<(Spanned<HeaderName>, Node)>),
    /// One expression that gives a map.
    Expression(Node),
}

/// What a step calls.
#[derive(Clone, Debug)]
pub enum CallTemplate {
    /// `call: SERVICE.OPERATION`
    Operation(Spanned<String>),
    /// `http: {service, method, path, …}`
    Http {
        /// `service`
        service: Spanned<String>,
        /// `method` (GET)
        method: Method,
        /// `path`: text with expressions.
        path: Node,
        /// `safe` (false)
        safe: bool,
    },
}

/// `forEach`
#[derive(Clone, Debug)]
pub struct ForEachTemplate {
    /// `in`
    pub list: Node,
    /// `as`
    pub name: Spanned<String>,
    /// `key`
    pub key: Option<Node>,
    /// `max`: required.
    pub max: u32,
    /// `concurrency` (1)
    pub concurrency: u32,
}
