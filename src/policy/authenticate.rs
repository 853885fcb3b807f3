//! Authenticates: `authenticate` of a Policy.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use crate::diagnostic::Place;

/// One policy's `authenticate`.
#[derive(Debug)]
pub struct Settings {
    /// In the order of the document, which is that of precedence.
    pub methods: Vec<Method>,
    /// `mode: all`: each must succeed, not any.
    pub all: bool,
    /// Without credentials the request goes on as anonymous.
    pub anonymous: bool,
    /// Where it is written.
    pub place: Place,
}

/// A way to authenticate.
#[derive(Debug)]
pub enum Method {
    /// `jwt`
    Jwt(JwtSettings),
    /// `apiKey`
    ApiKey(ApiKeySettings),
    /// `mtls`
    Mtls(MtlsSettings),
}

/// `jwt`
#[derive(Debug)]
pub struct JwtSettings {
    /// Whose tokens are taken.
    pub issuers: Vec<Arc<Issuer>>,
    /// Where a token is looked for, in this order.
    pub from: Vec<Source>,
}

/// `apiKey`
#[derive(Debug)]
pub struct ApiKeySettings {
    /// Where a key is looked for, in this order.
    pub from: Vec<Source>,
}

/// `mtls`
#[derive(Debug)]
pub struct MtlsSettings {
    /// URIs; `*` is one path segment.
    pub subjects: Vec<String>,
}

/// Where a credential stands in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A field, perhaps with a scheme before the credential (`Bearer`).
    Header(HeaderName, Option<String>),
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
}

/// Whose tokens are taken, and how they are verified.
#[derive(Debug)]
pub struct Issuer {
    /// `iss`
    pub issuer: String,
    /// One must be in `aud`.
    pub audiences: Vec<String>,
    /// Where its keys are.
    pub keys: KeySource,
    /// Names of RFC 7518 §3.1 and RFC 8037; checked at load.
    pub algorithms: Vec<String>,
    /// How far clocks may differ (30s).
    pub clock_skew: Duration,
    /// Claims that must be there.
    pub required_claims: Vec<String>,
    /// The claim with scopes; `scope`, else `scp`, when absent.
    pub scopes_claim: Option<String>,
    /// How long a verified token may be remembered (60s).
    pub cache_ttl: Duration,
    /// Between two fetches for unknown keys (30s).
    pub cooldown: Duration,
    /// Where it is written.
    pub place: Place,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// A JWK Set in a file; the path is relative to the configuration directory.
    File(String),
    /// A JWK Set behind a URL: https, or http to loopback.
    Uri(String),
    /// By OpenID Connect discovery from the issuer.
    Discover,
}
