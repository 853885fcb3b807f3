//! Policies and the layers every route has, one file each. `gateway::stack` orders them.
//!
//! Each file holds what a policy is compiled to (`Settings`), its layer, and its tests. `compile` merges
//! Policies, bindings and a route's own keys into one [`Policies`]; a part that is absent has no layer.

pub mod authenticate;
pub mod authorize;
pub mod body_limit;
pub mod catch_panic;
pub mod compress;
pub mod concurrency;
pub mod cors;
pub mod counters;
pub mod deadline;
pub mod error_body;
pub mod facts;
pub mod gate;
pub mod headers;
pub mod jwt;
pub mod overload;
pub mod rate_limit;
pub mod respond;
pub mod tracing;

#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

/// The effective policy of a route, compiled: what its layers are built from.
///
/// The effective `timeout` is the route's own, which is never above that of a policy.
#[derive(Debug, Default)]
pub struct Policies {
    /// Each must succeed: a mandate's and the route's own. The first gives the principal.
    pub authenticate: Vec<Arc<authenticate::Settings>>,
    /// Every rule of every layer.
    pub authorize: Option<Arc<authorize::Settings>>,
    /// All must admit. Entries of one name from several Policies are all here: each counts over the routes
    /// that share its Policy, so that a tightened route has no bucket of its own beside a mandate's.
    pub rate_limits: Vec<Arc<rate_limit::Settings>>,
    /// All must admit.
    pub concurrency: Vec<Arc<concurrency::Settings>>,
    /// Cross-origin rules.
    pub cors: Option<Arc<cors::Settings>>,
    /// The most bytes a request's body may have; a proxy route without it has no limit.
    pub max_bytes: Option<u64>,
    /// Fields set and removed, of requests and of answers.
    pub headers: Option<Arc<headers::Settings>>,
    /// Compression of answers.
    pub compress: Option<Arc<compress::Settings>>,
    /// What is told about requests.
    pub tracing: Option<Arc<tracing::Settings>>,
    /// Who is shed last.
    pub priority: Priority,
    /// The shape of error answers.
    pub error_body: Option<Arc<error_body::Settings>>,
}

// === impl Policies ===

impl Policies {
    /// Whether a route has no layer of these at all. What share of requests is traced has none, and who is shed
    /// first is a matter of a layer that every route has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            authenticate,
            authorize,
            rate_limits,
            concurrency,
            cors,
            max_bytes,
            headers,
            compress,
            tracing,
            priority: _,
            error_body,
        } = self;
        authenticate.is_empty()
            && authorize.is_none()
            && rate_limits.is_empty()
            && concurrency.is_empty()
            && cors.is_none()
            && max_bytes.is_none()
            && headers.is_none()
            && compress.is_none()
            && tracing::TracingLayer::of(tracing.as_ref()).is_none()
            && error_body.is_none()
    }

    /// Whether a credential may stand in this field.
    #[must_use]
    pub fn seeks_credential_in(&self, name: &http::HeaderName) -> bool {
        use authenticate::{Method, Source};
        let methods = self.authenticate.iter().flat_map(|settings| &settings.methods);
        let mut sources = methods.flat_map(|method| match method {
            Method::Jwt(jwt) => &jwt.from[..],
            Method::ApiKey(key) => &key.from[..],
            Method::Mtls(_) => &[],
        });
        sources.any(|source| match source {
            Source::Header(own, _) => own == name,
            Source::Cookie(_) => *name == http::header::COOKIE,
            Source::Query(_) => false,
        })
    }

    /// Whether a layer in front of the endpoint may wait for something: for keys that are fetched.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        use authenticate::{KeySource, Method};
        let mut methods = self.authenticate.iter().flat_map(|settings| &settings.methods);
        methods.any(|method| match method {
            Method::Jwt(jwt) => jwt.issuers.iter().any(|issuer| !matches!(issuer.keys, KeySource::File(_))),
            Method::ApiKey(_) | Method::Mtls(_) => false,
        })
    }
}

/// Who is shed last when the gateway is overloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the words are those of the format")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Critical,
}

// === impl Priority ===

impl Priority {
    /// The word of the format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}
