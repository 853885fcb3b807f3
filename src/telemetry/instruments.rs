//! Every metric by name, with its help and labels. Handles are resolved when a gateway is built.
//!
//! Labels come from the configuration and from closed tables, never from a client.

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Histogram};

use super::{Record, Refusal, handshake::Handshakes, registry::Registry};
use crate::problem::{Fault, Kind};

/// The process's instruments.
#[derive(Debug)]
pub struct Instruments {
    registry: Arc<Registry>,
    /// Requests between head and the end of the answer.
    pub in_flight: Gauge,
    /// Open connections of clients.
    pub connections: Gauge,
    /// TLS of clients.
    pub handshakes: Handshakes,
    /// The generation that serves.
    pub generation: Gauge,
    reloads_applied: Counter,
    reloads_rejected: Counter,
    /// Parallel to [`Refusal::ALL`].
    refusals: [Counter; Refusal::ALL.len()],
    unrouted: RouteInstruments,
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
}

/// A route's instruments.
#[derive(Debug)]
pub struct RouteInstruments {
    /// By class of status, from 1xx to 5xx.
    requests: [Counter; 5],
    duration: Histogram,
    sent: Counter,
    degraded: Counter,
    /// By fault: the client's, the upstream's.
    aborted: [Counter; 2],
    /// Parallel to [`Kind::ALL`]; registered when one first happens, so that ten thousand routes do not
    /// carry thirty empty series each.
    failures: Box<[OnceLock<Counter>]>,
    registry: Arc<Registry>,
    labels: [String; 2],
    /// Per step: ok, failed, skipped.
    steps: Box<[[Counter; 3]]>,
    step_duration: Box<[Histogram]>,
}

const ROUTE_FAMILIES: [&str; 7] = [
    "segue_requests_total",
    "segue_request_duration_seconds",
    "segue_response_body_bytes_total",
    "segue_degraded_total",
    "segue_aborted_total",
    "segue_failures_total",
    "segue_steps_total",
];

// === impl Instruments ===

impl Instruments {
    /// Registers the process's own series.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        let reloads = |result: &str| {
            registry.counter("segue_reloads_total", "Reloads by result.", vec![("result", result.to_owned())])
        };
        let refusal = |refusal: Refusal| {
            registry.counter(
                "segue_http2_refusals_total",
                "HTTP/2 connections and streams of clients that were cut before there was a request to answer.",
                vec![("reason", refusal.as_str().to_owned()), ("fault", "client".to_owned())],
            )
        };
        Self {
            in_flight: registry.gauge("segue_requests_in_flight", "Requests being answered.", Vec::new()),
            connections: registry.gauge("segue_connections", "Open connections of clients.", Vec::new()),
            handshakes: Handshakes::new(&registry),
            generation: registry.gauge("segue_generation", "The generation that serves.", Vec::new()),
            reloads_applied: reloads("applied"),
            reloads_rejected: reloads("rejected"),
            refusals: Refusal::ALL.map(refusal),
            unrouted: RouteInstruments::new(&registry, "", "", &[]),
            registry,
        }
    }

    /// The instruments of a route; the same names give the same series in every generation.
    #[must_use]
    pub fn route(&self, unit: &str, name: &str, steps: &[Arc<str>]) -> Arc<RouteInstruments> {
        Arc::new(RouteInstruments::new(&self.registry, unit, name, steps))
    }

    /// Forgets the series of routes that no longer exist.
    pub fn retain_routes(&self, exists: impl Fn(&str) -> bool) {
        for family in ROUTE_FAMILIES.iter().chain(&["segue_step_duration_seconds"]) {
            self.registry.retain(family, |labels| {
                labels.iter().all(|(label, value)| *label != "route" || value.is_empty() || exists(value))
            });
        }
    }

    /// Counts a connection or a stream of a client that was cut.
    pub fn refused(&self, refusal: Refusal) {
        self.refusals[refusal as usize].increment(1);
    }

    /// Counts a reload.
    pub fn reloaded(&self, applied: bool) {
        if applied { self.reloads_applied.increment(1) } else { self.reloads_rejected.increment(1) }
    }

    /// Copies an upstream's own counters, at a scrape.
    pub fn upstream(&self, service: &str, in_flight: u32, counts: &[(UpstreamCount, u64)]) {
        let labels = || vec![("service", service.to_owned())];
        self.registry
            .gauge("segue_upstream_in_flight", "Calls under way, streaming answers included.", labels())
            .set(f64::from(in_flight));
        for (count, value) in counts {
            let (name, help) = match count {
                UpstreamCount::Calls => ("segue_upstream_calls_total", "Calls sent."),
                UpstreamCount::Connects => ("segue_upstream_connects_total", "Connections made."),
                UpstreamCount::Reuses => ("segue_upstream_reuses_total", "Calls on a pooled connection."),
                UpstreamCount::Resends => (
                    "segue_upstream_resends_total",
                    "Calls sent again because their pooled connection was closed.",
                ),
                UpstreamCount::Failures => ("segue_upstream_failures_total", "Calls without an answer."),
            };
            self.registry.counter(name, help, labels()).absolute(*value);
        }
    }

    /// Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        self.registry.render()
    }

    pub(super) fn finished(&self, record: &Record, seconds: f64, aborted: Option<Fault>) {
        record.route.as_deref().unwrap_or(&self.unrouted).finished(record, seconds, aborted);
    }
}

// === impl RouteInstruments ===

impl RouteInstruments {
    /// `unit/name` of the route.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.labels[1]
    }

    fn new(registry: &Arc<Registry>, unit: &str, route: &str, steps: &[Arc<str>]) -> Self {
        let labels = |more: &[(&'static str, &str)]| {
            let mut labels = vec![("unit", unit.to_owned()), ("route", route.to_owned())];
            labels.extend(more.iter().map(|(label, value)| (*label, (*value).to_owned())));
            labels
        };
        let requests = |class| {
            registry.counter(
                ROUTE_FAMILIES[0],
                "Requests by class of status; without a route: refused before routing.",
                labels(&[("status", class)]),
            )
        };
        let step = |step: &str, outcome| {
            registry.counter(
                ROUTE_FAMILIES[6],
                "Settled steps by outcome.",
                labels(&[("step", step), ("outcome", outcome)]),
            )
        };
        Self {
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(requests),
            duration: registry.seconds(
                ROUTE_FAMILIES[1],
                "From the request's head to the answer's last byte.",
                labels(&[]),
            ),
            sent: registry.counter(ROUTE_FAMILIES[2], "Bytes of answers' bodies.", labels(&[])),
            degraded: registry.counter(
                ROUTE_FAMILIES[3],
                "Answers that lack a part whose failure was tolerated.",
                labels(&[]),
            ),
            aborted: [Fault::Client, Fault::Upstream].map(|fault| {
                registry.counter(
                    ROUTE_FAMILIES[4],
                    "Requests whose answer did not end: the client left, or what it was made of broke off.",
                    labels(&[("fault", fault.as_str())]),
                )
            }),
            failures: Kind::ALL.iter().map(|_| OnceLock::new()).collect(),
            labels: [unit.to_owned(), route.to_owned()],
            registry: Arc::clone(registry),
            steps: steps
                .iter()
                .map(|name| [step(name, "ok"), step(name, "failed"), step(name, "skipped")])
                .collect(),
            step_duration: steps
                .iter()
                .map(|name| {
                    registry.seconds(
                        "segue_step_duration_seconds",
                        "From a step's start until it settled.",
                        labels(&[("step", name)]),
                    )
                })
                .collect(),
        }
    }

    fn failure(&self, kind: Kind) -> Counter {
        let [unit, route] = self.labels.clone();
        let labels = vec![
            ("unit", unit),
            ("route", route),
            ("code", kind.code().to_owned()),
            ("fault", kind.fault().as_str().to_owned()),
        ];
        self.registry.counter(ROUTE_FAMILIES[5], "Failures by code and fault.", labels)
    }

    fn finished(&self, record: &Record, seconds: f64, aborted: Option<Fault>) {
        if let Some(status) = record.status {
            let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
            self.requests[class].increment(1);
        }
        self.duration.record(seconds);
        self.sent.increment(record.sent);
        if !record.degraded.is_empty() {
            self.degraded.increment(1);
        }
        if let Some(fault) = aborted {
            self.aborted[usize::from(fault != Fault::Client)].increment(1);
        }
        if let Some(kind) = record.failure {
            self.failures[kind as usize].get_or_init(|| self.failure(kind)).increment(1);
        }
        for step in &record.steps {
            let index = usize::from(step.step);
            let outcome = ["ok", "failed", "skipped"].iter().position(|known| *known == step.outcome);
            if let (Some(counters), Some(outcome)) = (self.steps.get(index), outcome) {
                counters[outcome].increment(1);
            }
            if let Some(histogram) = self.step_duration.get(index).filter(|_| step.outcome != "skipped") {
                histogram.record(step.ended_us.saturating_sub(step.started_us) as f64 / 1e6);
            }
        }
    }
}
