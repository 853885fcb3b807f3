//! `kind: Service`: an asset and how to reach it.

use std::time::Duration;

use http::{HeaderName, Method};

use super::{Metadata, Node, Spanned};

/// A Service document.
#[derive(Clone, Debug)]
pub struct ServiceTemplate {
    /// Its metadata.
    pub metadata: Metadata,
    /// `type` (microservice)
    pub asset: AssetType,
    /// `visibility: all` (unit)
    pub visible_to_all: bool,
    /// `endpoints`, at least one.
    pub endpoints: Vec<EndpointTemplate>,
    /// `operations`, in file order.
    pub operations: Vec<OperationTemplate>,
    /// `protocol` (auto)
    pub protocol: Protocol,
    /// `timeout` (10s): one attempt.
    pub timeout: Duration,
    /// `connectTimeout` (2s)
    pub connect_timeout: Duration,
    /// `balance` (leastRequest)
    pub balance: Balance,
    /// `limits.inFlight` (1024)
    pub in_flight: u32,
    /// `limits.idlePerEndpoint` (256)
    pub idle_per_endpoint: u32,
    /// `limits.maxAge` (10m)
    pub max_age: Duration,
    /// `tls`
    pub tls: Option<TlsTemplate>,
    /// `headers` set on every call: literal text or a secret.
    pub headers: Vec<(Spanned<HeaderName>, Spanned<HeaderSource>)>,
}

/// `type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetType {
    /// Ours.
    Microservice,
    /// A data module.
    Data,
    /// Somebody else's: no forwarding headers go there.
    External,
}

/// `protocol`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// ALPN on https, HTTP/1.1 else.
    Auto,
    /// HTTP/1.1
    Http1,
    /// HTTP/2, with prior knowledge on http.
    Http2,
}

/// `balance`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Power of two choices by calls in flight.
    LeastRequest,
    /// In turn, by weight.
    RoundRobin,
    /// At random, by weight.
    Random,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct EndpointTemplate {
    /// `url`
    pub url: Spanned<UrlTemplate>,
    /// `weight` (1)
    pub weight: u32,
    /// `priority` (0): lower first.
    pub priority: u32,
}

/// A URL written in place or taken from the environment when the gateway is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlTemplate {
    /// Written in place and checked.
    Text(String),
    /// `{env: NAME, default: …}`
    Env {
        /// The variable.
        name: String,
        /// What holds when it is not set.
        default: Option<String>,
    },
}

/// A named operation.
#[derive(Clone, Debug)]
pub struct OperationTemplate {
    /// Its name.
    pub name: Spanned<String>,
    /// `method` (GET)
    pub method: Method,
    /// `path` with `{name}` and `{name...}` captures.
    pub path: Spanned<String>,
    /// `safe`: only reads, whatever its method.
    pub safe: bool,
}

/// Where a secret is, never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretTemplate {
    /// `{env: NAME, prefix: …}`
    Env {
        /// The variable.
        name: String,
        /// Text before it.
        prefix: String,
    },
    /// `{file: path, prefix: …}`, the path made relative to the configuration directory.
    File {
        /// The file.
        path: String,
        /// Text before it.
        prefix: String,
    },
}

/// The value of a Service's header.
#[derive(Clone, Debug)]
pub enum HeaderSource {
    /// Written in place.
    Text(String),
    /// A secret.
    Secret(SecretTemplate),
}

/// `tls` of a Service; paths made relative to the configuration directory.
#[derive(Clone, Debug, Default)]
pub struct TlsTemplate {
    /// `ca`: roots to trust instead of the system's.
    pub ca: Option<Spanned<String>>,
    /// `clientCert.cert`
    pub cert: Option<Spanned<String>>,
    /// `clientCert.key`
    pub key: Option<Spanned<String>>,
    /// `serverName`
    pub server_name: Option<Spanned<String>>,
}

/// An unresolved map of parameters that may be one expression.
pub type Parameters = Option<Node>;
