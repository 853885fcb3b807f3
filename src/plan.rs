//! The compiled form of a tree: immutable, indexes instead of names, impossible to build invalid.
//!
//! `compile` alone makes one. It holds no secret and no socket: addresses and secrets named by
//! environment variables are resolved by `Gateway::build`.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{
        gateway::{AddressTemplate, LimitsTemplate},
        listener::ListenerTls,
        service::{AssetType, Balance, HeaderSource, Protocol, SecretTemplate, TlsTemplate, UrlTemplate},
        unit::EgressTemplate,
    },
    diagnostic::Place,
    principal::Consumer,
};

pub mod answer;
pub mod call;
pub mod composition;
pub mod estimate;
pub mod nested;
pub mod request;
pub mod route;
pub mod typed;

pub use crate::content::BodyUse;
pub use answer::{ErrorRule, Problem, Respond, StaticAnswer};
pub use call::{Call, Headers, PathPart, Proxy, Query, Values, reads};
pub use composition::{Composition, ForEach, Retry, Step, Tolerance};
pub use nested::{Action, Callable, Input, Nested};
pub use route::{Endpoint, Match, PathPattern, Route, Segment};

/// A whole tree, compiled.
#[derive(Debug)]
pub struct Plan {
    /// The Gateway document.
    pub gateway: Settings,
    /// Files that templates name and that are not listed in the tree.
    pub elsewhere: Box<[String]>,
    /// Who may call, as IT wrote it down.
    pub consumers: Box<[Arc<Consumer>]>,
    /// Services in the order of their ids.
    pub services: Box<[Service]>,
    /// Compositions in the order of their ids.
    pub compositions: Box<[Callable]>,
    /// Routes in the order of their ids.
    pub routes: Box<[Route]>,
}

/// What the Gateway document sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// The admin listener.
    pub admin: Option<(AddressTemplate, Option<SecretTemplate>, Place)>,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<crate::headers::Network>,
    /// Limits of admission.
    pub limits: LimitsTemplate,
    /// How long the gateway still accepts after SIGTERM.
    pub drain_delay: Duration,
    /// How long requests may take to end while draining.
    pub drain_timeout: Duration,
    /// Worker threads; one per core when absent.
    pub workers: Option<u32>,
    /// What is said to whom.
    pub telemetry: crate::config::telemetry::TelemetryTemplate,
}

/// A listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: AddressTemplate,
    /// Where the address stands.
    pub place: Place,
    /// What it shows to clients and asks of them; without it it speaks cleartext.
    pub tls: Option<ListenerTls>,
}

/// A Service, compiled.
#[derive(Clone, Debug)]
pub struct Service {
    /// `unit/name`
    pub name: Arc<str>,
    /// Where it is defined.
    pub place: Place,
    /// Its type.
    pub asset: AssetType,
    /// Endpoints, at least one: URL (checked when written in place), weight, priority.
    pub endpoints: Vec<(UrlTemplate, u32, u32, Place)>,
    /// The hosts that its unit may reach; all when absent. Judged for URLs written in place, and when the
    /// gateway is built for those of the environment.
    pub egress: Option<Arc<[EgressTemplate]>>,
    /// Which HTTP it speaks.
    pub protocol: Protocol,
    /// One attempt.
    pub timeout: Duration,
    /// Establishing a connection, TLS included.
    pub connect_timeout: Duration,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Calls in flight over all workers.
    pub in_flight: u32,
    /// Idle connections kept per endpoint and worker.
    pub idle_per_endpoint: u32,
    /// A connection older than this takes no new call.
    pub max_age: Duration,
    /// TLS settings for `https` endpoints.
    pub tls: TlsTemplate,
    /// Fields set on every call.
    pub headers: Vec<(http::HeaderName, HeaderSource, Place)>,
}
