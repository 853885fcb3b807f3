//! Who a request is from, once a policy has authenticated it, and the Consumers that IT knows.
//!
//! Expressions read it as `principal`, limits count by it, signals name it. It never holds a credential.

use std::sync::Arc;

use http::HeaderName;

use crate::{diagnostic::Place, json::Document};

/// How a principal was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// An API key.
    ApiKey,
    /// A client certificate (RFC 8446 §4.4.2).
    Mtls,
    /// Nobody said who they are, and the policy allows that.
    Anonymous,
}

/// Who a request is from.
#[derive(Clone, Debug)]
pub struct Principal {
    /// How that is known.
    pub kind: PrincipalKind,
    /// A token's `sub`, a key's Consumer, a certificate's matched URI; absent for anonymous.
    pub id: Option<Arc<str>>,
    /// A token's claims, as received; absent for the others.
    pub claims: Option<Document>,
    /// A token's scopes; empty for the others.
    pub scopes: Arc<[Arc<str>]>,
    /// The Consumer, if IT knows one for this key, token or certificate.
    pub consumer: Option<Arc<Consumer>>,
}

/// Somebody who calls services, as IT wrote it down (`kind: Consumer`).
#[derive(Debug)]
pub struct Consumer {
    /// `metadata.name`
    pub name: Arc<str>,
    /// `plan`
    pub plan: Option<Arc<str>>,
    /// SHA-256 of each API key.
    pub api_keys: Vec<[u8; 32]>,
    /// Issuer and subject of tokens that are this Consumer's.
    pub jwt: Option<(String, String)>,
    /// The URI of certificates that are this Consumer's.
    pub mtls: Option<String>,
    /// `labels`
    pub labels: Vec<(String, String)>,
    /// Where it is defined.
    pub place: Place,
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

// === impl PrincipalKind ===

impl PrincipalKind {
    /// `principal.kind`
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::ApiKey => "apiKey",
            Self::Mtls => "mtls",
            Self::Anonymous => "anonymous",
        }
    }
}

// === impl Consumer ===

impl Consumer {
    /// Whether it says the same, wherever it is written.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let Self { name, plan, api_keys, jwt, mtls, labels, place: _ } = self;
        (name, plan, api_keys, jwt, mtls, labels)
            == (&other.name, &other.plan, &other.api_keys, &other.jwt, &other.mtls, &other.labels)
    }
}

// === impl Principal ===

impl Principal {
    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            kind: PrincipalKind::Anonymous,
            id: None,
            claims: None,
            scopes: Arc::default(),
            consumer: None,
        }
    }
}
