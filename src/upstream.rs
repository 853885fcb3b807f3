//! Calls to services: endpoints, connections, pools.
//!
//! [`Upstreams`] is one worker's: idle connections are its own, so that no call crosses a core. What
//! bounds a service over all workers ([`Upstream`]: calls in flight, endpoint load) is atomics. A
//! call's way: `balance` picks an endpoint, `pool` has a connection or `connect` makes one,
//! `http1` or `http2` carries it, and the answer's body brings the connection back.
//!
//! Absent on purpose: redirects, cookies, decompression, and any retry but the one of a call whose
//! pooled connection was found closed.

mod added;
mod balance;
mod budget;
mod build;
mod connect;
mod copy;
mod counters;
pub mod dial;
mod dns;
mod egress;
mod endpoint;
mod failure;
mod heads;
mod http1;
mod http2;
mod pool;
pub mod secret;
mod send;
mod slot;
mod socket;
mod tls;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response};

use crate::{
    body::Body,
    config::service::{AssetType, Balance, Protocol},
    descriptors::Descriptors,
    error::Error,
    problem::Kind,
    telemetry::{EndpointInfo, Trail},
};

pub use added::Added;
pub use budget::Budget;
pub use counters::Counts;
pub use dns::Resolver;
pub use egress::Egress;
pub use failure::broken_body;
pub use http1::switched;
pub use pool::Upstreams;

pub use tls::secure;

use counters::Tally;
use endpoint::Endpoint;

/// What all upstreams of a process share.
#[derive(Debug)]
pub struct Network {
    /// Names to addresses.
    pub resolver: Arc<Resolver>,
    /// Addresses that no call may reach.
    pub egress: Egress,
    /// Of which every connection takes one.
    pub descriptors: Descriptors,
    /// Stands in for the network; none where calls are served.
    pub dialer: Option<Arc<dyn dial::Dialer>>,
}

impl Network {
    /// The system's resolver; no listener of the gateway is known yet.
    #[must_use]
    pub fn system(descriptors: Descriptors) -> Self {
        Self { resolver: Arc::new(Resolver::system()), egress: Egress::default(), descriptors, dialer: None }
    }
}

/// A service as the gateway runs it: shared by all workers, replaced by a reload that changes it.
pub struct Upstream {
    /// `unit/name`
    pub name: Arc<str>,
    /// Its type: no forwarding headers go to an external one.
    pub asset: AssetType,
    /// The service's own bound of one attempt.
    pub timeout: Duration,
    /// Which place of each worker's table it has.
    seat: pool::Seat,
    /// Of everything that was resolved to build it.
    fingerprint: u64,
    /// By priority.
    endpoints: Box<[Endpoint]>,
    /// An endpoint has a path prefix.
    prefixed: bool,
    protocol: Protocol,
    balance: Balance,
    /// The next of the round.
    turn: AtomicU32,
    connect_timeout: Duration,
    in_flight: u32,
    idle_per_endpoint: usize,
    /// In ticks of a worker's clock.
    max_age: u32,
    tls: Option<tls::Settings>,
    headers: Box<[(HeaderName, HeaderValue)]>,
    network: Arc<Network>,
    /// What retries of steps may add to its calls: 20 % of them, and 3 per second.
    pub retries: Budget,
    /// A reload took it away: connections are not kept.
    retired: AtomicBool,
    /// One set per worker that has called it.
    counters: Arc<Mutex<Tally>>,
    /// The same service as generations before had it, as long as calls go on with it.
    before: Vec<Weak<Self>>,
}

/// How a service is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Calls under way, answers still streaming included, those of generations before too.
    pub in_flight: u32,
    /// Endpoints.
    pub endpoints: u32,
    /// Those that come last, because no connection to them could be made a moment ago.
    pub avoided: u32,
    /// Retries that the budget has room for.
    pub retries_left: u32,
    /// Retries that it had no room for, so far.
    pub retries_refused: u64,
}

impl Upstream {
    /// Whether the other one was built from the same settings, secrets and certificates, so that a
    /// reload keeps this one with its connections.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.name == other.name
    }

    /// Whether somebody stands in for the network, who wants to know which step calls.
    #[must_use]
    pub fn is_rehearsed(&self) -> bool {
        self.network.dialer.is_some()
    }

    /// Where it can be reached, in the order in which calls number its endpoints.
    #[must_use]
    pub fn addresses(&self) -> Vec<EndpointInfo> {
        self.endpoints.iter().map(Endpoint::info).collect()
    }

    /// Calls that are under way, answers still streaming included, over all workers.
    #[must_use]
    pub fn calls_in_flight(&self) -> u32 {
        self.endpoints.iter().map(Endpoint::load).sum()
    }

    /// What it has done so far, over all workers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        pool::lock(&self.counters).counts()
    }

    /// How it is now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let before = self.before.iter().filter_map(Weak::upgrade);
        Standing {
            in_flight: self.calls_in_flight() + before.map(|before| before.calls_in_flight()).sum::<u32>(),
            endpoints: u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX),
            avoided: balance::avoided(&self.endpoints),
            retries_left: self.retries.left(),
            retries_refused: self.retries.refused(),
        }
    }

    /// Goes on from what the same service has counted before a reload changed it.
    #[must_use]
    pub fn after(mut self, before: &Arc<Self>) -> Self {
        self.counters = Arc::clone(&before.counters);
        self.retries = self.retries.after(&before.retries);
        self.before = before.before.iter().filter(|before| before.strong_count() > 0).cloned().collect();
        self.before.push(Arc::downgrade(before));
        self
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No header values: they may be secrets.
        f.debug_struct("Upstream")
            .field("name", &self.name)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// One call.
#[derive(Debug)]
pub struct Outgoing {
    /// The request. Its URI is path and query only (the endpoint's prefix is put before it);
    /// `host` is set by the upstream unless present, and so are the service's own `headers`, which win.
    pub request: Request<Body>,
    /// Fields that the gateway adds. The service's own win over them.
    pub added: Added,
    /// It only reads ([`crate::plan::call::reads`] or an operation that is `safe`): it may be sent again when a
    /// pooled connection was found closed, even if bytes were written. A body that streams is never sent again.
    pub safe: bool,
    /// Until the response head. The caller bounds the body.
    pub timeout: Duration,
    /// What it is when that is over: [`Kind::UpstreamTimeout`], or [`Kind::DeadlineExceeded`] where it is the
    /// caller's time that ends and not the call's own. Nobody blames a service for that.
    pub overdue: Kind,
    /// What a resend that the origin may see as a second call is taken from; each call has its one when absent.
    pub spare: Option<Arc<Spare>>,
    /// Where it is noted how the call goes.
    pub trail: Option<Trail>,
}

/// How many calls of one request an origin may still see twice, because their pooled connection was found
/// closed after bytes were written.
#[derive(Debug)]
pub struct Spare(AtomicU32);

impl Spare {
    /// So many.
    #[must_use]
    pub fn new(calls: u32) -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(calls)))
    }

    fn take(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl Outgoing {
    /// The request with what the gateway adds in its fields.
    #[must_use]
    pub fn into_request(self) -> Request<Body> {
        let Self { mut request, added, .. } = self;
        added.insert_into(request.headers_mut());
        request
    }
}

/// The seam between execution and network; tests implement it without a socket.
pub trait Caller: Send + Sync {
    /// Sends a call. The answer's body returns its connection to the pool when it ends.
    fn send(
        &self,
        to: &Arc<Upstream>,
        call: Outgoing,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send;
}
