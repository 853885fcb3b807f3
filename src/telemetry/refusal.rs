//! Why the gateway cut an HTTP/2 connection or one of its streams before there was a request to
//! answer. Always the client's fault.

/// What a client did. The names are labels of `segue_http2_refusals_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the label of each says it")]
pub enum Refusal {
    ResetFlood,
    PingFlood,
    SettingsFlood,
    EmptyDataFlood,
    ControlFlood,
    HeaderFlood,
    ErrorFlood,
    MalformedTrailers,
    MalformedStream,
    MalformedConnection,
    WriteStall,
}

// === impl Refusal ===

impl Refusal {
    /// Each one, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::ResetFlood,
        Self::PingFlood,
        Self::SettingsFlood,
        Self::EmptyDataFlood,
        Self::ControlFlood,
        Self::HeaderFlood,
        Self::ErrorFlood,
        Self::MalformedTrailers,
        Self::MalformedStream,
        Self::MalformedConnection,
        Self::WriteStall,
    ];

    /// Its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResetFlood => "reset_flood",
            Self::PingFlood => "ping_flood",
            Self::SettingsFlood => "settings_flood",
            Self::EmptyDataFlood => "empty_data_flood",
            Self::ControlFlood => "control_flood",
            Self::HeaderFlood => "header_flood",
            Self::ErrorFlood => "error_flood",
            Self::MalformedTrailers => "malformed_trailers",
            Self::MalformedStream => "malformed_stream",
            Self::MalformedConnection => "malformed_connection",
            Self::WriteStall => "write_stall",
        }
    }
}
