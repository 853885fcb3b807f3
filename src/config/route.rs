//! `kind: Route`: what it matches and what answers.

use std::time::Duration;

use http::{HeaderName, Method};

use super::{Metadata, Node, Spanned, step::StepTemplate};

/// A Route document.
#[derive(Clone, Debug)]
pub struct RouteTemplate {
    /// Its metadata.
    pub metadata: Metadata,
    /// `match`
    pub matching: MatchTemplate,
    /// `timeout` (30s)
    pub timeout: Spanned<Duration>,
    /// `vars`, in file order.
    pub vars: Vec<(Spanned<String>, Node)>,
    /// `require`, in file order.
    pub require: Vec<CheckTemplate>,
    /// `steps`, in file order.
    pub steps: Vec<StepTemplate>,
    /// `respond`
    pub respond: Option<RespondTemplate>,
    /// `proxy`
    pub proxy: Option<ProxyTemplate>,
    /// `static`
    pub fixed: Option<RespondTemplate>,
    /// `errors`, in file order.
    pub errors: Vec<ErrorTemplate>,
}

/// `match`
#[derive(Clone, Debug)]
pub struct MatchTemplate {
    /// `hosts`: exact or `*.example.com`; empty for every host.
    pub hosts: Vec<Spanned<String>>,
    /// `methods`; empty for all.
    pub methods: Vec<Spanned<Method>>,
    /// `path`: a pattern of literals, `{capture}` and `{rest...}`.
    pub path: Spanned<String>,
    /// `headers`: exact values.
    pub headers: Vec<(Spanned<HeaderName>, String)>,
    /// `query`: exact values.
    pub query: Vec<(Spanned<String>, String)>,
}

/// `respond` and `static`. In `static` no expression is allowed.
#[derive(Clone, Debug)]
pub struct RespondTemplate {
    /// Where it stands.
    pub place: crate::diagnostic::Place,
    /// `status` (200), maybe an expression.
    pub status: Option<Node>,
    /// `headers`: a value is a scalar or a list of scalars.
    pub headers: Vec<(Spanned<HeaderName>, Node)>,
    /// `body`
    pub body: Option<Node>,
}

/// `proxy`
#[derive(Clone, Debug)]
pub struct ProxyTemplate {
    /// Where it stands.
    pub place: crate::diagnostic::Place,
    /// `service`
    pub service: Spanned<String>,
    /// `path`; the request's own when absent.
    pub path: Option<Node>,
    /// `query`; the request's own when absent.
    pub query: Option<Node>,
    /// `headers.set`
    pub set: Vec<(Spanned<HeaderName>, Node)>,
    /// `headers.remove`
    pub remove: Vec<Spanned<HeaderName>>,
    /// `preserveHost` (false)
    pub preserve_host: bool,
    /// `forwardCredentials` (false)
    pub forward_credentials: bool,
}

/// An entry of `require` or `ensure`.
#[derive(Clone, Debug)]
pub struct CheckTemplate {
    /// `that`
    pub that: Node,
    /// `problem`
    pub problem: Option<ProblemTemplate>,
}

/// An entry of `errors`.
#[derive(Clone, Debug)]
pub struct ErrorTemplate {
    /// Where it stands.
    pub place: crate::diagnostic::Place,
    /// `when`; always when absent.
    pub when: Option<Node>,
    /// `problem`
    pub problem: ProblemTemplate,
}

/// `problem`: members may be expressions.
#[derive(Clone, Debug, Default)]
pub struct ProblemTemplate {
    /// `status`
    pub status: Option<Node>,
    /// `type`
    pub type_uri: Option<Node>,
    /// `title`
    pub title: Option<Node>,
    /// `detail`
    pub detail: Option<Node>,
    /// `headers`
    pub headers: Vec<(Spanned<HeaderName>, Node)>,
    /// Every other key, in file order.
    pub members: Vec<(Spanned<String>, Node)>,
}
