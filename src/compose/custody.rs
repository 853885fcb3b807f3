//! Executions that outlive their request, because an unsafe call may be on the wire.
//!
//! An execution is a future inside the request's task. When the client goes away, dropping it cancels
//! everything; unless an unsafe call was sent, for then nobody could say what it did. Such an execution is
//! handed to its worker's custody and goes on. Custody is bounded at the door: while it is full, no
//! execution that could need it starts. What has started is always taken, since an unsafe call is not cut.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use tokio::{runtime::Handle, sync::Notify};

use super::{drive::Early, state::State};
use crate::{
    error::Error,
    problem::Kind,
    telemetry::{Exchange, Gauge, Rest},
};

/// One worker's custody.
#[derive(Debug)]
pub struct Custody {
    limit: usize,
    held: AtomicUsize,
    released: Notify,
    /// As a signal says it.
    told: Gauge,
}

/// An execution that custody takes when it is dropped too early.
pub(super) struct Guarded<T: Send + 'static> {
    future: Option<Boxed<T>>,
    early: Arc<Early<T>>,
    state: Arc<State>,
    custody: Arc<Custody>,
    /// Whether the client's leaving matters: not on proxy routes.
    outlives_client: bool,
}

type Boxed<T> = Pin<Box<dyn Future<Output = Option<Result<T, Error>>> + Send>>;

// === impl Custody ===

impl Custody {
    /// Custody of at most this many executions.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Self::told(limit, Gauge::noop())
    }

    /// The same, whose number of executions is told.
    #[must_use]
    pub fn told(limit: usize, told: Gauge) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0), released: Notify::new(), told })
    }

    /// How many executions it holds now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Waits until it holds none.
    pub async fn drained(&self) {
        loop {
            let released = self.released.notified();
            if self.held() == 0 {
                return;
            }
            released.await;
        }
    }

    /// Refuses an execution with unsafe calls while there is no room.
    pub(super) fn admit(&self) -> Result<(), Error> {
        if self.held() < self.limit {
            return Ok(());
        }
        Err(Error::new(Kind::Overloaded).retry_after(1).cause("custody is full"))
    }

    fn adopt<T: Send + 'static>(
        self: &Arc<Self>,
        future: Boxed<T>,
        early: Arc<Early<T>>,
        exchange: &Arc<Exchange>,
    ) {
        // Without a runtime the process is ending, and there is nothing to run it on.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (held, rest) = (Held::new(self), Rest::begin(exchange));
        runtime.spawn(async move {
            let _held = held;
            // Told when the execution has ended, or was cut with the process.
            let mut rest = rest;
            let result = future.await.or_else(|| early.lock().ok()?.take());
            rest.ended(result.as_ref().and_then(|result| result.as_ref().err()));
        });
    }
}

/// A place in custody, given back even when the execution panics.
struct Held(Arc<Custody>);

impl Held {
    fn new(custody: &Arc<Custody>) -> Self {
        custody.held.fetch_add(1, Relaxed);
        custody.told.increment(1.0);
        Self(Arc::clone(custody))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.told.decrement(1.0);
        self.0.held.fetch_sub(1, Relaxed);
        self.0.released.notify_waiters();
    }
}

// === impl Guarded ===

impl<T: Send + 'static> Guarded<T> {
    pub(super) fn new(
        future: Boxed<T>,
        early: Arc<Early<T>>,
        state: Arc<State>,
        custody: Arc<Custody>,
        outlives_client: bool,
    ) -> Self {
        Self { future: Some(future), early, state, custody, outlives_client }
    }
}

impl<T: Send + 'static> Future for Guarded<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else {
            return Poll::Ready(Err(
                Error::new(Kind::Internal).cause("an execution was polled after its end")
            ));
        };
        let ended = future.as_mut().poll(cx);
        let early = || this.early.lock().ok().and_then(|mut early| early.take());
        let answer = match ended {
            Poll::Ready(answer) => {
                this.future = None;
                answer.or_else(early)
            }
            Poll::Pending => {
                let Some(answer) = early() else {
                    return Poll::Pending;
                };
                // The answer does not wait for what is left: unsafe calls in flight.
                if let Some(rest) = this.future.take() {
                    this.custody.adopt(rest, Arc::clone(&this.early), &this.state.run.exchange);
                }
                Some(answer)
            }
        };
        Poll::Ready(
            answer.unwrap_or_else(|| Err(Error::new(Kind::Internal).cause("an execution gave no answer"))),
        )
    }
}

impl<T: Send + 'static> Drop for Guarded<T> {
    fn drop(&mut self) {
        // An execution that panicked cannot go on.
        if let Some(future) = self.future.take()
            && !std::thread::panicking()
            && self.outlives_client
            && self.state.run.has_sent_unsafe_call()
        {
            self.state.record_departure();
            self.custody.adopt(future, Arc::clone(&self.early), &self.state.run.exchange);
        }
    }
}
