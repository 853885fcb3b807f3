//! `kind: Gateway`: listeners, admin, limits, draining.

use std::{net::SocketAddr, time::Duration};

use super::{Metadata, Spanned};

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
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerTemplate {
    /// `name`, unique.
    pub name: Spanned<String>,
    /// `address`, with `{env, default}` resolved by [`AddressTemplate`].
    pub address: Spanned<AddressTemplate>,
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
    /// `maxConnections` (20000)
    pub max_connections: u32,
}
