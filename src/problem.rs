//! The closed table of request-time failures: code, status, title and whose fault it is.
//!
//! The same [`Kind`] labels the response (RFC 9457 problem document), the metric and the log, so
//! they cannot disagree.

use http::StatusCode;

/// Whose fault a failure is. Only an upstream's faults count against an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller sent something that cannot be served.
    Client,
    /// A called service failed.
    Upstream,
    /// The gateway, or a template it runs, failed.
    Gateway,
}

impl Fault {
    /// The label used in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $title:literal, $fault:ident;)*) => {
        /// Why a request was not answered by its route.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable code that clients match on.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// The default status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                let status: u16 = match self { $(Self::$name => $status),* };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// The default title of the problem document.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault),* }
            }
        }
    };
}

kinds! {
    /// Framing, path or header of the request is not acceptable.
    BadRequest = "bad_request", 400, "Bad request", Client;
    /// A value of the request does not fit what the route declares.
    InvalidRequest = "invalid_request", 400, "Invalid request", Client;
    /// Credentials are missing or not valid.
    Unauthenticated = "unauthenticated", 401, "Unauthenticated", Client;
    /// The caller may not do this.
    Forbidden = "forbidden", 403, "Forbidden", Client;
    /// No route has this host and path.
    NotFound = "not_found", 404, "Not found", Client;
    /// The path is known, the method is not.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed", Client;
    /// The client sent its request too slowly.
    RequestTimeout = "request_timeout", 408, "Request timeout", Client;
    /// The request's body is larger than the route takes.
    PayloadTooLarge = "payload_too_large", 413, "Payload too large", Client;
    /// The request's target is too long.
    UriTooLong = "uri_too_long", 414, "URI too long", Client;
    /// The request's body has a media type the route does not take.
    UnsupportedMediaType = "unsupported_media_type", 415, "Unsupported media type", Client;
    /// The caller's rate limit is spent.
    RateLimited = "rate_limited", 429, "Too many requests", Client;
    /// The request's header section is too large.
    HeaderTooLarge = "header_too_large", 431, "Header section too large", Client;
    /// A `require` of the route does not hold.
    RequireFailed = "require_failed", 400, "Requirement not met", Client;
    /// An upstream's answer was ok but not good.
    EnsureFailed = "ensure_failed", 502, "Unusable upstream answer", Upstream;
    /// No connection: refused, DNS or TLS.
    UpstreamUnreachable = "upstream_unreachable", 502, "Upstream unreachable", Upstream;
    /// The connection broke before the answer was complete.
    UpstreamReset = "upstream_reset", 502, "Upstream reset the connection", Upstream;
    /// The answer was malformed or truncated.
    UpstreamInvalid = "upstream_invalid", 502, "Invalid upstream answer", Upstream;
    /// The answer's body is not the promised one, too large or too deep.
    BadPayload = "bad_payload", 502, "Unusable upstream payload", Upstream;
    /// The answer's status is not one the step takes.
    UpstreamStatus = "upstream_status", 502, "Unexpected upstream status", Upstream;
    /// A `forEach` has more items than its `max`.
    TooManyItems = "too_many_items", 502, "Too many items", Upstream;
    /// The upstream takes no calls now: breaker open, or it said 429 or 503.
    UpstreamUnavailable = "upstream_unavailable", 503, "Upstream unavailable", Upstream;
    /// The gateway takes no more requests now.
    Overloaded = "overloaded", 503, "Overloaded", Gateway;
    /// The unit that owns this path has no working version.
    UnitUnavailable = "unit_unavailable", 503, "Unit unavailable", Gateway;
    /// The keys that verify tokens could not be fetched yet.
    KeysUnavailable = "keys_unavailable", 503, "Keys unavailable", Gateway;
    /// One attempt took longer than its timeout.
    UpstreamTimeout = "upstream_timeout", 504, "Upstream timeout", Upstream;
    /// The route's deadline passed.
    DeadlineExceeded = "deadline_exceeded", 504, "Deadline exceeded", Upstream;
    /// An expression met an absent key, a wrong type, a division by zero …
    ExpressionError = "expression_error", 500, "Expression error", Gateway;
    /// An expression used more steps or bytes than it may.
    ExpressionBudget = "expression_budget", 500, "Expression budget exceeded", Gateway;
    /// A defect of the gateway.
    Internal = "internal", 500, "Internal error", Gateway;
    /// The request came through this gateway too often.
    LoopDetected = "loop_detected", 508, "Loop detected", Client;
}
