//! `telemetry` of the Gateway, with what it names looked up.

use http::{HeaderName, HeaderValue, Uri};

use super::access_log;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `serviceName`
    pub service_name: String,
    /// `otlp`
    pub otlp: Option<Otlp>,
    /// `sample`: the share of requests that is traced, where no trusted caller has decided.
    pub sample: f64,
    /// `accessLog`
    pub access_log: Option<access_log::Settings>,
}

/// A collector that speaks OTLP over HTTP.
#[derive(Clone, PartialEq)]
pub struct Otlp {
    /// Where it is; `/v1/traces` and the like are added to its path.
    pub endpoint: Uri,
    /// Sent with every request. May be secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No values: they may be secrets.
        f.debug_struct("Otlp").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
