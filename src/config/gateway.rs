//! `kind: Gateway`: listeners, admin, limits, draining.

use std::{net::SocketAddr, time::Duration};

use super::{
    Metadata, Spanned,
    decode::{Decoder, Fields},
    document::document_keys,
    keys::{Object, Shape, later, optional, required},
    listener::{LISTENER, ListenerTemplate, listeners},
};
use crate::{diagnostic::Code, headers::Network};

const MOST: u64 = u32::MAX as u64;

/// `kind: Gateway`
pub(super) static GATEWAY: Object = Object {
    name: "a Gateway",
    keys: document_keys![
        required("listeners", Shape::List(&Shape::Object(&LISTENER)), "Where clients connect; at least one."),
        optional("admin", Shape::Object(&ADMIN), "The listener for health, metrics and status."),
        optional(
            "trustedProxies",
            Shape::List(&Shape::Text),
            "Networks whose x-forwarded-* fields are believed."
        ),
        optional("limits", Shape::Object(&LIMITS), "What one client may take."),
        optional("drain", Shape::Object(&DRAIN), "How the gateway stops."),
        optional("workers", Shape::Count(1, 1024), "Worker threads (one per core)."),
        optional(
            "telemetry",
            Shape::Object(&super::telemetry::TELEMETRY),
            "What the gateway says of itself, and to whom."
        ),
        later("stateDir"),
    ],
    one_of: &[],
    open: false,
};

static ADMIN: Object = Object {
    name: "admin",
    keys: &[
        required("address", Shape::Place, "IP and port: `127.0.0.1:9901`."),
        optional("token", Shape::Secret, "What callers must present; required off loopback."),
    ],
    one_of: &[],
    open: false,
};

static LIMITS: Object = Object {
    name: "limits",
    keys: &[
        optional("uriBytes", Shape::Size, "The longest request target (8KiB)."),
        optional("headers", Shape::Count(1, 10_000), "The most header fields (100)."),
        optional("headerBytes", Shape::Size, "The largest header section (32KiB)."),
        optional("headerTimeout", Shape::Duration, "How long a request head may take (10s)."),
        optional("idleTimeout", Shape::Duration, "How long a connection may be idle (60s)."),
        optional(
            "bodyRate",
            Shape::Count(0, MOST),
            "Bytes per second that a request body must bring on average, after 5s; 0: none (240).",
        ),
        optional(
            "writeStall",
            Shape::Duration,
            "How long a client may take nothing of its answer; 0s: without end (30s).",
        ),
        optional("maxCalls", Shape::Count(1, MOST), "The most upstream calls one request could make (500)."),
        optional("maxConnections", Shape::Count(1, MOST), "The most client connections (20000)."),
        optional(
            "memory",
            Shape::Size,
            "The memory of the process, near which requests are shed; 0: 80 % of what its control group, or the \
             machine, has (0).",
        ),
        optional("adaptive", Shape::Flag, "Whether requests are shed when workers cannot keep up (true)."),
    ],
    one_of: &[],
    open: false,
};

static DRAIN: Object = Object {
    name: "drain",
    keys: &[
        optional("delay", Shape::Duration, "How long it goes on accepting after SIGTERM (0s)."),
        optional("timeout", Shape::Duration, "How long running requests may take after that (30s)."),
    ],
    one_of: &[],
    open: false,
};

/// A Gateway document.
#[derive(Clone, Debug)]
pub struct GatewayTemplate {
    /// Its metadata.
    pub metadata: Metadata,
    /// `listeners`, at least one.
    pub listeners: Vec<ListenerTemplate>,
    /// `admin.address`
    pub admin: Option<AdminTemplate>,
    /// `trustedProxies`: networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<Spanned<String>>,
    /// `limits`
    pub limits: LimitsTemplate,
    /// `drain.delay` (0s)
    pub drain_delay: Duration,
    /// `drain.timeout` (30s)
    pub drain_timeout: Duration,
    /// `workers`; one per core when absent.
    pub workers: Option<u32>,
    /// `telemetry`
    pub telemetry: super::telemetry::TelemetryTemplate,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct AdminTemplate {
    /// `address`
    pub address: Spanned<AddressTemplate>,
    /// `token`: required off loopback.
    pub token: Option<Spanned<super::service::SecretTemplate>>,
}

/// An address written in place or taken from the environment when the gateway is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressTemplate {
    /// Written in place.
    Socket(SocketAddr),
    /// `{env: NAME, default: …}`
    Env {
        /// The variable.
        name: String,
        /// What holds when it is not set.
        default: Option<SocketAddr>,
    },
}

/// `limits`, defaults filled in.
#[derive(Clone, Debug)]
pub struct LimitsTemplate {
    /// `uriBytes` (8KiB)
    pub uri_bytes: u64,
    /// `headers` (100)
    pub headers: u32,
    /// `headerBytes` (32KiB)
    pub header_bytes: u64,
    /// `headerTimeout` (10s)
    pub header_timeout: Duration,
    /// `idleTimeout` (60s)
    pub idle_timeout: Duration,
    /// `bodyRate` (240): bytes per second; 0 is off.
    pub body_rate: u32,
    /// `writeStall` (30s); zero is off.
    pub write_stall: Duration,
    /// `maxConnections` (20000)
    pub max_connections: u32,
    /// `maxCalls` (500): upstream calls that one request could make at worst; judged at load.
    pub max_calls: u32,
    /// `memory` (0): bytes; 0 is 80 % of what the system allows.
    pub memory: u64,
    /// `adaptive` (true)
    pub adaptive: bool,
}

impl AddressTemplate {
    /// The address that is known without the environment.
    #[must_use]
    pub const fn known(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address) => Some(*address),
            Self::Env { default, .. } => *default,
        }
    }
}

impl Default for LimitsTemplate {
    fn default() -> Self {
        Self {
            uri_bytes: 8 << 10,
            headers: 100,
            header_bytes: 32 << 10,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_rate: 240,
            write_stall: Duration::from_secs(30),
            max_connections: 20_000,
            max_calls: 500,
            memory: 0,
            adaptive: true,
        }
    }
}

impl GatewayTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, metadata: Metadata, fields: &Fields<'_>) -> Self {
        let drain = decoder.object(fields, "drain");
        let drain = drain.as_ref();
        Self {
            metadata,
            listeners: listeners(decoder, fields),
            admin: admin(decoder, fields),
            trusted_proxies: trusted_proxies(decoder, fields),
            limits: limits(decoder, fields),
            drain_delay: drain
                .and_then(|drain| decoder.duration_or_zero(drain, "delay"))
                .map_or(Duration::ZERO, |delay| delay.value),
            drain_timeout: drain
                .and_then(|drain| decoder.duration_or_zero(drain, "timeout"))
                .map_or(Duration::from_secs(30), |timeout| timeout.value),
            workers: decoder.count(fields, "workers"),
            telemetry: super::telemetry::TelemetryTemplate::decode(decoder, fields),
        }
    }
}

fn admin(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<AdminTemplate> {
    let fields = decoder.object(fields, "admin")?;
    let token = match fields.get("token") {
        Some(node) => decoder.secret("token", node, fields.key_place("token")),
        None => None,
    };
    let address = decoder.address(&fields, "address")?;
    if address.known().is_some_and(|address| !address.ip().is_loopback()) && fields.get("token").is_none() {
        decoder.report(
            Code::MissingKey,
            &address.place,
            "an admin listener off loopback needs `token`",
            "add token: {env: SEGUE_ADMIN_TOKEN}, or listen on 127.0.0.1",
        );
    }
    Some(AdminTemplate { address, token })
}

fn trusted_proxies(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Spanned<String>> {
    let mut networks = Vec::new();
    for node in decoder.list(fields, "trustedProxies") {
        let Some(text) = decoder.text_of("trustedProxies", node) else { continue };
        if Network::parse(&text).is_none() {
            let message = format!("`{}` is no network", text.value);
            decoder.invalid(&text.place, message, "an address or a network: 10.0.0.0/8, ::1");
        } else {
            networks.push(text);
        }
    }
    networks
}

fn limits(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> LimitsTemplate {
    let default = LimitsTemplate::default();
    let Some(fields) = decoder.object(fields, "limits") else { return default };
    let fields = &fields;
    LimitsTemplate {
        uri_bytes: decoder.size(fields, "uriBytes").unwrap_or(default.uri_bytes),
        headers: decoder.count(fields, "headers").unwrap_or(default.headers),
        header_bytes: decoder.size(fields, "headerBytes").unwrap_or(default.header_bytes),
        header_timeout: decoder.duration(fields, "headerTimeout").map_or(default.header_timeout, |d| d.value),
        idle_timeout: decoder.duration(fields, "idleTimeout").map_or(default.idle_timeout, |d| d.value),
        body_rate: decoder.count(fields, "bodyRate").unwrap_or(default.body_rate),
        write_stall: decoder.duration_or_zero(fields, "writeStall").map_or(default.write_stall, |d| d.value),
        max_connections: decoder.count(fields, "maxConnections").unwrap_or(default.max_connections),
        max_calls: decoder.count(fields, "maxCalls").unwrap_or(default.max_calls),
        memory: decoder.size_or_zero(fields, "memory").unwrap_or(default.memory),
        adaptive: decoder.flag(fields, "adaptive").unwrap_or(default.adaptive),
    }
}
