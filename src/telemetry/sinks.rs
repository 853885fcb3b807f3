//! Where ended requests go, as the generation that serves says: to a collector, a log, the page of requests.

use std::sync::{Arc, LazyLock};

use super::{
    Exchange, Finished, Outcome, Record, access_log::AccessLog, keep::Keep, otlp::LogItem, outbox::Outbox,
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
    pub(super) fn finished(&self, exchange: &Exchange, record: &Record, us: u64, aborted: Option<Fault>) {
        let mut exported = false;
        if let Some(access) = &self.access
            && access.wants()
        {
            access.write(exchange, record, us, aborted);
            exported = access.is_exported();
        }
        let failed = match record.outcome(aborted) {
            Outcome::Failed => true,
            Outcome::Aborted => aborted != Some(Fault::Client),
            Outcome::Ok | Outcome::Degraded | Outcome::Refused => false,
        };
        let place = self.keep.place(record, us, failed);
        let sampled = self.traced && exchange.trace.sampled;
        if place.is_none() && !sampled && !exported {
            return;
        }
        let late = self.traced && !sampled && place.is_some();
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
    }
}
