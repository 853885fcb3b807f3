//! Where ended requests go, as the generation that serves says: to a collector, a log, the page of requests.

use std::sync::{Arc, LazyLock};

use super::{
    Abort, Exchange, Finished, Outcome, Record, RequestError, Signal,
    access_log::{AccessLog, Now},
    finished::{LATE, Rest},
    keep::{Keep, Why},
    otlp::LogItem,
    outbox::Outbox,
    rest::Told,
};
use crate::problem::Fault;

/// Requests that wait to be exported, at most; a second's worth of many.
const MOST_TRACES: usize = 2048;
/// Log records that wait to be exported, at most.
const MOST_LOGS: usize = 4096;

/// Diagnostics, which begin before there is a gateway and are the process's.
pub static DIAGNOSTICS: LazyLock<Outbox<LogItem>> = LazyLock::new(|| Outbox::new(MOST_LOGS));

/// See the module.
#[derive(Debug)]
pub struct Sinks {
    /// Traces are exported.
    pub traced: bool,
    /// Requests whose spans are to be exported.
    pub traces: Arc<Outbox<Arc<Finished>>>,
    /// The access log.
    pub access: Option<Arc<AccessLog>>,
    /// Requests that go to the collector as log records.
    pub accesses: Arc<Outbox<Arc<Finished>>>,
    /// The slowest and the failed.
    pub keep: Arc<Keep>,
}

/// Where a request went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed {
    sampled: bool,
    late: bool,
    lined: bool,
    place: Option<Why>,
}

impl Default for Sinks {
    fn default() -> Self {
        Self {
            traced: false,
            traces: Arc::new(Outbox::new(MOST_TRACES)),
            access: None,
            accesses: Arc::new(Outbox::new(MOST_LOGS)),
            keep: Arc::default(),
        }
    }
}

impl Sinks {
    /// What was dropped since the last time: whoever hands it over may be held up for long.
    pub(super) fn take_dropped(&self) -> [(Signal, u64); 3] {
        [
            (Signal::Traces, self.traces.take_dropped()),
            (Signal::Logs, self.accesses.take_dropped() + DIAGNOSTICS.take_dropped()),
            (Signal::AccessLog, self.access.as_ref().map_or(0, |log| log.take_dropped())),
        ]
    }

    /// The same queues with other settings.
    #[must_use]
    pub fn with(&self, traced: bool, access: Option<Arc<AccessLog>>) -> Self {
        Self {
            traced,
            traces: Arc::clone(&self.traces),
            access,
            accesses: Arc::clone(&self.accesses),
            keep: Arc::clone(&self.keep),
        }
    }

    /// Hands a request on that has ended. Most are written to the access log, if there is one, and nothing else.
    pub(super) fn finished(
        &self,
        exchange: &Exchange,
        record: &Record,
        us: u64,
        aborted: Option<Abort>,
    ) -> Handed {
        let outcome = record.outcome(aborted);
        let failed = match outcome {
            Outcome::Failed => true,
            Outcome::Aborted => aborted.is_some_and(|why| why.fault() != Fault::Client),
            Outcome::Ok | Outcome::Degraded | Outcome::Refused => false,
        };
        let place = self.keep.place(record, failed, aborted);
        let sampled = self.traced && exchange.trace.sampled;
        let late = self.traced && !sampled && place.is_some();
        let mut handed = Handed { sampled, late, lined: false, place };
        let mut exported = false;
        if let Some(access) = &self.access
            && access.wants()
        {
            let (outcome, code) = (outcome.as_str(), record.code(aborted));
            access.add(exchange, record, &Now { us, outcome, code, traced: sampled || late });
            exported = access.is_exported();
            handed.lined = true;
        }
        if place.is_none() && !sampled && !exported {
            return handed;
        }
        // A copy, because calls that outlive their answer still have the record.
        let request = Arc::new(Finished::new(exchange, record.clone(), us, aborted, late));
        if sampled || late {
            self.traces.push(Arc::clone(&request));
        }
        if exported {
            self.accesses.push(Arc::clone(&request));
        }
        if let Some(place) = place {
            let name = record.route.as_deref().map_or("", |route| route.name());
            self.keep.put(place, name, request);
        }
        handed
    }

    /// Hands on what the execution of a request did after that, to whoever has the request.
    pub(super) fn rest(
        &self,
        exchange: &Exchange,
        record: &Record,
        told: &Told,
        (us, failed): (u64, Option<RequestError>),
    ) {
        let Handed { sampled, late, lined, place } = told.handed;
        let rest = Rest { since: told.since, failed };
        let mut exported = false;
        if let Some(access) = self.access.as_ref().filter(|_| lined) {
            let now = Now { us, outcome: LATE, code: failed, traced: sampled || late };
            access.add(exchange, &record.rest(told.since), &now);
            exported = access.is_exported();
        }
        if sampled || late || exported {
            let copy = Record { sent: 0, received: 0, ..record.clone() };
            let request = Finished::new(exchange, copy, us, told.aborted, late);
            let request = Arc::new(Finished { rest: Some(rest), ..request });
            if sampled || late {
                self.traces.push(Arc::clone(&request));
            }
            if exported {
                self.accesses.push(request);
            }
        }
        if let Some(place) = place {
            let name = record.route.as_deref().map_or("", |route| route.name());
            let whole = Finished::new(exchange, record.whole(), told.us, told.aborted, late);
            self.keep.complete(place, name, Finished { until: us, ..whole });
        }
    }
}
