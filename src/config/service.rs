//! `kind: Service`: an asset and how to reach it.

use std::time::Duration;

use http::{HeaderName, Method};

use super::{
    Metadata, Node, Spanned,
    decode::{Decoder, Fields},
    document::document_keys,
    keys::{Object, Shape, later, optional, required},
    yaml::Value,
};
use crate::diagnostic::Code;

const MOST: u64 = u32::MAX as u64;

/// `kind: Service`
pub(super) static SERVICE: Object = Object {
    name: "a Service",
    keys: document_keys![
        optional(
            "type",
            Shape::Word(&["microservice", "data", "external"]),
            "What kind of asset it is (microservice)."
        ),
        optional(
            "lifecycle",
            Shape::Word(&["experimental", "production", "deprecated", "retired"]),
            "Where it is in its life.",
        ),
        optional("visibility", Shape::Word(&["unit", "all"]), "Who may call it (unit)."),
        required("endpoints", Shape::List(&Shape::Object(&ENDPOINT)), "Where it runs; at least one."),
        optional("operations", Shape::Map(&Shape::Object(&OPERATION)), "What can be called by name."),
        optional(
            "protocol",
            Shape::Word(&["auto", "http1", "http2"]),
            "ALPN on https, else HTTP/1.1 (auto)."
        ),
        optional("timeout", Shape::Duration, "One attempt, to the end of the body (10s)."),
        optional("connectTimeout", Shape::Duration, "How long connecting may take (2s)."),
        optional(
            "balance",
            Shape::Word(&["leastRequest", "roundRobin", "random"]),
            "How an endpoint is chosen (leastRequest).",
        ),
        optional("limits", Shape::Object(&LIMITS), "What may be open to it at a time."),
        optional("tls", Shape::Object(&TLS), "Whom to trust and who we are (system roots)."),
        optional("headers", Shape::Map(&Shape::TextOrSecret), "Fields set on every call."),
        later("contract"),
        later("retry"),
        later("breaker"),
        later("outlier"),
        later("health"),
        later("retryBudget"),
        later("key"),
    ],
    one_of: &[],
    open: false,
};

static ENDPOINT: Object = Object {
    name: "an endpoint",
    keys: &[
        required("url", Shape::Place, "http(s)://host[:port][/prefix]"),
        optional("weight", Shape::Count(1, 1_000_000), "Its share of the calls (1)."),
        optional("priority", Shape::Count(0, 1_000), "Lower ones are used first (0)."),
    ],
    one_of: &[],
    open: false,
};

static OPERATION: Object = Object {
    name: "an operation",
    keys: &[
        optional("method", Shape::Text, "The method (GET)."),
        required("path", Shape::Text, "The path, with `{name}` and `{name...}` captures."),
        optional("safe", Shape::Flag, "It only reads, whatever its method (false)."),
    ],
    one_of: &[],
    open: false,
};

static LIMITS: Object = Object {
    name: "limits",
    keys: &[
        optional("inFlight", Shape::Count(1, MOST), "Calls at a time (1024)."),
        optional("idlePerEndpoint", Shape::Count(0, MOST), "Idle connections kept per endpoint (256)."),
        optional("maxAge", Shape::Duration, "How long a connection is used (10m)."),
    ],
    one_of: &[],
    open: false,
};

static TLS: Object = Object {
    name: "tls",
    keys: &[
        optional("ca", Shape::Text, "A PEM file of roots to trust instead of the system's."),
        optional("clientCert", Shape::Object(&CLIENT_CERT), "The certificate we present."),
        optional("serverName", Shape::Text, "The name to ask for and to verify."),
    ],
    one_of: &[],
    open: false,
};

static CLIENT_CERT: Object = Object {
    name: "clientCert",
    keys: &[
        required("cert", Shape::Text, "A PEM file with the chain."),
        required("key", Shape::Text, "A PEM file with the key."),
    ],
    one_of: &[],
    open: false,
};

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

impl ServiceTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, metadata: Metadata, fields: &Fields<'_>) -> Self {
        decoder.word(fields, "lifecycle");
        let limits = decoder.object(fields, "limits");
        let limits = limits.as_ref();
        Self {
            metadata,
            asset: match decoder.word(fields, "type") {
                Some("data") => AssetType::Data,
                Some("external") => AssetType::External,
                _ => AssetType::Microservice,
            },
            visible_to_all: decoder.word(fields, "visibility") == Some("all"),
            endpoints: endpoints(decoder, fields),
            operations: operations(decoder, fields),
            protocol: match decoder.word(fields, "protocol") {
                Some("http1") => Protocol::Http1,
                Some("http2") => Protocol::Http2,
                _ => Protocol::Auto,
            },
            timeout: decoder.duration(fields, "timeout").map_or(Duration::from_secs(10), |d| d.value),
            connect_timeout: decoder
                .duration(fields, "connectTimeout")
                .map_or(Duration::from_secs(2), |d| d.value),
            balance: balance(decoder, fields),
            in_flight: limits.and_then(|limits| decoder.count(limits, "inFlight")).unwrap_or(1024),
            idle_per_endpoint: limits
                .and_then(|limits| decoder.count(limits, "idlePerEndpoint"))
                .unwrap_or(256),
            max_age: limits
                .and_then(|limits| decoder.duration(limits, "maxAge"))
                .map_or(Duration::from_secs(600), |d| d.value),
            tls: tls(decoder, fields),
            headers: headers(decoder, fields),
        }
    }
}

fn balance(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Balance {
    let Some(node) = fields.get("balance") else { return Balance::LeastRequest };
    let ring = node.get("ring").is_some() || matches!(&node.value, Value::Text(text) if text == "ring");
    if ring {
        decoder.not_yet(&node.place, "`balance: ring`");
        return Balance::LeastRequest;
    }
    match decoder.word(fields, "balance") {
        Some("roundRobin") => Balance::RoundRobin,
        Some("random") => Balance::Random,
        _ => Balance::LeastRequest,
    }
}

fn endpoints(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<EndpointTemplate> {
    let mut endpoints = Vec::new();
    let nodes = decoder.list(fields, "endpoints");
    if nodes.is_empty()
        && let Some(node) = fields.get("endpoints")
        && matches!(&node.value, Value::List(_))
    {
        decoder.invalid(
            &node.place,
            "a Service needs at least one endpoint",
            "{url: \"http://127.0.0.1:9001\"}",
        );
    }
    for node in nodes {
        let Some(fields) = decoder.fields("endpoints", &ENDPOINT, node, &node.place) else { continue };
        let weight = decoder.count(&fields, "weight").unwrap_or(1);
        let priority = decoder.count(&fields, "priority").unwrap_or(0);
        let url = decoder.url(&fields, "url");
        endpoints.extend(url.map(|url| EndpointTemplate { url, weight, priority }));
    }
    endpoints
}

fn operations(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<OperationTemplate> {
    let mut operations = Vec::new();
    for (name, node) in decoder.map(fields, "operations") {
        let valid = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && name.len() <= 128
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !valid {
            let message = format!("`{}` cannot name an operation", name.value);
            decoder.report(Code::InvalidName, &name.place, message, "letters, digits, `_`, `-` and `.`");
        }
        let Some(fields) = decoder.fields(&name.value, &OPERATION, node, &name.place) else { continue };
        let method = decoder.call_method(&fields);
        let safe = decoder.flag(&fields, "safe").unwrap_or(false);
        let path = decoder.text(&fields, "path");
        let path = path.unwrap_or_else(|| Spanned { value: String::new(), place: name.place.clone() });
        operations.push(OperationTemplate { name: name.clone(), method, path, safe });
    }
    operations
}

fn tls(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<TlsTemplate> {
    let fields = decoder.object(fields, "tls")?;
    let client = decoder.object(&fields, "clientCert");
    let client = client.as_ref();
    let server_name = decoder.text(&fields, "serverName");
    if let Some(name) = &server_name
        && !super::url::is_host(name)
    {
        decoder.invalid(
            &name.place,
            format!("`{}` is no host name", name.value),
            "a DNS name such as crm.internal",
        );
    }
    Some(TlsTemplate {
        ca: file(decoder, Some(&fields), "ca"),
        cert: file(decoder, client, "cert"),
        key: file(decoder, client, "key"),
        server_name,
    })
}

fn file(decoder: &mut Decoder<'_>, fields: Option<&Fields<'_>>, key: &str) -> Option<Spanned<String>> {
    let text = decoder.text(fields?, key)?;
    let value = decoder.path(&text, true)?;
    Some(Spanned { value, place: text.place })
}

pub(super) fn headers(
    decoder: &mut Decoder<'_>,
    fields: &Fields<'_>,
) -> Vec<(Spanned<HeaderName>, Spanned<HeaderSource>)> {
    let mut headers: Vec<(Spanned<HeaderName>, Spanned<HeaderSource>)> = Vec::new();
    for (name, node) in decoder.map(fields, "headers") {
        let header = decoder.settable_header(name);
        let source = header_source(decoder, name, node);
        let (Some(header), Some(source)) = (header, source) else { continue };
        if let Some((first, _)) = headers.iter().find(|(first, _)| first.value == header.value) {
            let place = first.place.clone();
            decoder.same_header(&header, place);
        }
        headers.push((header, Spanned { value: source, place: node.place.clone() }));
    }
    headers
}

fn header_source(decoder: &mut Decoder<'_>, name: &Spanned<String>, node: &Node) -> Option<HeaderSource> {
    if matches!(node.value, Value::Map(_)) {
        return decoder
            .secret(&name.value, node, &name.place)
            .map(|secret| HeaderSource::Secret(secret.value));
    }
    decoder.check_credential(name, node);
    let text = decoder.text_of(&name.value, node)?;
    if let Some(at) = text.find("${") {
        let place = node.place_at(at, 2);
        decoder.invalid(
            &place,
            "a Service's header has no expression",
            "set it in the step, where there is a request",
        );
        return None;
    }
    if http::HeaderValue::from_str(&text).is_err() {
        decoder.invalid(
            &node.place,
            format!("this cannot be the value of `{}`", name.value),
            "no line breaks",
        );
        return None;
    }
    Some(HeaderSource::Text(text.value))
}
