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
    expr::Meter,
    id::RouteId,
    plan::{Endpoint, ErrorRule, Plan, Route},
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
    pub(super) received: AtomicU64,
    /// An unsafe call was sent.
    unsafe_sent: AtomicBool,
    pub(super) common: OnceLock<Common>,
    /// Where not every call may be sent again: for how many there is room below `limits.maxCalls`.
    pub(super) spare: Option<Arc<Spare>>,
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
            received: AtomicU64::new(0),
            unsafe_sent: AtomicBool::new(false),
            common: OnceLock::new(),
            spare,
        };
        (run, body, head.extensions)
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
