//! TLS handshakes of clients, counted: how they ended, and when the certificates that they are shown expire.

use std::sync::Arc;

use metrics::Counter;

use super::{
    metric::{TLS_EXPIRY, TLS_FAILURES, TLS_HANDSHAKES},
    registry::Registry,
};

/// Why a handshake failed. The names are labels of `segue_tls_handshake_failures_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the label of each says it")]
pub enum HandshakeFailure {
    Timeout,
    Crowded,
    ClientGone,
    NotTls,
    NothingInCommon,
    NoProtocolInCommon,
    NoClientCertificate,
    BadClientCertificate,
    ClientRefused,
    Malformed,
    Internal,
}

// === impl HandshakeFailure ===

impl HandshakeFailure {
    /// Each one, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Timeout,
        Self::Crowded,
        Self::ClientGone,
        Self::NotTls,
        Self::NothingInCommon,
        Self::NoProtocolInCommon,
        Self::NoClientCertificate,
        Self::BadClientCertificate,
        Self::ClientRefused,
        Self::Malformed,
        Self::Internal,
    ];

    /// Its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Crowded => "crowded",
            Self::ClientGone => "client_gone",
            Self::NotTls => "not_tls",
            Self::NothingInCommon => "nothing_in_common",
            Self::NoProtocolInCommon => "no_protocol_in_common",
            Self::NoClientCertificate => "no_client_certificate",
            Self::BadClientCertificate => "bad_client_certificate",
            Self::ClientRefused => "client_refused",
            Self::Malformed => "malformed",
            Self::Internal => "internal",
        }
    }

    const fn fault(self) -> &'static str {
        match self {
            Self::Internal => "gateway",
            _ => "client",
        }
    }
}

/// The counters.
#[derive(Debug)]
pub struct Handshakes {
    registry: Arc<Registry>,
    /// By version (1.2, 1.3), then full or resumed.
    done: [[Counter; 2]; 2],
    /// Parallel to [`HandshakeFailure::ALL`].
    failed: [Counter; HandshakeFailure::ALL.len()],
}

// === impl Handshakes ===

impl Handshakes {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        let done = |version: &str, resumed: &str| registry.counter(&TLS_HANDSHAKES, &[version, resumed]);
        let failed =
            |failure: HandshakeFailure| registry.counter(&TLS_FAILURES, &[failure.as_str(), failure.fault()]);
        Self {
            registry: Arc::clone(registry),
            done: ["1.2", "1.3"].map(|version| ["false", "true"].map(|resumed| done(version, resumed))),
            failed: HandshakeFailure::ALL.map(failed),
        }
    }

    /// Counts one that succeeded.
    pub fn done(&self, tls13: bool, resumed: bool) {
        self.done[usize::from(tls13)][usize::from(resumed)].increment(1);
    }

    /// Counts one that failed.
    pub fn failed(&self, failure: HandshakeFailure) {
        self.failed[failure as usize].increment(1);
    }

    /// Says until when, in seconds after 1970, each certificate is valid; the others are forgotten.
    pub fn certificates<'a>(&self, all: impl Iterator<Item = (&'a str, i64)> + Clone) {
        for (cert, not_after) in all.clone() {
            self.registry.gauge(&TLS_EXPIRY, &[cert]).set(not_after as f64);
        }
        self.registry.retain("cert", |known| all.clone().any(|(cert, _)| cert == known));
    }
}
