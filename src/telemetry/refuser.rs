//! Who refused a request: the closed table behind the label `policy` of refusals.

use crate::problem::Kind;

/// A policy, or what is not one but refuses like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the label of each says it")]
pub enum Refuser {
    Admission,
    Routing,
    Authenticate,
    Authorize,
    RateLimit,
    Concurrency,
    Cors,
    Body,
    Request,
    Require,
    Overload,
    Override,
    Unit,
}

// === impl Refuser ===

impl Refuser {
    /// Each one, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::Admission,
        Self::Routing,
        Self::Authenticate,
        Self::Authorize,
        Self::RateLimit,
        Self::Concurrency,
        Self::Cors,
        Self::Body,
        Self::Request,
        Self::Require,
        Self::Overload,
        Self::Override,
        Self::Unit,
    ];

    /// Its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Routing => "routing",
            Self::Authenticate => "authenticate",
            Self::Authorize => "authorize",
            Self::RateLimit => "rateLimit",
            Self::Concurrency => "concurrency",
            Self::Cors => "cors",
            Self::Body => "body",
            Self::Request => "request",
            Self::Require => "require",
            Self::Overload => "overload",
            Self::Override => "override",
            Self::Unit => "unit",
        }
    }

    /// Who refuses with this kind, unless the record says otherwise; none for what is no refusal.
    #[must_use]
    pub const fn of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::BadRequest
            | Kind::RequestTimeout
            | Kind::UriTooLong
            | Kind::HeaderTooLarge
            | Kind::LoopDetected => Self::Admission,
            Kind::NotFound | Kind::MethodNotAllowed => Self::Routing,
            Kind::Unauthenticated | Kind::KeysUnavailable => Self::Authenticate,
            Kind::Forbidden => Self::Authorize,
            Kind::RateLimited => Self::RateLimit,
            Kind::PayloadTooLarge => Self::Body,
            Kind::InvalidRequest | Kind::UnsupportedMediaType => Self::Request,
            Kind::RequireFailed => Self::Require,
            Kind::Overloaded => Self::Overload,
            Kind::UnitUnavailable => Self::Unit,
            Kind::EnsureFailed
            | Kind::UpstreamUnreachable
            | Kind::UpstreamReset
            | Kind::UpstreamInvalid
            | Kind::BadPayload
            | Kind::UpstreamStatus
            | Kind::TooManyItems
            | Kind::UpstreamUnavailable
            | Kind::UpstreamTimeout
            | Kind::DeadlineExceeded
            | Kind::ExpressionError
            | Kind::ExpressionBudget
            | Kind::Internal => return None,
        })
    }
}
