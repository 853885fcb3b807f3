//! Where ended requests go, as the generation that serves says: to a collector, a log, the page of requests.

use std::sync::{Arc, LazyLock};

use super::{
    Abort, Exchange, Finished, Outcome, Record, RequestError, Signal,
    access_log::{AccessLog, Now},
    finished::{LATE, Rest},
    keep::{Keep, Why},
    otlp::{Access, LogItem},
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
    /// Lines of the access log that go to the collector too.
    pub accesses: Arc<Outbox<Access>>,
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

    /// Writes a line of a request that has not ended, or has had its line.
    pub(super) fn line(&self, exchange: &Exchange, record: &Record, us: u64, outcome: &'static str) {
        let Some(access) = &self.access else { return };
        let now = Now { us, outcome, code: None, traced: self.traced && exchange.trace.sampled };
        access.add(exchange, record, &now);
        if let Some(fields) = access.exported() {
            let request = Arc::new(Finished::new(exchange, record.clone(), us, None, false));
            self.accesses.push(Access::new(request, fields, &now));
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
        let mut exported = None;
        if let Some(access) = &self.access
            && access.wants()
        {
            let (outcome, code) = (outcome.as_str(), record.code(aborted));
            let now = Now { us, outcome, code, traced: sampled || late };
            access.add(exchange, record, &now);
            exported = access.exported().map(|fields| (fields, now));
            handed.lined = true;
        }
        if place.is_none() && !sampled && exported.is_none() {
            return handed;
        }
        // A copy, because calls that outlive their answer still have the record.
        let request = Arc::new(Finished::new(exchange, record.clone(), us, aborted, late));
        if sampled || late {
            self.traces.push(Arc::clone(&request));
        }
        if let Some((fields, now)) = exported {
            self.accesses.push(Access::new(Arc::clone(&request), fields, &now));
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
        let of =
            |record| Finished { rest: Some(rest), ..Finished::new(exchange, record, us, told.aborted, late) };
        if let Some(access) = self.access.as_ref().filter(|_| lined) {
            let now = Now { us, outcome: LATE, code: failed, traced: sampled || late };
            let record = record.rest(told.since);
            access.add(exchange, &record, &now);
            if let Some(fields) = access.exported() {
                self.accesses.push(Access::new(Arc::new(of(record)), fields, &now));
            }
        }
        if sampled || late {
            self.traces.push(Arc::new(of(Record { sent: 0, received: 0, ..record.clone() })));
        }
        if let Some(place) = place {
            let name = record.route.as_deref().map_or("", |route| route.name());
            let whole = Finished::new(exchange, record.whole(), told.us, told.aborted, late);
            self.keep.complete(place, name, Finished { until: us, ..whole });
        }
    }
}
