//! One worker's connections to one endpoint: idle ones of HTTP/1.1, last used first, and shared ones of
//! HTTP/2, of which one is opened at a time.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use http::HeaderValue;
use tokio::sync::Notify;

use super::{
    Upstream,
    connect::{self, Opened, Unconnected},
    dial::Dialled,
    endpoint::Endpoint,
    http1, http2,
    pool::{Local, MOST_IDLE, copied, lock},
};
use crate::config::service::Protocol;

pub(super) struct Slot {
    /// The endpoint's `host`, a copy of this worker's.
    pub(super) host: HeaderValue,
    speaks: AtomicU8,
    #[expect(clippy::vec_box, reason = "the box goes round: it watches the answer's body")]
    idle: Mutex<Vec<Box<http1::Connection>>>,
    most_idle: usize,
    shared: Mutex<Shared>,
    /// An attempt to open a shared connection has ended.
    opened: Notify,
}

#[derive(Default)]
struct Shared {
    connections: Vec<Arc<http2::Connection>>,
    opening: bool,
    /// How many attempts have failed, and how the last did.
    failures: u64,
    failure: Option<Unconnected>,
}

/// Not known before the first connection.
const UNKNOWN: u8 = 0;
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;

/// A way to the endpoint for one call.
pub(super) enum Channel {
    Http1(Box<http1::Connection>),
    Http2(http2::Stream),
}

/// What a call wants of its channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// It may upgrade, which only HTTP/1.1 can.
    pub(super) http1: bool,
    /// Not one that another call has used: its predecessor was found closed.
    pub(super) fresh: bool,
}

impl Slot {
    pub(super) fn new(upstream: &Upstream, endpoint: &Endpoint) -> Self {
        let speaks = match upstream.protocol {
            Protocol::Http2 => HTTP2,
            Protocol::Auto if endpoint.secure => UNKNOWN,
            Protocol::Auto | Protocol::Http1 => HTTP1,
        };
        Self {
            host: copied(&endpoint.host_header),
            speaks: AtomicU8::new(speaks),
            idle: Mutex::default(),
            most_idle: upstream.idle_per_endpoint,
            shared: Mutex::default(),
            opened: Notify::new(),
        }
    }

    /// A connection that can take a call at once.
    pub(super) fn ready(&self, local: &Local, want: Want) -> Option<Channel> {
        if want.http1 || self.speaks.load(Relaxed) == HTTP1 {
            if want.fresh { None } else { self.idle_ready(local.now()).map(Channel::Http1) }
        } else {
            let mut shared = lock(&self.shared);
            shared.claim(local).map(Channel::Http2)
        }
    }

    /// A new connection, or a share of the one that is being opened.
    pub(super) async fn acquire(
        local: &Arc<Local>,
        index: usize,
        want: Want,
        dialled: Option<Dialled>,
    ) -> Result<Channel, Unconnected> {
        let slot = &local.slots[index];
        if let Some(dialled) = dialled {
            return slot.opened(local, connect::rehearse(local, dialled).await?);
        }
        if !want.http1 && slot.speaks.load(Relaxed) != HTTP1 {
            return slot.acquire_shared(local, index).await;
        }
        slot.opened(local, connect::open(local, index, want.http1).await?)
    }

    fn opened(&self, local: &Local, opened: Opened) -> Result<Channel, Unconnected> {
        Ok(match opened {
            Opened::Http1(connection) => Channel::Http1(connection),
            Opened::Http2(connection) => self.share(local, connection),
        })
    }

    async fn acquire_shared(&self, local: &Arc<Local>, index: usize) -> Result<Channel, Unconnected> {
        let mut failures = None;
        loop {
            let mut opened = pin!(self.opened.notified());
            opened.as_mut().enable();
            {
                let mut shared = lock(&self.shared);
                if let Some(stream) = shared.claim(local) {
                    return Ok(Channel::Http2(stream));
                }
                // Those who waited for an attempt share its failure.
                if failures.is_some_and(|failures| failures < shared.failures)
                    && let Some(failure) = &shared.failure
                {
                    return Err(failure.clone());
                }
                failures = Some(shared.failures);
                if !shared.opening {
                    shared.opening = true;
                    drop(shared);
                    break;
                }
            }
            opened.await;
            if self.speaks.load(Relaxed) == HTTP1 {
                return match connect::open(local, index, false).await? {
                    Opened::Http1(connection) => Ok(Channel::Http1(connection)),
                    Opened::Http2(connection) => Ok(self.share(local, connection)),
                };
            }
        }
        let _opening = Opening(self);
        match connect::open(local, index, false).await {
            Ok(Opened::Http2(connection)) => Ok(self.share(local, connection)),
            Ok(Opened::Http1(connection)) => {
                self.speaks.store(HTTP1, Relaxed);
                Ok(Channel::Http1(connection))
            }
            Err(error) => {
                let mut shared = lock(&self.shared);
                shared.failures += 1;
                shared.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    fn share(&self, local: &Local, connection: Arc<http2::Connection>) -> Channel {
        self.speaks.store(HTTP2, Relaxed);
        let stream = http2::Stream::first(&connection);
        let mut shared = lock(&self.shared);
        if !local.is_closed() {
            shared.connections.push(connection);
        }
        Channel::Http2(stream)
    }

    /// The last used connection that is still open.
    fn idle_ready(&self, now: u32) -> Option<Box<http1::Connection>> {
        let mut idle = lock(&self.idle);
        loop {
            let mut last = idle.pop()?;
            if !last.is_past(now) && last.is_open() {
                return Some(last);
            }
        }
    }

    /// Takes a connection back after its answer has ended.
    pub(super) fn put(&self, local: &Local, mut connection: Box<http1::Connection>) {
        let now = local.now();
        if connection.is_past(now) {
            return;
        }
        connection.idle_since = now;
        let mut idle = lock(&self.idle);
        // Looked at under the lock, so that `clear` misses none.
        if idle.len() < self.most_idle && !local.is_closed() {
            idle.push(connection);
        }
    }

    pub(super) fn sweep(&self, now: u32) {
        lock(&self.idle).retain_mut(|connection| {
            !connection.is_past(now)
                && now.wrapping_sub(connection.idle_since) < MOST_IDLE
                && connection.is_open()
        });
        lock(&self.shared)
            .connections
            .retain(|connection| connection.takes_calls(now) && connection.idle_for(now) < MOST_IDLE);
    }

    /// Closes what no call uses.
    pub(super) fn clear_idle(&self) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        lock(&self.shared).connections.retain(|connection| !connection.is_idle());
        drop(idle);
    }

    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        let shared = std::mem::take(&mut lock(&self.shared).connections);
        drop((idle, shared));
    }

    /// Connections that wait for a call, and shared ones.
    pub(super) fn pooled(&self) -> (usize, usize) {
        (lock(&self.idle).len(), lock(&self.shared).connections.len())
    }

    pub(super) fn idle(&self) -> usize {
        let idle =
            lock(&self.idle).iter_mut().filter_map(|connection| connection.is_open().then_some(())).count();
        idle + lock(&self.shared).connections.len()
    }
}

/// An attempt to open a shared connection: ends, however it ends, with those who wait woken.
struct Opening<'a>(&'a Slot);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        lock(&self.0.shared).opening = false;
        self.0.opened.notify_waiters();
    }
}

impl Shared {
    fn claim(&mut self, local: &Local) -> Option<http2::Stream> {
        let now = local.now();
        self.connections.retain(|connection| connection.takes_calls(now));
        self.connections.iter().find_map(http2::Stream::claim)
    }
}
