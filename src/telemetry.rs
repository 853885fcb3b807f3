//! The only place that names metrics and spans: one record per request, and what is written from it at its
//! end.

#[cfg(test)]
mod tests;

use std::{
    any::Any,
    cell::Cell,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime},
};

use http::{Method, StatusCode, Version, uri::PathAndQuery};

use crate::{
    body::pace::Upload,
    error::Error,
    headers::Peer,
    principal::{Principal, Source},
    problem::Fault,
};

pub mod abort;
pub mod access_log;
pub mod critical;
pub mod diagnostics;
pub mod finished;
pub mod generation;
pub mod handshake;
pub mod identity;
pub mod instruments;
pub mod keep;
mod ledger;
mod lines;
pub mod metric;
pub mod otlp;
pub mod outbox;
mod process;
pub mod record;
pub mod refusal;
pub mod refuser;
pub mod registry;
pub mod rest;
pub mod route;
mod series;
pub mod settings;
pub mod shed;
pub mod sinks;
pub mod trace;
pub mod trail;

pub use ::metrics::{Gauge, Histogram};
pub use abort::Abort;
pub use finished::Finished;
pub use generation::{CompositionInfo, EndpointInfo, Generation, ServiceInstruments};
pub use handshake::HandshakeFailure;
pub use instruments::{Instruments, Signal, UpstreamCount, UpstreamState};
pub use record::{CallRecord, Outcome, Record, RequestError, Scope, StepOutcome, StepRecord, Verb};
pub use refusal::Refusal;
pub use refuser::Refuser;
pub use rest::Rest;
pub use route::{Does, RouteInfo, RouteInstruments, StepInfo};
pub use shed::Shed;
pub use trace::Trace;
pub use trail::Trail;

/// What the gateway knows of a request, filled on the way by whoever learns it. Signals are written
/// from it once, when the response's body has ended.
#[derive(Debug)]
pub struct Exchange {
    /// `request.id`: given by a trusted proxy or made here.
    pub id: Arc<str>,
    /// The trace it belongs to.
    pub trace: Trace,
    /// The gateway's own span, from which those of its steps and calls are derived.
    pub span: u64,
    /// When the head was complete.
    pub started: Instant,
    /// The request's method.
    pub method: Method,
    /// What the client speaks.
    pub version: Version,
    /// Path and query in canonical form, once admission has seen that there is one.
    pub target: Option<PathAndQuery>,
    /// The host that was asked for: lower case, without port. Empty until admission has seen it.
    pub host: String,
    /// The port that was said with it; 0 where none was.
    pub port: u16,
    /// The other end of the connection.
    pub peer: Arc<Peer>,
    /// The client's address: the peer, or what trusted proxies say.
    pub client: IpAddr,
    /// `http` or `https`, or what a trusted proxy said.
    pub scheme: &'static str,
    /// The peer is a trusted proxy.
    pub trusted: bool,
    /// What a trusted proxy has left of its own deadline.
    pub given: Option<Duration>,
    /// How long its route has; without end until the route is known.
    pub timeout: Duration,
    /// Its endpoint has it: no layer in front of that holds it up any more.
    pub arrived: AtomicBool,
    now: OnceLock<SystemTime>,
    /// Who it is from, once that is known.
    pub principal: OnceLock<Arc<Principal>>,
    /// Where the credential stood that told, which goes no further.
    pub spent: OnceLock<Arc<[Source]>>,
    /// Where in the canonical path the parameters of its route are, as byte ranges.
    pub captures: Vec<(u32, u32)>,
    /// What is learnt on the way.
    record: Mutex<Record>,
    /// See [`Exchange::hold`]. Not in the record, of which copies are made.
    held: Mutex<Vec<Box<dyn Any + Send>>>,
    /// See [`Rest`].
    after: Mutex<Option<rest::After>>,
}

// === impl Exchange ===

impl Exchange {
    /// A request whose head has just been read.
    #[must_use]
    pub fn new(id: Arc<str>, trace: Trace, peer: Arc<Peer>, client: IpAddr, scheme: &'static str) -> Self {
        let started = Instant::now();
        Self {
            id,
            trace,
            span: fastrand::u64(1..),
            started,
            method: Method::GET,
            version: Version::HTTP_11,
            target: None,
            host: String::new(),
            port: 0,
            peer,
            client,
            scheme,
            trusted: false,
            given: None,
            timeout: Duration::MAX,
            arrived: AtomicBool::new(false),
            now: OnceLock::new(),
            principal: OnceLock::new(),
            spent: OnceLock::new(),
            captures: Vec::new(),
            record: Mutex::default(),
            held: Mutex::default(),
            after: Mutex::default(),
        }
    }

    /// `execution.now`, since the epoch: the same for all that reads it.
    pub fn now(&self) -> Duration {
        let now = self.now.get_or_init(SystemTime::now);
        now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// What is left of the route's time.
    pub fn remaining(&self) -> Duration {
        // The runtime's clock, which tests pause.
        let spent = tokio::time::Instant::now().into_std().saturating_duration_since(self.started);
        self.timeout.saturating_sub(spent)
    }

    /// Holds something for as long as the request lasts: until its answer's body has ended and nothing goes on
    /// with it any more.
    pub fn hold(&self, what: Box<dyn Any + Send>) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What is learnt on the way. Never held across an await.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log may have a line about this request, and how many were left out since the last one of its route.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        static NOWHERE: lines::Lines = lines::Lines::new();
        let route = self.record().route.clone();
        route.as_ref().map_or(&NOWHERE, |route| &route.lines).one_more()
    }

    /// A rule of `authorize` could not be evaluated for it.
    pub fn rule_failed(&self) {
        let route = self.record().route.clone();
        if let Some(route) = route {
            route.rule_failed();
        }
    }

    /// Microseconds from the request's head to then.
    #[must_use]
    pub fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }

    /// The canonical path; empty if admission has seen none. Never the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }

    /// Who it is from: the id that authentication found.
    #[must_use]
    pub fn principal_id(&self) -> Option<&str> {
        self.principal.get()?.id.as_deref()
    }

    /// The span of the call of this number, as its `traceparent` says.
    #[must_use]
    pub const fn call_span(&self, number: u32) -> u64 {
        trace::derived(self.span, 1 + number as u64)
    }
}

/// Writes a request's signals when it is dropped: after the last byte of the answer, or when the
/// client left before that.
#[derive(Debug)]
pub struct Finish {
    exchange: Arc<Exchange>,
    instruments: Arc<Instruments>,
    /// The request's body, if there is one.
    upload: Option<Arc<Upload>>,
    /// When the next line is due, in seconds of [`clock`].
    next_line: Cell<u32>,
    end: End,
}

/// How often a request that lasts has a line in the access log, in seconds.
pub const LINE_EVERY: u32 = 300;

/// A clock of seconds that costs nothing to read; a worker moves it on.
pub mod clock {
    use std::{
        sync::{
            LazyLock,
            atomic::{AtomicU32, Ordering::Relaxed},
        },
        time::Instant,
    };

    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    static SECONDS: AtomicU32 = AtomicU32::new(0);

    /// Moves it on. To be called several times a second.
    pub fn tick() {
        SECONDS.store(u32::try_from(BEGAN.elapsed().as_secs()).unwrap_or(u32::MAX), Relaxed);
    }

    /// Seconds since it began.
    #[must_use]
    pub fn now() -> u32 {
        SECONDS.load(Relaxed)
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not at all yet; dropped like this, the client has left.
    Open,
    /// It was cut, or broke off on this side.
    Aborted(Abort),
    /// As it should.
    Complete,
}

impl Finish {
    /// Starts to count a request as in flight.
    #[must_use]
    pub fn new(exchange: Arc<Exchange>, instruments: Arc<Instruments>, upload: Option<Arc<Upload>>) -> Self {
        instruments.began(&exchange);
        let next_line = Cell::new(clock::now() + LINE_EVERY);
        Self { exchange, instruments, upload, next_line, end: End::Open }
    }

    /// The request's record.
    #[must_use]
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The answer's head is known.
    pub fn answered(&self, status: StatusCode) {
        let now = self.exchange.micros(Instant::now());
        let mut record = self.exchange.record();
        record.status = Some(status);
        record.answered_us = now;
        record.conclude_steps(now);
    }

    /// Some of the answer's body passed.
    pub fn sent(&self, bytes: u64) {
        let mut record = self.exchange.record();
        record.sent += bytes;
        self.lasts(&record);
    }

    /// None of it is there to pass. To be called now and then: an answer that lasts is told of all the same.
    pub fn waits(&self) {
        if clock::now() >= self.next_line.get() {
            self.lasts(&self.exchange.record());
        }
    }

    fn lasts(&self, record: &Record) {
        let now = clock::now();
        if now >= self.next_line.get() {
            self.next_line.set(now + LINE_EVERY);
            self.instruments.goes_on(&self.exchange, record);
        }
    }

    /// The answer ended as it should.
    pub const fn complete(&mut self) {
        if matches!(self.end, End::Open) {
            self.end = End::Complete;
        }
    }

    /// The answer ends here, so that the client has part of it.
    pub fn aborts(&mut self, why: Abort) {
        if self.end == End::Open {
            self.end = End::Aborted(why);
            self.tell(why, None);
        }
    }

    /// What the answer is made of broke off.
    pub fn broke(&mut self, error: &Error) {
        if self.end == End::Open {
            let why = Abort::Broken(error.kind());
            self.end = End::Aborted(why);
            self.tell(why, error.private_cause());
        }
    }

    /// Says in the log what is not the client's doing. A client that leaves is nothing to look into.
    fn tell(&self, why: Abort, cause: Option<&str>) {
        let (id, code) = (&*self.exchange.id, why.as_str());
        if why.fault() == Fault::Client {
            tracing::debug!(id, code, cause, "an answer was not taken");
        } else if let Some(left_out) = self.exchange.line() {
            tracing::warn!(id, code, cause, left_out, "an answer broke off");
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.instruments.ended(&self.exchange);
        let us = self.exchange.micros(Instant::now());
        if self.end == End::Open && self.instruments.ends() {
            self.aborts(Abort::Shutdown);
        }
        let aborted = match self.end {
            End::Open => Some(Abort::ClientGone),
            End::Aborted(why) => Some(why),
            End::Complete => None,
        };
        let mut record = self.exchange.record();
        record.received = self.upload.as_ref().map_or(0, |upload| upload.bytes());
        record.conclude_steps(us);
        let failed = record.failure;
        record.calls.conclude(us, aborted, failed);
        record.conclude_streams();
        let sent = record.sent;
        if record.route.as_ref().is_some_and(|route| route.info.plain) {
            record.calls.passed(sent);
        }
        let handed = self.instruments.finished(&self.exchange, &record, us, aborted);
        if record.goes_on {
            let since = rest::Since { steps: record.steps.len(), calls: record.calls.len() };
            let told = rest::Told { instruments: Arc::clone(&self.instruments), us, aborted, handed, since };
            let failed = told.wait(&self.exchange, &mut record);
            drop(record);
            rest::warn(&self.exchange, failed);
        }
    }
}

/// A new request id: 32 lower-case hex digits.
#[must_use]
pub fn request_id() -> Arc<str> {
    let mut digits = [b'0'; 32];
    trace::hex(fastrand::u128(..), &mut digits);
    std::str::from_utf8(&digits).unwrap_or("0").into()
}
