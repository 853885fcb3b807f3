//! What an execution has once, however deep its Compositions nest: the request, the deadline, the bounds.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use tokio::time::Instant;

use super::{Call, outgoing::Common, request::Request};
use crate::{
    body::Body,
    content::Content,
    error::Error,
    expr::Meter,
    id::RouteId,
    plan::{Endpoint, ErrorRule, Plan, Route},
    policy::overload::beside,
    problem::Kind,
    telemetry::Exchange,
    upstream::{Spare, Upstream},
};

/// See the module.
pub(super) struct Run {
    pub(super) plan: Arc<Plan>,
    route: RouteId,
    pub(super) upstreams: Arc<[Arc<Upstream>]>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) request: Request,
    pub(super) request_body: OnceLock<Content>,
    /// The request's body where exactly one place streams it.
    pub(super) request_stream: Mutex<Option<Body>>,
    /// When the whole composition ends.
    pub(super) deadline: Instant,
    /// When tolerated steps end.
    pub(super) cut: Instant,
    pub(super) meter: Meter,
    /// Bytes of step answers held.
    received: Received,
    /// An unsafe call was sent.
    unsafe_sent: AtomicBool,
    pub(super) common: OnceLock<Common>,
    /// Where not every call may be sent again: for how many there is room below `limits.maxCalls`.
    pub(super) spare: Option<Arc<Spare>>,
}

/// What the answers of all may hold together of one execution.
const CAP: u64 = 16 * 1024 * 1024;
/// Up to here nobody counts what a unit holds.
const FREE: u64 = 256 * 1024;

/// Bytes that an execution has received and holds until its end.
#[derive(Debug, Default)]
struct Received {
    bytes: AtomicU64,
    /// What of it the unit is charged for.
    charged: AtomicU64,
}

impl Drop for Run {
    fn drop(&mut self) {
        let charged = *self.received.charged.get_mut();
        if charged > 0 {
            beside::of(&self.route().unit).release(charged);
        }
    }
}

impl Run {
    pub(super) fn new(call: Call) -> (Self, Body, http::Extensions) {
        let Call { plan, route, upstreams, exchange, head, captures, body, deadline, timeout } = call;
        let spare = plan.routes[route.index()].spare.map(Spare::new);
        let run = Self {
            plan,
            route,
            upstreams,
            exchange,
            request: Request::new(head.method, head.uri, head.headers, captures),
            request_body: OnceLock::new(),
            request_stream: Mutex::new(None),
            deadline,
            cut: deadline - timeout / 10,
            meter: Meter::default(),
            received: Received::default(),
            unsafe_sent: AtomicBool::new(false),
            common: OnceLock::new(),
            spare,
        };
        (run, body, head.extensions)
    }

    /// Takes more of the services' answers, if the execution and its unit may have it.
    pub(super) fn take(&self, bytes: u64) -> Result<(), Error> {
        let Received { bytes: held, charged } = &self.received;
        let all = held.fetch_add(bytes, Relaxed) + bytes;
        if all > CAP {
            let what = "all answers of the request are larger than 16 MiB";
            return Err(Error::new(Kind::BadPayload).detail(what));
        }
        if all <= FREE {
            return Ok(());
        }
        let before = charged.fetch_max(all, Relaxed);
        if before < all && !beside::of(&self.route().unit).hold(all - before) {
            // What could not be had is not given back at the end.
            charged.fetch_sub(all - before, Relaxed);
            let cause = "the answers that the unit holds take an eighth of the memory";
            return Err(Error::new(Kind::Overloaded).retry_after(1).cause(cause));
        }
        Ok(())
    }

    pub(super) fn route(&self) -> &Route {
        &self.plan.routes[self.route.index()]
    }

    pub(super) fn errors(&self) -> &[ErrorRule] {
        match &self.route().endpoint {
            Endpoint::Compose { errors, .. } | Endpoint::Proxy { errors, .. } => errors,
            Endpoint::Static(_) => &[],
        }
    }

    /// Microseconds since the request's head was complete.
    pub(super) fn micros(&self, at: Instant) -> u64 {
        let since = at.into_std().saturating_duration_since(self.exchange.started);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn note_unsafe_call(&self) {
        self.unsafe_sent.store(true, Relaxed);
    }

    pub(super) fn has_sent_unsafe_call(&self) -> bool {
        self.unsafe_sent.load(Relaxed)
    }
}
