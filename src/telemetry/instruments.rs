//! The process's own series, and those of routes and services as generations come and go. Handles are
//! resolved when a gateway is built.
//!
//! Labels come from the configuration and from closed tables, never from a client.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram};

use super::{
    Abort, CompositionInfo, EndpointInfo, Exchange, Generation, Record, Refusal, RequestError, RouteInfo,
    RouteInstruments, ServiceInstruments, Verb, generation,
    handshake::Handshakes,
    ledger::{Lease, Ledger},
    metric::{
        CONNECTIONS, CONNECTIONS_MOST, CONNECTIONS_PAUSES, CUSTODY, GENERATION, HTTP2_REFUSALS, RELOADS,
        SERVER_ACTIVE, STREAMS, TELEMETRY_DROPPED, TELEMETRY_EXPORTS, TUNNELS, UNIT_STATE, UPSTREAM_BUDGET,
        UPSTREAM_CALLS, UPSTREAM_CONNECTIONS, UPSTREAM_CONNECTS, UPSTREAM_ENDPOINTS, UPSTREAM_FAILURES,
        UPSTREAM_IN_FLIGHT, UPSTREAM_RESENDS, UPSTREAM_REUSES, UPSTREAM_SHED, UPSTREAM_UNRETRIED, WORKER_LAG,
    },
    registry::{Registry, Snapshot},
    rest::Told,
    route,
    sinks::{Handed, Sinks},
};
use crate::problem::Fault;

/// The process's instruments.
#[derive(Debug)]
pub struct Instruments {
    registry: Arc<Registry>,
    routes: Ledger<route::DurationKey>,
    services: Ledger<generation::Key>,
    /// By method, then plain and secure.
    active: [[Gauge; 2]; Verb::ALL.len()],
    /// Open connections of clients.
    pub connections: Gauge,
    /// Requests under way over HTTP/2.
    pub streams: Gauge,
    /// Upgraded connections that are open.
    pub tunnels: Gauge,
    /// Executions that outlive their request.
    pub custody: Gauge,
    /// TLS of clients.
    pub handshakes: Handshakes,
    /// The generation that serves.
    pub generation: Gauge,
    reloads_applied: Counter,
    reloads_rejected: Counter,
    /// Parallel to [`Refusal::ALL`].
    refusals: [Counter; Refusal::ALL.len()],
    unrouted: RouteInstruments,
    ends: AtomicBool,
    /// Where ended requests go besides.
    pub sinks: ArcSwap<Sinks>,
}

/// What an upstream counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the help text of each metric says it")]
pub enum UpstreamCount {
    Calls,
    Connects,
    Reuses,
    Resends,
    Failures,
    Unretried,
    Shed,
}

/// How an upstream is now; the help text of each metric says what is what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "see above")]
pub struct UpstreamState {
    pub in_flight: u32,
    pub idle: u32,
    pub shared: u32,
    pub usable: u32,
    pub avoided: u32,
    pub retries_left: u32,
}

/// What is handed to a collector, or to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its name")]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
    AccessLog,
}

// === impl Signal ===

impl Signal {
    /// Its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::AccessLog => "access_log",
        }
    }
}

// === impl Instruments ===

impl Instruments {
    /// Registers the process's own series.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        let reloads = |result: &str| registry.counter(&RELOADS, &[result]);
        let refusal =
            |refusal: Refusal| registry.counter(&HTTP2_REFUSALS, &[refusal.as_str(), Fault::Client.as_str()]);
        let active = |verb: Verb| {
            ["http", "https"].map(|scheme| registry.gauge(&SERVER_ACTIVE, &[verb.as_str(), scheme]))
        };
        let unrouted = (Lease::endless(&registry), Arc::default());
        Self {
            routes: Ledger::default(),
            services: Ledger::default(),
            active: Verb::ALL.map(active),
            connections: registry.gauge(&CONNECTIONS, &[]),
            streams: registry.gauge(&STREAMS, &[]),
            tunnels: registry.gauge(&TUNNELS, &[]),
            custody: registry.gauge(&CUSTODY, &[]),
            generation: registry.gauge(&GENERATION, &[]),
            handshakes: Handshakes::new(&registry),
            reloads_applied: reloads("applied"),
            reloads_rejected: reloads("rejected"),
            refusals: Refusal::ALL.map(refusal),
            unrouted: RouteInstruments::new(unrouted, Arc::default(), RouteInfo::default(), &Arc::default()),
            ends: AtomicBool::new(false),
            sinks: ArcSwap::default(),
            registry,
        }
    }

    /// What the routes of a generation share. Services with their endpoints, Compositions with their steps,
    /// both in the order of their ids.
    #[must_use]
    pub fn generation(
        &self,
        number: u64,
        services: impl Iterator<Item = (Arc<str>, Vec<EndpointInfo>)>,
        compositions: impl Iterator<Item = CompositionInfo>,
    ) -> Arc<Generation> {
        let services =
            services.map(|(name, at)| ServiceInstruments::new(&self.registry, &self.services, &name, at));
        Arc::new(Generation { number, services: services.collect(), compositions: compositions.collect() })
    }

    /// The instruments of a route; the same names give the same series in every generation.
    #[must_use]
    pub fn route(&self, info: RouteInfo, generation: &Arc<Generation>) -> Arc<RouteInstruments> {
        let floor = self.sinks.load().keep.floor(&info.name);
        let (lease, sets) =
            self.routes.enter(&self.registry, &info.name, std::iter::once((*info.path).into()));
        Arc::new(RouteInstruments::new((lease, Arc::clone(&sets[0])), floor, info, generation))
    }

    /// Forgets the series of routes that no longer exist. What of them ends later counts in none.
    pub fn retain_routes(&self, exists: impl Fn(&str) -> bool) {
        self.routes.retain(&exists);
        self.registry.retain("route", |route| route.is_empty() || exists(route));
    }

    /// The same of services.
    pub fn retain_services(&self, exists: impl Fn(&str) -> bool) {
        self.services.retain(&exists);
        self.registry.retain("service", |service| service.is_empty() || exists(service));
    }

    /// Forgets the series of issuers of tokens that no longer exist.
    pub fn retain_issuers(&self, exists: impl Fn(&str) -> bool) {
        self.registry.retain("issuer", exists);
    }

    /// Counts a connection or a stream of a client that was cut.
    pub fn refused(&self, refusal: Refusal) {
        self.refusals[refusal as usize].increment(1);
    }

    /// Counts a reload.
    pub fn reloaded(&self, applied: bool) {
        if applied { self.reloads_applied.increment(1) } else { self.reloads_rejected.increment(1) }
    }

    /// Counts items that nobody gets.
    pub fn dropped(&self, signal: Signal, items: u64) {
        self.registry.counter(&TELEMETRY_DROPPED, &[signal.as_str()]).increment(items);
    }

    /// Counts an attempt to hand over a batch.
    pub fn exported(&self, signal: Signal, result: &str) {
        self.registry.counter(&TELEMETRY_EXPORTS, &[signal.as_str(), result]).increment(1);
    }

    /// What counts requests that are shed.
    #[must_use]
    pub fn shed(&self) -> super::Shed {
        super::Shed::new(&self.registry)
    }

    /// How late a worker comes to what is due.
    pub fn lag(&self, worker: usize) -> Histogram {
        self.registry.histogram(&WORKER_LAG, &[&worker.to_string()])
    }

    /// Says which state each unit is in; others are forgotten.
    pub fn units<'a>(&self, units: impl Iterator<Item = (&'a str, &'a str)>) {
        let units: Vec<_> = units.collect();
        self.registry.clear(&UNIT_STATE);
        for (unit, state) in units {
            self.registry.gauge(&UNIT_STATE, &[unit, state]).set(1.0);
        }
    }

    /// Copies an upstream's own counters, at a scrape.
    pub fn upstream(&self, service: &str, state: UpstreamState, counts: &[(UpstreamCount, u64)]) {
        self.registry.gauge(&UPSTREAM_IN_FLIGHT, &[service]).set(f64::from(state.in_flight));
        self.registry.gauge(&UPSTREAM_BUDGET, &[service]).set(f64::from(state.retries_left));
        for (metric, word, value) in [
            (&UPSTREAM_CONNECTIONS, "idle", state.idle),
            (&UPSTREAM_CONNECTIONS, "shared", state.shared),
            (&UPSTREAM_ENDPOINTS, "usable", state.usable),
            (&UPSTREAM_ENDPOINTS, "avoided", state.avoided),
        ] {
            self.registry.gauge(metric, &[service, word]).set(f64::from(value));
        }
        for (count, value) in counts {
            let metric = match count {
                UpstreamCount::Calls => &UPSTREAM_CALLS,
                UpstreamCount::Connects => &UPSTREAM_CONNECTS,
                UpstreamCount::Reuses => &UPSTREAM_REUSES,
                UpstreamCount::Resends => &UPSTREAM_RESENDS,
                UpstreamCount::Failures => &UPSTREAM_FAILURES,
                UpstreamCount::Unretried => &UPSTREAM_UNRETRIED,
                UpstreamCount::Shed => &UPSTREAM_SHED,
            };
            self.registry.counter(metric, &[service]).absolute(*value);
        }
    }

    /// What bounds connections of clients, and how often that and the want of memory did, at a scrape.
    pub fn clients(&self, most: usize, full: usize, memory: usize) {
        self.registry.gauge(&CONNECTIONS_MOST, &[]).set(most as f64);
        for (reason, pauses) in [("limit", full), ("memory", memory)] {
            self.registry.counter(&CONNECTIONS_PAUSES, &[reason]).absolute(pauses as u64);
        }
    }

    /// What queues have dropped, and what the system says of the process, at a scrape.
    pub fn process(&self) {
        for (signal, dropped) in self.sinks.load().take_dropped() {
            if dropped > 0 {
                self.dropped(signal, dropped);
            }
        }
        super::process::read(&self.registry);
    }

    /// Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        self.registry.render()
    }

    /// Everything, for a collector.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Snapshot> {
        self.registry.snapshot()
    }

    /// Since when it counts.
    #[must_use]
    pub fn since(&self) -> std::time::SystemTime {
        self.registry.since
    }

    /// From here on what is cut is cut because the process ends.
    pub fn end(&self) {
        self.ends.store(true, Relaxed);
    }

    pub(super) fn ends(&self) -> bool {
        self.ends.load(Relaxed)
    }

    pub(super) fn began(&self, exchange: &Exchange) {
        self.active(exchange).increment(1.0);
        if exchange.version == http::Version::HTTP_2 {
            self.streams.increment(1.0);
        }
    }

    pub(super) fn ended(&self, exchange: &Exchange) {
        self.active(exchange).decrement(1.0);
        if exchange.version == http::Version::HTTP_2 {
            self.streams.decrement(1.0);
        }
    }

    fn active(&self, exchange: &Exchange) -> &Gauge {
        &self.active[Verb::from(&exchange.method) as usize][usize::from(exchange.scheme == "https")]
    }

    /// A request whose answer has lasted for a while.
    pub(super) fn goes_on(&self, exchange: &Exchange, record: &Record) {
        self.line(exchange, record, "streaming");
    }

    /// An upgraded connection that is open for a while, or is no more; `received` and `sent` are what passed
    /// on it from and to the client.
    pub fn tunnel(&self, exchange: &Exchange, (received, sent): (u64, u64), closed: bool) {
        let mut record = exchange.record();
        (record.received, record.sent) = (received, sent);
        self.line(exchange, &record, if closed { "closed" } else { "streaming" });
    }

    fn line(&self, exchange: &Exchange, record: &Record, outcome: &'static str) {
        let us = exchange.micros(tokio::time::Instant::now().into_std());
        self.sinks.load().line(exchange, record, us, outcome);
    }

    pub(super) fn finished(
        &self,
        exchange: &Exchange,
        record: &Record,
        us: u64,
        aborted: Option<Abort>,
    ) -> Handed {
        let route = record.route.as_deref().unwrap_or(&self.unrouted);
        route.finished(exchange, record, us, aborted);
        route.generation.finished(record, 0, us);
        self.sinks.load().finished(exchange, record, us, aborted)
    }

    /// What the execution of a request did after that was told: when it ended, and why it failed.
    pub(super) fn rest(
        &self,
        exchange: &Exchange,
        record: &Record,
        told: &Told,
        end: (u64, Option<RequestError>),
    ) {
        let route = record.route.as_deref().unwrap_or(&self.unrouted);
        route.rest(record, told.since, end);
        route.generation.finished(record, told.since.calls, end.0);
        self.sinks.load().rest(exchange, record, told, end);
    }
}
