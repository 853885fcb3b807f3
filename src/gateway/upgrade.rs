//! Protocol upgrades of HTTP/1.1 (RFC 9110 §7.8): WebSocket and its like, tunnelled after the 101. What a
//! client opens over HTTP/2 (RFC 8441) has been made one of these before it gets here.
//!
//! Nothing is tunnelled before the upstream has agreed, and `h2c` is never asked for: it would carry
//! requests that nobody has looked at.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use tokio::sync::Notify;

use super::tunnel::{self, Patience};
use crate::{
    body::Body,
    duplex::Promise,
    telemetry::{Exchange, Instruments},
    upstream::switched,
};

/// Open tunnels of a worker, which draining awaits.
#[derive(Debug, Default)]
pub struct Tunnels {
    open: AtomicUsize,
    closed: Notify,
}

/// What a client wants to speak instead, and its end of the connection once both have agreed.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    protocol: HeaderValue,
    client: Promise,
    exchange: Option<Arc<Exchange>>,
}

/// `protocol-name["/"version]` (RFC 9110 §7.8), but for HTTP/2, whatever version is said of it.
fn may_be_asked_for(protocol: &[u8]) -> bool {
    let mut parts = protocol.trim_ascii().split(|byte| *byte == b'/');
    let token = |part: &[u8]| !part.is_empty() && HeaderName::from_bytes(part).is_ok();
    let name = parts.next().unwrap_or_default();
    token(name)
        && !name.eq_ignore_ascii_case(b"h2c")
        && parts.next().is_none_or(token)
        && parts.next().is_none()
}

// === impl Tunnels ===

impl Tunnels {
    /// Waits until none is open.
    pub async fn drained(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open.load(Ordering::Relaxed) == 0 {
                return;
            }
            closed.await;
        }
    }
}

struct Tunnel(Arc<Tunnels>, Arc<Instruments>);

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.1.tunnels.decrement(1.0);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.closed.notify_waiters();
    }
}

// === impl Wanted ===

impl Wanted {
    /// What the request asks for, if it is an upgrade that passes. To be called before hop-by-hop
    /// fields are removed.
    pub(super) fn of(request: &mut Request<Body>) -> Option<Self> {
        let headers = request.headers();
        let protocol = headers.get(header::UPGRADE)?;
        if !names_upgrade(headers) || !protocol.as_bytes().split(|byte| *byte == b',').all(may_be_asked_for) {
            return None;
        }
        let protocol = protocol.clone();
        let client = request.extensions_mut().remove::<Promise>()?;
        Some(Self { protocol, client, exchange: None })
    }

    /// Asks the upstream; to be called after hop-by-hop fields were removed.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, self.protocol.clone());
    }

    /// Keeps what the request holds, a place of a limit for example, as long as its tunnel lasts.
    pub(super) fn keep(&mut self, exchange: &Arc<Exchange>) {
        self.exchange = Some(Arc::clone(exchange));
    }

    /// What the upstream has changed to, by its answer: nothing that was not asked for (RFC 9110 §7.8).
    pub(super) fn agreed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut lines = headers.get_all(header::UPGRADE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let members = |line| HeaderValue::as_bytes(line).split(|b| *b == b',').map(<[u8]>::trim_ascii);
        let asked = |one: &[u8]| members(&self.protocol).any(|other| other.eq_ignore_ascii_case(one));
        members(line).all(|one| !one.is_empty() && asked(one)).then(|| line.clone())
    }

    /// Connects both ends if the upstream has changed to this protocol.
    pub(super) fn conclude(
        self,
        response: &mut Response<Body>,
        protocol: HeaderValue,
        tunnels: &Arc<Tunnels>,
        instruments: &Arc<Instruments>,
        patience: Patience,
    ) {
        let upstream = switched(response);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(header::UPGRADE, protocol);
        tunnels.open.fetch_add(1, Ordering::Relaxed);
        instruments.tunnels.increment(1.0);
        let open = Tunnel(Arc::clone(tunnels), Arc::clone(instruments));
        let told = Arc::clone(instruments);
        let (client, exchange) = (self.client, self.exchange);
        tokio::spawn(async move {
            if let (Some(upstream), Some(client)) = (upstream, client.wait().await) {
                let tell = |passed, closed| {
                    if let Some(exchange) = &exchange {
                        told.tunnel(exchange, passed, closed);
                    }
                };
                tunnel::run(client, upstream, patience, tell).await;
            }
            drop((exchange, open));
        });
    }
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|line| {
        line.as_bytes().split(|b| *b == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    })
}
