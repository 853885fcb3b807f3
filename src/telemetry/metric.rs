//! Every metric: its OpenTelemetry name, unit, help and labels. Prometheus names are made of these by the
//! rules of OpenTelemetry's compatibility page.

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with dots.
    pub name: &'static str,
    /// UCUM; in braces what has no unit.
    pub unit: &'static str,
    /// How it counts.
    pub kind: MetricKind,
    /// One sentence.
    pub help: &'static str,
    /// Its attributes, with dots.
    pub labels: &'static [&'static str],
}

/// How a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Only grows, and is counted in millionths.
    MicroCounter,
    /// A sum that grows and shrinks.
    UpDown,
    /// A value.
    Gauge,
    /// Durations.
    Histogram,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal $unit:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $constant: Metric = Metric {
                name: $name,
                unit: $unit,
                kind: MetricKind::$kind,
                help: $help,
                labels: &[$($label),*],
            };
        )*
        /// Every metric.
        pub static ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    SERVER_DURATION = Histogram "http.server.request.duration" "s"
        ["http.request.method", "http.response.status_code", "http.route", "url.scheme",
         "network.protocol.version", "error.type", "otel.metric.overflow", "unit", "route"]
        "From the request's head to the answer's last byte; without a route: refused before one was found.";
    SERVER_ACTIVE = UpDown "http.server.active_requests" "{request}" ["http.request.method", "url.scheme"]
        "Requests between their head and the end of their answer.";
    CLIENT_DURATION = Histogram "http.client.request.duration" "s"
        ["http.request.method", "http.response.status_code", "url.scheme", "server.address", "server.port",
         "network.protocol.version", "error.type", "otel.metric.overflow", "service"]
        "From the start of an attempt to the end of its answer, also where that is streamed to the client.";
    REQUESTS = Counter "segue.requests" "{request}" ["unit", "route", "outcome"]
        "Requests by how they ended.";
    REQUEST_BYTES = Counter "segue.request.bytes" "By" ["unit", "route"]
        "Bytes of requests' bodies.";
    RESPONSE_BYTES = Counter "segue.response.bytes" "By" ["unit", "route"]
        "Bytes of answers' bodies.";
    FAILURES = Counter "segue.failures" "{request}" ["unit", "route", "code", "fault"]
        "Requests that were refused or failed, by code and fault.";
    REFUSALS = Counter "segue.refusals" "{request}" ["unit", "route", "policy", "code"]
        "Requests that were refused, by what refused them.";
    RULE_ERRORS = Counter "segue.rule.errors" "{rule}" ["unit", "route"]
        "Rules of `authorize` that could not be evaluated, and denied for that reason.";
    SHED = Counter "segue.shed" "{request}" ["reason", "priority"]
        "Requests that were shed: the gateway could not keep up (`work`) or was short of `memory`.";
    ABORTED = Counter "segue.aborted" "{request}" ["unit", "route", "code", "fault"]
        "Requests whose answer did not end: the client left, or what it was made of broke off.";
    LATE = Counter "segue.late" "{execution}" ["unit", "route", "outcome", "code"]
        "Executions that went on after their client had the answer, or had left, because of an unsafe call, by how they ended.";
    DEGRADED = Counter "segue.degraded" "{request}" ["unit", "route", "step"]
        "Answers that lack this step or a part of it, whose failure was tolerated.";
    STEPS = Counter "segue.steps" "{step}" ["unit", "route", "step", "outcome"]
        "Steps that started or were skipped, by outcome.";
    STEP_DURATION = Histogram "segue.step.duration" "s" ["unit", "route", "step"]
        "From a step's start until it settled or was left, of one that is streamed to its end; skipped ones are not counted.";
    STEP_BYTES = Counter "segue.step.bytes" "By" ["unit", "route", "step"]
        "Bytes of the answers that a step read or streamed.";
    CRITICAL_TIME = MicroCounter "segue.critical_path.time" "s" ["unit", "route", "part", "step", "service"]
        "Time that made answers take as long as they did, by what took it. All parts together are all of it.";
    CONNECTIONS = UpDown "segue.connections" "{connection}" []
        "Open connections of clients.";
    STREAMS = UpDown "segue.http2.streams" "{stream}" []
        "Requests under way over HTTP/2.";
    TUNNELS = UpDown "segue.tunnels" "{connection}" []
        "Upgraded connections that are open.";
    HTTP2_REFUSALS = Counter "segue.http2.refusals" "{event}" ["reason", "fault"]
        "HTTP/2 connections and streams of clients that were cut before there was a request to answer.";
    TLS_HANDSHAKES = Counter "segue.tls.handshakes" "{handshake}" ["version", "resumed"]
        "TLS handshakes of clients that succeeded, by version and whether a ticket was resumed.";
    TLS_FAILURES = Counter "segue.tls.handshake.failures" "{handshake}" ["reason", "fault"]
        "TLS handshakes of clients that failed; a request in the clear (`not_tls`) is answered with 400 besides.";
    TLS_EXPIRY = Gauge "segue.tls.certificate.expiry" "s" ["cert"]
        "When a listener's certificate expires, in seconds after 1970.";
    KEY_FETCHES = Counter "segue.key.fetches" "{fetch}" ["issuer", "result"]
        "Fetches of an issuer's keys: `ok`, `unreachable`, or `invalid` where what came is no set of keys.";
    KEYS = Gauge "segue.keys" "{key}" ["issuer"]
        "Usable keys in an issuer's last good set.";
    GENERATION = Gauge "segue.generation" "" []
        "The generation that serves.";
    UNIT_STATE = Gauge "segue.unit.state" "" ["unit", "state"]
        "1 for the state that a unit is in.";
    RELOADS = Counter "segue.reloads" "{reload}" ["result"]
        "Reloads by result.";
    UPSTREAM_CALLS = Counter "segue.upstream.calls" "{call}" ["service"]
        "Calls sent: each once, and only if there was a connection for it.";
    UPSTREAM_CONNECTS = Counter "segue.upstream.connects" "{connection}" ["service"]
        "Connections made.";
    UPSTREAM_REUSES = Counter "segue.upstream.reuses" "{call}" ["service"]
        "Calls on a pooled connection.";
    UPSTREAM_RESENDS = Counter "segue.upstream.resends" "{call}" ["service"]
        "Calls sent again because their pooled connection was closed.";
    UPSTREAM_FAILURES = Counter "segue.upstream.failures" "{call}" ["service"]
        "Calls that failed without an answer or a connection; not those that were shed, were given up, or whose caller's time ended.";
    UPSTREAM_RETRIES = Counter "segue.upstream.retries" "{call}" ["service"]
        "Attempts after the first one of a step; none that was not made.";
    UPSTREAM_IN_FLIGHT = UpDown "segue.upstream.in_flight" "{call}" ["service"]
        "Calls under way, streaming answers included.";
    UPSTREAM_CONNECTIONS = UpDown "segue.upstream.connections" "{connection}" ["service", "state"]
        "Connections in the pools, as of the last second: `idle` ones of HTTP/1, which wait for a call, and `shared` ones of HTTP/2.";
    UPSTREAM_ENDPOINTS = UpDown "segue.upstream.endpoints" "{endpoint}" ["service", "state"]
        "Endpoints: `usable`, or `avoided` for a second because no connection could be made.";
    UPSTREAM_BUDGET = Gauge "segue.upstream.retry_budget" "{call}" ["service"]
        "Retries that the budget has room for.";
    UPSTREAM_UNRETRIED = Counter "segue.upstream.retries_refused" "{call}" ["service"]
        "Retries that were not made because the budget was spent.";
    UPSTREAM_SHED = Counter "segue.upstream.shed" "{call}" ["service"]
        "Calls that were not made because `limits.inFlight` were under way.";
    CONNECTIONS_MOST = Gauge "segue.connections.limit" "{connection}" []
        "Connections of clients that may be open: `limits.maxConnections`, or what file descriptors allow.";
    CONNECTIONS_PAUSES = Counter "segue.connections.pauses" "{pause}" ["reason"]
        "How often accepting paused because as many were open as may be (`limit`), or for want of `memory`.";
    CUSTODY = UpDown "segue.custody" "{execution}" []
        "Executions that outlive their request because of an unsafe call.";
    WORKER_LAG = Histogram "segue.worker.lag" "s" ["worker"]
        "How late a worker comes to what is due, measured twenty times a second.";
    TELEMETRY_DROPPED = Counter "segue.telemetry.dropped" "{item}" ["signal"]
        "Items that were dropped because their queue was full or the collector did not take them.";
    TELEMETRY_EXPORTS = Counter "segue.telemetry.exports" "{export}" ["signal", "result"]
        "Attempts to hand a batch to the collector.";
    PROCESS_MEMORY = UpDown "process.memory.usage" "By" []
        "Resident memory.";
    PROCESS_CPU = MicroCounter "process.cpu.time" "s" []
        "Processor time of all threads.";
    PROCESS_FILES = UpDown "process.open_file_descriptor.count" "{file_descriptor}" []
        "Open file descriptors.";
    PROCESS_UPTIME = Gauge "process.uptime" "s" []
        "Time since the start.";
}

// === impl Metric ===

impl Metric {
    /// Its name for Prometheus: no dots, the unit as a word, `_total` for what only grows.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut name = prometheus_label(self.name);
        let unit = match self.unit {
            "s" => "seconds",
            "By" => "bytes",
            // What is in braces is no unit.
            _ => "",
        };
        if !unit.is_empty() && !name.ends_with(&format!("_{unit}")) {
            name.push('_');
            name.push_str(unit);
        }
        if matches!(self.kind, MetricKind::Counter | MetricKind::MicroCounter) {
            name.push_str("_total");
        }
        name
    }
}

/// A label's name for Prometheus.
#[must_use]
pub fn prometheus_label(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_mapping_of_opentelemetry() {
        for (metric, name) in [
            (&SERVER_DURATION, "http_server_request_duration_seconds"),
            (&SERVER_ACTIVE, "http_server_active_requests"),
            (&REFUSALS, "segue_refusals_total"),
            (&RESPONSE_BYTES, "segue_response_bytes_total"),
            (&CRITICAL_TIME, "segue_critical_path_time_seconds_total"),
            (&GENERATION, "segue_generation"),
            (&UNIT_STATE, "segue_unit_state"),
            (&PROCESS_MEMORY, "process_memory_usage_bytes"),
        ] {
            assert_eq!(metric.prometheus(), name);
        }
    }

    #[test]
    fn no_two_have_the_same_name() {
        let mut names: Vec<String> = ALL.iter().map(|metric| metric.prometheus()).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
