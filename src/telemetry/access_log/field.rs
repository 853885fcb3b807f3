//! What a line of the access log can have.

macro_rules! fields {
    ($($variant:ident = $name:literal, $help:literal;)*) => {
        /// A field of a line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field {
            $(#[doc = $help] $variant,)*
        }

        impl Field {
            /// Every field.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As templates and lines have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What comes before its value in a line of JSON, behind another field.
            pub(super) const fn json_key(self) -> &'static str {
                match self { $(Self::$variant => concat!(",\"", $name, "\":")),* }
            }

            /// The same of a line of text.
            pub(super) const fn text_key(self) -> &'static str {
                match self { $(Self::$variant => concat!(" ", $name, "=")),* }
            }

            /// One sentence.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),* }
            }
        }
    };
}

fields! {
    Time = "time", "When the answer ended, RFC 3339 in UTC.";
    TraceId = "traceId", "The trace, 32 hex digits.";
    RequestId = "requestId", "The request's id, as in `instance` of a problem document.";
    Unit = "unit", "The route's unit.";
    Route = "route", "`unit/route`.";
    Principal = "principal", "Who asked: the id that authentication found.";
    Client = "client", "The client's address.";
    Method = "method", "The method.";
    Scheme = "scheme", "`http` or `https`.";
    Host = "host", "The host that was asked for.";
    Path = "path", "The path in canonical form, without its query.";
    Protocol = "protocol", "`1.0`, `1.1` or `2`.";
    Status = "status", "The status answered; absent if the client left before.";
    Outcome = "outcome", "`ok`, `degraded`, `refused`, `failed`, `aborted`; `streaming` and `closed` of what lasts, `late` of what went on without its client.";
    Code = "code", "Why it was refused, failed or aborted.";
    DurationMs = "durationMs", "From the request's head to the answer's last byte.";
    UpstreamMs = "upstreamMs", "Of a proxy route: until the head of the upstream's answer.";
    Received = "received", "Bytes of the request's body.";
    Sent = "sent", "Bytes of the answer's body.";
    Steps = "steps", "Outcome and time of each step of the route.";
    Degraded = "degraded", "What the answer lacks.";
    SpanId = "spanId", "The gateway's span, 16 hex digits.";
    Peer = "peer", "The other end of the connection.";
    Owner = "owner", "The route's owner.";
    Version = "version", "The route's version.";
    Generation = "generation", "The generation that served it.";
    Service = "service", "The service of each call, in order.";
    Attempts = "attempts", "How many calls were made.";
    Sampled = "sampled", "Whether its spans go to the collector: decided at its start, or late.";
}

impl Field {
    /// The field of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// What lines have unless `fields` says otherwise.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        let last = Self::ALL.iter().position(|field| *field == Self::Degraded).unwrap_or_default();
        Self::ALL[..=last].to_vec()
    }
}
