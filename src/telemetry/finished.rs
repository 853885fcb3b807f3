//! A request that has ended, on its own: what is exported, kept for `/requests`, or logged elsewhere than on
//! its worker.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Method, Version};

use super::{Abort, Exchange, Outcome, Record, RequestError, Trace, rest::Since};

/// See the module.
#[derive(Debug)]
pub struct Finished {
    /// `request.id`
    pub id: Arc<str>,
    /// Its trace.
    pub trace: Trace,
    /// The gateway's span.
    pub span: u64,
    /// When its head was complete.
    pub started: SystemTime,
    /// All of its time.
    pub us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why the answer did not reach its end.
    pub aborted: Option<Abort>,
    /// Its method.
    pub method: Method,
    /// What the client speaks.
    pub version: Version,
    /// The canonical path; empty if it has none. Never the query.
    pub path: Box<str>,
    /// The host that was asked for.
    pub host: Box<str>,
    /// Its port, said or understood.
    pub port: u16,
    /// `http` or `https`
    pub scheme: &'static str,
    /// The client.
    pub client: IpAddr,
    /// The other end of the connection.
    pub peer: std::net::SocketAddr,
    /// Who asked, if that is known.
    pub principal: Option<Box<str>>,
    /// The rest of what was learnt.
    pub record: Record,
    /// Nobody wanted this trace when it began.
    pub late: bool,
    /// When the last of it ended: later than the request, if its execution went on.
    pub until: u64,
    /// It is what its execution did after it was told.
    pub rest: Option<Rest>,
}

/// The part of a request that was told when its execution had ended.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// Where it begins.
    pub since: Since,
    /// Why the execution failed.
    pub failed: Option<RequestError>,
}

/// Instead of an outcome, of what an execution did after its request was told.
pub(super) const LATE: &str = "late";

impl Finished {
    /// Takes what is needed of a request that ends now.
    pub(super) fn new(
        exchange: &Exchange,
        record: Record,
        us: u64,
        aborted: Option<Abort>,
        late: bool,
    ) -> Self {
        let started = SystemTime::now() - exchange.started.elapsed();
        Self {
            id: Arc::clone(&exchange.id),
            trace: exchange.trace.clone(),
            span: exchange.span,
            started,
            us,
            outcome: record.outcome(aborted),
            aborted,
            method: exchange.method.clone(),
            version: exchange.version,
            // Copies: what they are part of is a connection's buffer.
            path: exchange.path().into(),
            host: exchange.host.as_str().into(),
            port: match (exchange.port, exchange.scheme) {
                (0, "https") => 443,
                (0, _) => 80,
                (port, _) => port,
            },
            scheme: exchange.scheme,
            client: exchange.client,
            peer: exchange.peer.address,
            principal: exchange.principal_id().map(Into::into),
            record,
            late,
            until: us,
            rest: None,
        }
    }

    /// `segue.sampled`: when it was decided that its spans go to the collector; empty if they do not.
    #[must_use]
    pub const fn sampled(&self) -> &'static str {
        match (self.late, self.trace.sampled) {
            (true, _) => "late",
            (false, true) => "head",
            (false, false) => "",
        }
    }

    /// Its outcome in one word; `late` of what its execution did after it was told.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        if self.rest.is_some() { LATE } else { self.outcome.as_str() }
    }

    /// Why its outcome is what it is.
    #[must_use]
    pub fn code(&self) -> Option<RequestError> {
        match self.rest {
            Some(rest) => rest.failed,
            None => self.record.code(self.aborted),
        }
    }

    /// When something of it happened.
    #[must_use]
    pub fn at(&self, us: u64) -> SystemTime {
        self.started + Duration::from_micros(us)
    }

    /// When the call of this number ended.
    #[must_use]
    pub fn call_end(&self, call: &super::CallRecord) -> u64 {
        call.ended_us.min(self.until)
    }
}
