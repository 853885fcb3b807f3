//! What the routes of a generation share: services and Compositions by their numbers in the plan.

use std::sync::Arc;

use http::StatusCode;
use metrics::{Counter, Histogram};

use super::{
    CallRecord, Record, StepInfo, Verb,
    metric::{CLIENT_DURATION, UPSTREAM_RETRIES},
    record::CallError,
    registry::Registry,
    series::{Chain, MOST_SERIES, class, registered},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// Services in the order of their ids.
    pub services: Box<[ServiceInstruments]>,
    /// Compositions in the order of their ids: name and steps.
    pub compositions: Box<[CompositionInfo]>,
}

/// A Composition's name and its steps.
pub type CompositionInfo = (Arc<str>, Box<[StepInfo]>);

/// Where a service can be reached.
#[derive(Clone, Debug)]
pub struct EndpointInfo {
    /// `server.address`
    pub host: Box<str>,
    /// `server.port`
    pub port: u16,
    /// `https`
    pub secure: bool,
    /// What comes before the path in `url.full`.
    pub url: Box<str>,
}

/// A service's words and series.
#[derive(Debug)]
pub struct ServiceInstruments {
    /// `unit/name`
    pub name: Arc<str>,
    /// In the order of its template's priorities, as calls number them.
    pub endpoints: Box<[EndpointInfo]>,
    registry: Arc<Registry>,
    durations: Chain<Key, Histogram>,
    retries: Counter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    endpoint: Option<u16>,
    verb: Verb,
    status: Option<StatusCode>,
    http2: bool,
    error: Option<CallError>,
}

impl Key {
    /// What it counts under once there are too many.
    fn coarse(self) -> Self {
        let status = self.status.map(class);
        let error = match self.error {
            Some(CallError::Status(status)) => Some(CallError::Status(class(status))),
            error => error,
        };
        Self { endpoint: None, verb: Verb::Other, status, http2: false, error }
    }
}

// === impl Generation ===

impl Generation {
    /// `unit/name` of a service.
    #[must_use]
    pub fn service_name(&self, service: u32) -> &str {
        self.services.get(service as usize).map_or("", |service| &service.name)
    }

    /// Writes the numbers of a request's calls from one on. `us` is all of its time.
    pub(super) fn finished(&self, record: &Record, from: usize, us: u64) {
        for (_, call) in record.calls.iter().skip(from) {
            let Some(service) = self.services.get(call.service as usize) else { continue };
            service.finished(call, us);
            if call.tries > 0 {
                service.retries.increment(1);
            }
        }
    }
}

// === impl ServiceInstruments ===

impl ServiceInstruments {
    /// The instruments of a service; the same name gives the same series in every generation.
    pub(super) fn new(registry: &Arc<Registry>, name: &Arc<str>, endpoints: Vec<EndpointInfo>) -> Self {
        Self {
            name: Arc::clone(name),
            endpoints: endpoints.into(),
            registry: Arc::clone(registry),
            durations: Chain::default(),
            retries: registry.counter(&UPSTREAM_RETRIES, &[name]),
        }
    }

    fn finished(&self, call: &CallRecord, us: u64) {
        let status = call.status.map(registered);
        let error = match call.error() {
            Some(CallError::Status(status)) => Some(CallError::Status(registered(status))),
            error => error,
        };
        let key = Key { endpoint: call.endpoint, verb: call.method, status, http2: call.http2, error };
        // As long as its span (semantic conventions), the client's pace included where it is streamed.
        let seconds = call.ended_us.min(us).saturating_sub(call.started_us) as f64 / 1e6;
        let most = MOST_SERIES * self.endpoints.len().max(1);
        self.durations.bounded(key, most, Key::coarse, |key| self.duration(key)).record(seconds);
    }

    fn duration(&self, key: Key) -> Histogram {
        let endpoint = key.endpoint.and_then(|endpoint| self.endpoints.get(usize::from(endpoint)));
        let port = endpoint.map(|endpoint| endpoint.port.to_string()).unwrap_or_default();
        let status = key.status.map(|status| status.as_str().to_owned()).unwrap_or_default();
        let version = match (endpoint, key.http2) {
            (None, _) => "",
            (_, true) => "2",
            (_, false) => "1.1",
        };
        let values = [
            key.verb.as_str(),
            &status,
            endpoint.map_or("", |endpoint| if endpoint.secure { "https" } else { "http" }),
            endpoint.map_or("", |endpoint| &endpoint.host),
            &port,
            version,
            key.error.as_ref().map_or("", CallError::as_text),
            &self.name,
        ];
        self.registry.histogram(&CLIENT_DURATION, &values)
    }
}
