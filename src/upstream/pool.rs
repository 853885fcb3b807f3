//! One worker's connections to every upstream, and what may be under way at once.
//!
//! Locks here are the worker's own and held for a few instructions, never over an await.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue, Response};
use tokio::time::MissedTickBehavior;

use super::{Caller, Outgoing, Upstream, counters::Counters, send, slot::Slot};
use crate::{body::Body, error::Error};

/// A tick of a worker's clock. Idle times and ages are counted in ticks, so that no call reads a clock
/// for them.
const TICK: Duration = Duration::from_secs(1);
/// How many ticks an idle connection is kept.
pub(super) const MOST_IDLE: u32 = 60;

/// A lock that survives a panic of its holder: what it guards is valid between any two instructions.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One worker's connections.
#[derive(Default)]
pub struct Upstreams {
    worker: Arc<Worker>,
}

#[derive(Default)]
struct Worker {
    /// By seat.
    locals: Mutex<Vec<Option<Arc<Local>>>>,
    clock: Arc<AtomicU32>,
    sweeping: AtomicBool,
}

/// A place in every worker's table, so that a call finds its upstream without a hash.
#[derive(Debug)]
pub(super) struct Seat(usize);

static SEATS: Mutex<(usize, Vec<usize>)> = Mutex::new((0, Vec::new()));

impl Seat {
    pub(super) fn take() -> Self {
        let (next, free) = &mut *lock(&SEATS);
        Self(free.pop().unwrap_or_else(|| {
            *next += 1;
            *next - 1
        }))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&SEATS).1.push(self.0);
    }
}

/// An upstream as one worker has it.
pub(super) struct Local {
    pub(super) upstream: Arc<Upstream>,
    /// By endpoint.
    pub(super) slots: Box<[Slot]>,
    /// Copies that no other worker counts references of.
    pub(super) headers: Box<[(HeaderName, HeaderValue)]>,
    pub(super) counters: Arc<Counters>,
    clock: Arc<AtomicU32>,
    /// Connections do not come back any more.
    closed: AtomicBool,
}

/// A call under way: counted against its endpoint until it is dropped, which the answer's body does.
pub(super) struct Lease {
    pub(super) local: Arc<Local>,
    pub(super) index: usize,
}

// === impl Upstreams ===

impl Upstreams {
    /// No connections yet. Belongs to one worker; its runtime drives the connections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A reload took this upstream away: its idle connections close now, those in use when their
    /// answers have ended. Later calls with it work and leave no connection behind.
    pub fn evict(&self, upstream: &Upstream) {
        upstream.retired.store(true, Relaxed);
        let local = lock(&self.worker.locals)
            .get_mut(upstream.seat.0)
            .and_then(|place| place.take_if(|local| std::ptr::eq(&raw const *local.upstream, upstream)));
        if let Some(local) = local {
            local.close();
        }
    }

    /// Evicts every upstream that is not among these.
    pub fn retain(&self, kept: &[Arc<Upstream>]) {
        let gone: Vec<_> = lock(&self.worker.locals)
            .iter()
            .flatten()
            .filter(|local| !kept.iter().any(|kept| Arc::ptr_eq(kept, &local.upstream)))
            .map(|local| Arc::clone(&local.upstream))
            .collect();
        for upstream in gone {
            self.evict(&upstream);
        }
    }

    /// Closes every idle connection, and those in use when their answers have ended: the last act of
    /// draining.
    pub fn close(&self) {
        let locals: Vec<_> = lock(&self.worker.locals).iter().flatten().map(Arc::clone).collect();
        for local in locals {
            local.close();
        }
    }

    /// Connections that wait for a call, and shared ones.
    #[must_use]
    pub fn idle(&self, upstream: &Upstream) -> usize {
        let local = lock(&self.worker.locals).get(upstream.seat.0).cloned().flatten();
        local.map_or(0, |local| local.slots.iter().map(Slot::idle).sum())
    }

    fn local(&self, upstream: &Arc<Upstream>) -> Arc<Local> {
        let mut locals = lock(&self.worker.locals);
        if let Some(Some(local)) = locals.get(upstream.seat.0)
            && Arc::ptr_eq(&local.upstream, upstream)
        {
            return Arc::clone(local);
        }
        let local = Arc::new(Local::new(upstream, &self.worker.clock));
        if upstream.retired.load(Relaxed) {
            local.close();
            return local;
        }
        let seat = upstream.seat.0;
        if locals.len() <= seat {
            locals.resize_with(seat + 1, || None);
        }
        locals[seat] = Some(Arc::clone(&local));
        drop(locals);
        if !self.worker.sweeping.swap(true, Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(&self.worker)));
        }
        local
    }
}

impl Upstreams {
    /// As [`Caller::send`], but the future borrows nothing.
    pub fn call(
        &self,
        to: &Arc<Upstream>,
        call: Outgoing,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send + use<> {
        // Behind a pointer from the start: the future is moved several times before it is polled.
        send::send(self.local(to), Box::new(call))
    }
}

impl Caller for Upstreams {
    fn send(
        &self,
        to: &Arc<Upstream>,
        call: Outgoing,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send {
        self.call(to, call)
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = lock(&self.worker.locals).iter().flatten().count();
        f.debug_struct("Upstreams").field("known", &known).finish_non_exhaustive()
    }
}

/// Moves the worker's clock on and closes what is idle for too long or too old.
///
/// That a timer is always due soon has a second use: the runtime interrupts its own wait by a system
/// call whenever a call's timeout is the earliest timer of all.
async fn sweep(worker: Weak<Worker>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut refused = 0;
    loop {
        ticks.tick().await;
        let Some(worker) = worker.upgrade() else {
            return;
        };
        let now = worker.clock.fetch_add(1, Relaxed) + 1;
        let locals: Vec<_> = lock(&worker.locals).iter().flatten().map(Arc::clone).collect();
        // All share one network. What is idle gives way once a call found no descriptor left.
        let calls = locals.first().map(|local| &local.upstream.network.descriptors.calls);
        let before = std::mem::replace(&mut refused, calls.map_or(0, |calls| calls.refused()));
        for local in &locals {
            for slot in &local.slots {
                if refused > before {
                    slot.clear_idle();
                } else {
                    slot.sweep(now);
                }
            }
            local.publish();
        }
    }
}

// === impl Local ===

impl Local {
    fn new(upstream: &Arc<Upstream>, clock: &Arc<AtomicU32>) -> Self {
        let counters = lock(&upstream.counters).set();
        let headers = upstream.headers.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or_else(|_| name.clone());
            (name, copied(value))
        });
        Self {
            slots: upstream.endpoints.iter().map(|endpoint| Slot::new(upstream, endpoint)).collect(),
            headers: headers.collect(),
            upstream: Arc::clone(upstream),
            counters,
            clock: Arc::clone(clock),
            closed: AtomicBool::new(false),
        }
    }

    /// The worker's time in ticks.
    pub(super) fn now(&self) -> u32 {
        self.clock.load(Relaxed)
    }

    pub(super) fn clock(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.clock)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    fn close(&self) {
        self.closed.store(true, SeqCst);
        for slot in &self.slots {
            slot.clear();
        }
        self.publish();
    }

    /// Lets others know how many connections there are.
    fn publish(&self) {
        let pooled = self.slots.iter().map(Slot::pooled);
        let (idle, shared) = pooled.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        self.counters.pooled(idle, shared);
    }
}

/// A value of its own, which shares no reference count.
pub(super) fn copied(value: &HeaderValue) -> HeaderValue {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    copy.set_sensitive(value.is_sensitive());
    copy
}

// === impl Lease ===

impl Lease {
    /// Counts a call, unless the service has as many as it may.
    pub(super) fn take(local: &Arc<Local>, index: usize) -> Option<Self> {
        let upstream = &*local.upstream;
        let mine = upstream.endpoints[index].usage.load.fetch_add(1, SeqCst) + 1;
        let lease = Self { local: Arc::clone(local), index };
        // Each call adds itself before it looks, so together they never exceed the limit.
        let all = if upstream.endpoints.len() == 1 { mine } else { upstream.calls_in_flight() };
        (all <= upstream.in_flight).then_some(lease)
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.local.slots[self.index]
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.local.upstream.endpoints[self.index].usage.load.fetch_sub(1, SeqCst);
    }
}
