//! The only place that names metrics: one record per request, and what is written from it at its end.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;

use crate::{
    headers::Peer,
    principal::Principal,
    problem::{Fault, Kind},
};

pub mod handshake;
pub mod instruments;
pub mod refusal;
pub mod registry;
pub mod trace;

pub use handshake::HandshakeFailure;
pub use instruments::{Instruments, RouteInstruments, UpstreamCount};
pub use refusal::Refusal;
pub use trace::Trace;

/// What the gateway knows of a request, filled on the way by whoever learns it. Signals are written
/// from it once, when the response's body has ended.
#[derive(Debug)]
pub struct Exchange {
    /// `request.id`: given by a trusted proxy or made here.
    pub id: Arc<str>,
    /// The trace it belongs to.
    pub trace: Trace,
    /// When the head was complete.
    pub started: Instant,
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
    /// Where in the canonical path the parameters of its route are, as byte ranges.
    pub captures: Vec<(u32, u32)>,
    /// What is learnt on the way.
    record: Mutex<Record>,
}

/// The part of an [`Exchange`] that is filled on the way.
#[derive(Debug, Default)]
pub struct Record {
    /// The route's instruments, once it is known.
    pub route: Option<Arc<RouteInstruments>>,
    /// The status answered.
    pub status: Option<StatusCode>,
    /// Why the route did not answer, if it did not.
    pub failure: Option<Kind>,
    /// Body bytes sent to the client.
    pub sent: u64,
    /// One entry per settled step, in order of settling.
    pub steps: Vec<StepRecord>,
    /// Names of degraded steps.
    pub degraded: Vec<String>,
    /// Which entry of the route's `errors` made the answer, counted from 0.
    pub rule: Option<usize>,
}

/// How a step ended.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// Index in the composition.
    pub step: u16,
    /// `ok`, `failed`, `skipped`
    pub outcome: &'static str,
    /// From the start of the request, in microseconds.
    pub started_us: u64,
    /// Until it settled, in microseconds.
    pub ended_us: u64,
    /// The failure's code.
    pub code: Option<&'static str>,
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
            started,
            peer,
            client,
            scheme,
            trusted: false,
            given: None,
            timeout: Duration::MAX,
            arrived: AtomicBool::new(false),
            now: OnceLock::new(),
            principal: OnceLock::new(),
            captures: Vec::new(),
            record: Mutex::default(),
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

    /// What is learnt on the way. Never held across an await.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a request's signals when it is dropped: after the last byte of the answer, or when the
/// client left before that.
#[derive(Debug)]
pub struct Finish {
    exchange: Arc<Exchange>,
    instruments: Arc<Instruments>,
    end: End,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not at all yet; dropped like this, the client has left.
    Open,
    /// It broke off on this side.
    Broken,
    /// As it should.
    Complete,
}

impl Finish {
    /// Starts to count a request as in flight.
    #[must_use]
    pub fn new(exchange: Arc<Exchange>, instruments: Arc<Instruments>) -> Self {
        instruments.in_flight.increment(1.0);
        Self { exchange, instruments, end: End::Open }
    }

    /// The request's record.
    #[must_use]
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The answer's head is known.
    pub fn answered(&self, status: StatusCode) {
        self.exchange.record().status = Some(status);
    }

    /// Some of the answer's body passed.
    pub fn sent(&self, bytes: u64) {
        self.exchange.record().sent += bytes;
    }

    /// The answer ended as it should.
    pub const fn complete(&mut self) {
        self.end = End::Complete;
    }

    /// What the answer is made of broke off or stopped, so that the client has part of it.
    pub fn broke(&mut self) {
        if self.end == End::Open {
            self.end = End::Broken;
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.instruments.in_flight.decrement(1.0);
        let record = self.exchange.record();
        let elapsed = self.exchange.started.elapsed().as_secs_f64();
        let aborted = match self.end {
            End::Open => Some(Fault::Client),
            End::Broken => Some(Fault::Upstream),
            End::Complete => None,
        };
        self.instruments.finished(&record, elapsed, aborted);
    }
}

/// A new request id: 32 lower-case hex digits.
#[must_use]
pub fn request_id() -> Arc<str> {
    let mut digits = [b'0'; 32];
    trace::hex(fastrand::u128(..), &mut digits);
    std::str::from_utf8(&digits).unwrap_or("0").into()
}
