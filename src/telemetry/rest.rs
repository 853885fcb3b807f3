//! What the execution of a request does after that was told: its client has left, or has its answer, and an unsafe
//! call was on the wire. When it ends, steps and calls that began in the meantime are counted and traced like
//! others, and the access log has another line. Whatever was told before is not told again.

use std::sync::{Arc, PoisonError};

use super::{
    Abort, CallRecord, Exchange, Instruments, Record, RequestError, record::CallError, sinks::Handed,
};
use crate::{error::Error, problem::Kind};

/// An execution that goes on. Dropped when that has ended, or was cut with the process.
#[derive(Debug)]
pub struct Rest {
    exchange: Arc<Exchange>,
    ended: bool,
    failed: Failed,
}

/// The two ends of it, of which the first waits for the second here.
#[derive(Debug)]
pub(super) enum After {
    /// The execution has ended, and its request lasts.
    Ended(Ended),
    /// The request was told, and its execution goes on.
    Told(Told),
}

/// How an execution ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// When.
    us: u64,
    failed: Failed,
}

/// What was told of a request when its execution went on.
#[derive(Debug)]
pub(super) struct Told {
    pub instruments: Arc<Instruments>,
    /// When.
    pub us: u64,
    pub aborted: Option<Abort>,
    /// Where it went.
    pub handed: Handed,
    pub since: Since,
}

/// Where the rest begins in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// The first of its steps.
    pub steps: usize,
    /// The first of its calls.
    pub calls: usize,
}

// === impl Rest ===

impl Rest {
    /// The execution of this request goes on without it from here.
    #[must_use]
    pub fn begin(exchange: &Arc<Exchange>) -> Self {
        exchange.record().goes_on = true;
        Self { exchange: Arc::clone(exchange), ended: false, failed: None }
    }

    /// It has ended, well or not.
    pub fn ended(&mut self, error: Option<&Error>) {
        let failed =
            |error: &Error| (RequestError::Failed(error.kind()), error.private_cause().map(Into::into));
        (self.ended, self.failed) = (true, error.map(failed));
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let us = self.exchange.micros(tokio::time::Instant::now().into_std());
        if !self.ended {
            let panicked = std::thread::panicking();
            let why = if panicked {
                RequestError::Failed(Kind::Internal)
            } else {
                RequestError::Aborted(Abort::Shutdown)
            };
            self.failed = Some((why, None));
        }
        let ended = Ended { us, failed: self.failed.take() };
        let mut record = self.exchange.record();
        let mut after = self.exchange.after.lock().unwrap_or_else(PoisonError::into_inner);
        match after.take() {
            Some(After::Told(told)) => {
                let failed = told.tell(&self.exchange, &mut record, ended);
                drop((after, record));
                warn(&self.exchange, failed);
            }
            Some(After::Ended(_)) | None => *after = Some(After::Ended(ended)),
        }
    }
}

// === impl Told ===

impl Told {
    /// The request was told, so that its execution's end is the next to come, or is there already.
    pub(super) fn wait(self, exchange: &Exchange, record: &mut Record) -> Failed {
        let mut after = exchange.after.lock().unwrap_or_else(PoisonError::into_inner);
        match after.take() {
            Some(After::Ended(ended)) => self.tell(exchange, record, ended),
            Some(After::Told(_)) | None => {
                *after = Some(After::Told(self));
                None
            }
        }
    }

    fn tell(self, exchange: &Exchange, record: &mut Record, ended: Ended) -> Failed {
        let Ended { us, failed } = ended;
        let us = us.max(self.us);
        record.conclude_steps(us);
        record.calls.conclude(us, self.aborted, None);
        record.conclude_streams();
        let failed =
            failed.or_else(|| late_failure(record, &self).map(|kind| (RequestError::Failed(kind), None)));
        let code = failed.as_ref().map(|(why, _)| *why);
        self.instruments.rest(exchange, record, &self, (us, code));
        failed
    }
}

/// Why late work failed, and what made it.
pub(super) type Failed = Option<(RequestError, Option<Box<str>>)>;

/// What became of an unsafe call whose end nobody waited for.
fn late_failure(record: &Record, told: &Told) -> Option<Kind> {
    let told_us = told.us;
    let of_step = record.after.iter().find_map(|step| step.code);
    let of_step = of_step.and_then(|code| Kind::ALL.iter().copied().find(|kind| kind.code() == code));
    // What a step makes of its calls is said by the step, if that was waited for at all.
    let settles = |call: &CallRecord| {
        record.after.iter().any(|step| (step.scope, Some(step.step)) == (call.scope, call.step))
    };
    let told = record.calls.iter().take(told.since.calls).map(|(_, call)| call);
    let mut late = told.filter(|call| call.ended_us > told_us && !settles(call));
    of_step.or_else(|| {
        late.find_map(|call| match call.error()? {
            CallError::Status(_) => Some(Kind::UpstreamStatus),
            CallError::Failed(kind) => Some(kind),
            CallError::Left(_) => None,
        })
    })
}

/// Says it in the log, where the client cannot be told. Not while the record is held.
pub(super) fn warn(exchange: &Exchange, failed: Failed) {
    if let Some((why, cause)) = failed
        && let Some(left_out) = exchange.line()
    {
        let (id, code) = (&*exchange.id, why.as_text());
        tracing::warn!(id, code, cause, left_out, "what went on without its client has failed");
    }
}
