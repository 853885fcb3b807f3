//! What the routes of a generation share: services and Compositions by their numbers in the plan.

use std::sync::Arc;

use http::StatusCode;
use metrics::{Counter, Histogram};

use super::{
    CallRecord, Record, StepInfo, Verb,
    ledger::{Durations, Lease, Ledger},
    metric::{CLIENT_DURATION, UPSTREAM_RETRIES},
    record::CallError,
    registry::Registry,
    series::{Room, overflowed, registered},
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
    pub(super) lease: Lease,
    /// Parallel to the endpoints; the last one is of calls for which none was chosen.
    durations: Box<[Durations<Key>]>,
    retries: Counter,
}

/// Everything that labels a call's duration and is neither its service's nor its endpoint's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    verb: Verb,
    status: Option<StatusCode>,
    http2: bool,
    error: Option<CallError>,
}

impl Key {
    /// What it counts under where there is no room: how it was asked is not told, nor the status of an answer that
    /// did not end.
    fn coarse(self) -> Self {
        let whole = matches!(self.error, None | Some(CallError::Status(_)));
        Self { verb: Verb::Other, status: self.status.filter(|_| whole), http2: false, ..self }
    }

    const fn room(&self) -> Room {
        match self.error {
            _ if !self.verb.is_usual() => Room::Unusual,
            Some(CallError::Left(_)) => Room::Unusual,
            Some(CallError::Failed(_)) => Room::Own,
            _ => Room::Answer,
        }
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
        for (_, call) in record.calls.iter().skip(from).filter(|(_, call)| call.attempted()) {
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
    pub(super) fn new(
        registry: &Arc<Registry>,
        ledger: &Ledger<Key>,
        name: &Arc<str>,
        endpoints: Vec<EndpointInfo>,
    ) -> Self {
        let place = |at: &EndpointInfo| format!("{} {} {}", at.secure, at.host, at.port).into();
        let places = endpoints.iter().map(place).chain([Box::default()]);
        let (lease, durations) = ledger.enter(registry, name, places);
        Self {
            name: Arc::clone(name),
            retries: lease.counter(&UPSTREAM_RETRIES, &[name]),
            endpoints: endpoints.into(),
            durations,
            lease,
        }
    }

    fn finished(&self, call: &CallRecord, us: u64) {
        let status = call.status.map(registered);
        let error = match call.error() {
            Some(CallError::Status(status)) => Some(CallError::Status(registered(status))),
            error => error,
        };
        let key = Key { verb: call.method, status, http2: call.http2, error };
        // As long as its span (semantic conventions), the client's pace included where it is streamed.
        let seconds = call.ended_us.min(us).saturating_sub(call.started_us) as f64 / 1e6;
        let at = call.endpoint.map_or(self.endpoints.len(), usize::from).min(self.endpoints.len());
        let make = |key, overflow| self.duration(key, self.endpoints.get(at), overflow);
        self.durations[at].get(key, || key.room(), Key::coarse, make).record(seconds);
    }

    fn duration(&self, key: Key, endpoint: Option<&EndpointInfo>, overflow: bool) -> Histogram {
        let port = endpoint.map(|endpoint| endpoint.port.to_string()).unwrap_or_default();
        let status = key.status.map(|status| status.as_str().to_owned()).unwrap_or_default();
        let version = match (endpoint, key.http2) {
            _ if overflow => "",
            (None, _) => "",
            (_, true) => "2",
            (_, false) => "1.1",
        };
        let values = [
            if overflow { "" } else { key.verb.as_str() },
            &status,
            endpoint.map_or("", |endpoint| if endpoint.secure { "https" } else { "http" }),
            endpoint.map_or("", |endpoint| &endpoint.host),
            &port,
            version,
            key.error.as_ref().map_or("", CallError::as_text),
            overflowed(overflow),
            &self.name,
        ];
        self.lease.histogram(&CLIENT_DURATION, &values)
    }
}
