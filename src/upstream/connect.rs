//! From an endpoint to a connection: addresses in turn, TCP, TLS, HTTP.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    Upstream,
    endpoint::{Endpoint, Host},
    heads::Heads,
    http1::{self, Io},
    http2,
    pool::Local,
    socket::Socket,
};
use crate::{config::service::Protocol, descriptors};

/// A connection, and what it speaks.
pub(super) enum Opened {
    Http1(Box<http1::Connection>),
    Http2(Arc<http2::Connection>),
}

/// Why there is no connection; nothing was sent.
#[derive(Clone, Debug)]
pub(super) struct Unconnected {
    pub(super) timed_out: bool,
    /// The gateway has no file descriptor left: no endpoint's fault, and none would fare better.
    pub(super) ours: bool,
    pub(super) cause: Arc<str>,
}

impl Unconnected {
    fn new(cause: impl Into<Arc<str>>) -> Self {
        Self { timed_out: false, ours: false, cause: cause.into() }
    }

    fn late(limit: Duration) -> Self {
        Self { timed_out: true, ours: false, cause: format!("no connection within {limit:?}").into() }
    }

    fn ours(cause: &'static str) -> Self {
        Self { timed_out: false, ours: true, cause: cause.into() }
    }
}

/// Opens a connection to an endpoint. `http1_only` is for upgrades.
pub(super) async fn open(local: &Local, index: usize, http1_only: bool) -> Result<Opened, Unconnected> {
    let upstream = &*local.upstream;
    let endpoint = &upstream.endpoints[index];
    let limit = upstream.connect_timeout;
    let connecting = pin!(establish(local, endpoint, http1_only));
    let opened = match timeout(limit, connecting).await {
        Ok(opened) => opened,
        Err(_) => Err(Unconnected::late(limit)),
    };
    match opened {
        Ok(opened) => {
            local.counters.connect();
            Ok(opened)
        }
        Err(error) => {
            tracing::debug!(upstream = %upstream.name, endpoint = %endpoint.authority, cause = %error.cause, "not connected");
            Err(error)
        }
    }
}

async fn establish(local: &Local, endpoint: &Endpoint, http1_only: bool) -> Result<Opened, Unconnected> {
    let upstream = &*local.upstream;
    let stream = tcp(upstream, endpoint).await?;
    if !endpoint.secure {
        let http2 = upstream.protocol == Protocol::Http2 && !http1_only;
        return speak(local, Io::Plain(stream), http2).await;
    }
    let tls = upstream.tls.as_ref().ok_or_else(|| Unconnected::new("no TLS settings"))?;
    let name = tls.server_name(endpoint).ok_or_else(|| Unconnected::new("the host is no server name"))?;
    let stream = tls
        .connector(http1_only)
        .connect(name, stream)
        .await
        .map_err(|error| Unconnected::new(format!("TLS: {error}")))?;
    let agreed = stream.get_ref().1.alpn_protocol();
    let http2 = agreed == Some(b"h2");
    if upstream.protocol == Protocol::Http2 && !http2 && !http1_only {
        return Err(Unconnected::new("TLS: the peer does not agree on `h2`"));
    }
    speak(local, Io::Tls(Box::new(stream)), http2).await
}

async fn speak(local: &Local, stream: Io, http2: bool) -> Result<Opened, Unconnected> {
    if !http2 {
        return Ok(Opened::Http1(http1::start(stream, local)));
    }
    let opened = http2::start(TokioIo::new(Heads::new(stream)), local).await;
    opened.map(Opened::Http2).map_err(|error| Unconnected::new(format!("HTTP: {error}")))
}

async fn tcp(upstream: &Upstream, endpoint: &Endpoint) -> Result<Socket, Unconnected> {
    const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let Some(taken) = upstream.network.descriptors.calls.take() else {
        return Err(Unconnected::ours("calls have taken all file descriptors that they may"));
    };
    let until = Instant::now() + upstream.connect_timeout;
    let resolved;
    let addresses: &[IpAddr] = match &endpoint.host {
        Host::Ip(ip) => std::slice::from_ref(ip),
        Host::Localhost => &LOCALHOST,
        Host::Name(name) => {
            resolved = upstream
                .network
                .resolver
                .resolve(name)
                .await
                .map_err(|error| Unconnected::new(format!("DNS: {error}")))?;
            &resolved
        }
    };
    // The name's addresses share the load; this machine's two do not.
    let start = match endpoint.host {
        Host::Name(_) => fastrand::usize(..addresses.len()),
        Host::Ip(_) | Host::Localhost => 0,
    };
    let mut failure = Unconnected::new("the name has no address");
    for turn in 0..addresses.len() {
        let address = SocketAddr::new(addresses[(start + turn) % addresses.len()], endpoint.port);
        if let Some(why) = upstream.network.egress.refuses(address) {
            failure = Unconnected::new(format!("{address} is refused: {why}"));
            continue;
        }
        // A silent address leaves time for those after it.
        let left = u32::try_from(addresses.len() - turn).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        failure = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => match ready(upstream, &stream, address) {
                Ok(()) => return Ok(Socket { stream, _taken: taken }),
                Err(error) => error,
            },
            Ok(Err(error)) if descriptors::ran_out(&error) => {
                return Err(Unconnected::ours("the process has no file descriptor left"));
            }
            Ok(Err(error)) => Unconnected::new(format!("{address}: {error}")),
            Err(_) => Unconnected::late(share),
        };
    }
    Err(failure)
}

/// Small writes go out at once, and the other end is not ourselves.
fn ready(upstream: &Upstream, stream: &TcpStream, address: SocketAddr) -> Result<(), Unconnected> {
    let failed = |error: std::io::Error| Unconnected::new(format!("{address}: {error}"));
    stream.set_nodelay(true).map_err(failed)?;
    let local = stream.local_addr().map_err(failed)?;
    let peer = stream.peer_addr().map_err(failed)?;
    // Connecting a port of this machine to itself succeeds once in a while.
    if local == peer || upstream.network.egress.loops(local, peer) {
        return Err(Unconnected::new(format!("{address} is refused: it is a listener of this gateway")));
    }
    Ok(())
}
