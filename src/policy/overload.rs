//! Sheds requests when a worker has more to do than it can, or the process is short of memory: `priority`,
//! and the Gateway's `limits.adaptive` and `limits.memory`.
//!
//! A worker counts the requests between their head and their answer's head, and has a limit for them that is
//! none as long as it keeps up (`limit.rs`). What is past the limit is 503 `overloaded` at once, with
//! `retry-after`, and the limit is lower for lower priorities, so that they are shed first. Memory works
//! likewise: each priority has a fullness at which it is shed. What follows an answer's head (a download, an
//! event stream, a WebSocket) is paced by others and has bounds of its own; counted, streams that never end
//! would take the places of all other requests.
//!
//! The limit follows how late the worker comes to what is due, not how long answers take as the gradient limits
//! of Envoy and of Netflix do: a slow service of one unit would make a gateway refuse everybody's requests, and
//! it can only be told from a slow gateway by looking at the gateway. A limit per worker is exact where load is
//! not even, and costs no core the cache line of another.
//!
//! tower's `LoadShed` refuses what its inner service is not ready for; here nothing is ever not ready. Place it
//! inside of what makes errors into answers, and outside of all that costs something.

pub mod beside;
mod limit;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use beside::{Heavy, Queue, Weight};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Priority, gate};
use crate::{
    body::Body,
    error::Error,
    memory::Memory,
    problem::Kind,
    telemetry::{Exchange, Refuser, Shed},
};

/// Seconds after which somebody who was shed may try again.
const RETRY_AFTER: u64 = 1;

/// How much a worker has to do.
pub struct Overload {
    /// One clone is out per request under way: taking one and counting it is the same.
    places: Arc<()>,
    limit: AtomicU32,
    /// How many of a thousand requests of each priority are shed, and how many thousandths of one are due.
    pressure: [(AtomicU32, AtomicU32); 4],
    control: Mutex<limit::Control>,
    memory: Arc<Memory>,
    shed: Shed,
}

/// A request that is counted until this is dropped.
#[derive(Debug)]
#[allow(dead_code, reason = "its count is what matters")]
struct Place(Arc<()>, Option<Heavy>);

/// See the module.
#[derive(Clone, Debug)]
pub struct OverloadLayer {
    gate: Arc<Gate>,
}

/// Who may pass.
#[derive(Debug)]
struct Gate {
    overload: Arc<Overload>,
    adaptive: bool,
    priority: Priority,
    /// Of a route that may give work away, and the queue that it goes to.
    weight: Option<(Arc<Weight>, Arc<Queue>)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct OverloadService<S> {
    inner: S,
    gate: Arc<Gate>,
}

pin_project! {
    /// The answer, and the request's place until its head is there.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        future: gate::ResponseFuture<F>,
        place: Option<Place>,
        weight: Option<Arc<Weight>>,
    }
}

// === impl Overload ===

impl Overload {
    /// Of a worker that has nothing to do yet.
    #[must_use]
    pub fn new(memory: Arc<Memory>, shed: Shed) -> Self {
        Self {
            places: Arc::default(),
            limit: AtomicU32::new(limit::NONE),
            pressure: Default::default(),
            control: Mutex::new(limit::Control::new(limit::FLOOR)),
            memory,
            shed,
        }
    }

    /// Notes how late the worker came to what was due. To be called at regular times.
    pub fn late(&self, lag: Duration) {
        beside::look();
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.limit.load(Relaxed);
        let after = control.sample(lag, self.under_way(), before);
        self.limit.store(after, Relaxed);
        for (share, (of, _)) in control.pressure().into_iter().zip(&self.pressure) {
            of.store(share, Relaxed);
        }
        if before == limit::NONE && after != limit::NONE {
            tracing::warn!(?lag, limit = after, "a worker has more to do than it can: requests are shed");
        }
    }

    /// Whether it is a request's turn to be shed.
    fn is_pressed(&self, priority: Priority) -> bool {
        let (share, due) = &self.pressure[priority as usize];
        // Only this worker counts here, so that nothing is lost between the two.
        let sum = due.load(Relaxed) + share.load(Relaxed);
        due.store(sum % 1000, Relaxed);
        sum >= 1000
    }

    fn under_way(&self) -> u32 {
        u32::try_from(Arc::strong_count(&self.places) - 1).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overload").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// From which fullness of memory on a priority is shed, in thousandths. The last one meets the end of accepting.
const fn full_for(priority: Priority) -> u32 {
    match priority {
        Priority::Low => 850,
        Priority::Normal => 875,
        Priority::High => 900,
        Priority::Critical => crate::memory::STOP_ACCEPTING,
    }
}

// === impl OverloadLayer ===

impl OverloadLayer {
    /// For requests of a priority. Without `adaptive` only memory counts.
    #[must_use]
    pub fn new(overload: &Arc<Overload>, adaptive: bool, priority: Priority) -> Self {
        Self { gate: Arc::new(Gate { overload: Arc::clone(overload), adaptive, priority, weight: None }) }
    }

    /// For a route of a unit, whose endpoint may give work to threads beside the worker.
    #[must_use]
    pub fn of_composition(self, unit: &Arc<str>) -> Self {
        let Gate { overload, adaptive, priority, .. } = &*self.gate;
        let weight = adaptive.then(|| (Arc::default(), beside::of(unit)));
        let overload = Arc::clone(overload);
        Self { gate: Arc::new(Gate { overload, adaptive: *adaptive, priority: *priority, weight }) }
    }
}

impl<S> Layer<S> for OverloadLayer {
    type Service = OverloadService<S>;

    fn layer(&self, inner: S) -> OverloadService<S> {
        OverloadService { inner, gate: Arc::clone(&self.gate) }
    }
}

// === impl Gate ===

impl Gate {
    fn enter(&self) -> Result<Option<Place>, Error> {
        let Self { overload, adaptive, priority, weight } = self;
        let fullness = overload.memory.fullness();
        if fullness >= full_for(*priority) {
            overload.shed.memory[*priority as usize].increment(1);
            return Err(Error::new(Kind::Overloaded).cause(format_args!("memory is at {fullness}‰")));
        }
        if !adaptive {
            return Ok(None);
        }
        let limit = overload.limit.load(Relaxed);
        let full =
            || overload.under_way() >= limit::share(limit, *priority) || overload.is_pressed(*priority);
        if limit != limit::NONE && full() {
            overload.shed.work[*priority as usize].increment(1);
            return Err(Error::new(Kind::Overloaded).cause(format_args!("the worker's limit is {limit}")));
        }
        let mut heavy = None;
        if let Some((weight, queue)) = weight.as_ref().filter(|(weight, _)| weight.is_heavy()) {
            match queue.enter(*priority) {
                Ok(place) => heavy = Some(place),
                Err(limit) => {
                    overload.shed.work[*priority as usize].increment(1);
                    let cause = format_args!("the limit of the unit's long evaluations is {limit}");
                    return Err(Error::new(Kind::Overloaded).cause(cause));
                }
            }
            weight.admitted();
        }
        Ok(Some(Place(Arc::clone(&overload.places), heavy)))
    }
}

// === impl OverloadService ===

impl<S> Service<Request<Body>> for OverloadService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.gate.enter() {
            Ok(place) => ResponseFuture {
                future: gate::ResponseFuture::admitted(self.inner.call(request)),
                place,
                weight: self.gate.weight.as_ref().map(|(weight, _)| Arc::clone(weight)),
            },
            Err(error) => {
                if let Some(exchange) = request.body().cargo::<Exchange>() {
                    exchange.record().refuser = Some(Refuser::Overload);
                }
                let error = error.detail("there is too much to do").retry_after(RETRY_AFTER);
                ResponseFuture { future: gate::ResponseFuture::refused(error), place: None, weight: None }
            }
        }
    }
}

// === impl ResponseFuture ===

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.weight {
            None => this.future.poll(cx),
            Some(weight) => {
                let before = beside::given();
                let answer = this.future.poll(cx);
                if beside::given() != before {
                    weight.note();
                }
                answer
            }
        };
        let answer = std::task::ready!(answer);
        *this.place = None;
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests;
