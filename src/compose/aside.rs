//! Work that would hold up the other requests of a worker: done on a thread of its own, a few pieces at
//! the same time.
//!
//! An evaluation is tried within a slice first (`expr::sliced`), which nearly all are done in: no future of
//! its own, nothing cloned. Only what is cut there is run again here. It is as bounded as ever, so that
//! nobody waits for long behind it.
//!
//! Slices add up where a request has many steps that need not wait for anybody, so it counts what it has evaluated
//! since it last let others go first.

use std::sync::Arc;

use tokio::task::{spawn_blocking, yield_now};

use super::{execution::Run, state::State};
use crate::{
    background,
    error::Error,
    expr::{Meter, sliced},
    json::Document,
    plan::Step,
    policy::overload::beside,
    problem::Kind,
};

/// An item of a `forEach`: the list and the position in it.
pub(super) type Item<'a> = Option<(&'a Document, usize)>;

/// Evaluates something of a step, or of one of its items: here if it fits a slice, else aside.
pub(super) async fn evaluate<T: Send + 'static>(
    state: &Arc<State>,
    index: usize,
    item: Item<'_>,
    work: fn(&State, &Step, Item<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let of_step = move |state: &State, item: Item<'_>| {
        let step = state.composition().and_then(|composition| composition.steps.get(index));
        work(state, step.ok_or(Kind::Internal)?, item)
    };
    turn(&state.run.meter).await;
    if let Some(result) = sliced(&state.run.meter, || of_step(state, item)) {
        return result;
    }
    let (run, state) = (&state.run, Arc::clone(state));
    let item = item.map(|(list, at)| (list.clone(), at));
    Box::pin(aside(run, move || of_step(&state, item.as_ref().map(|(list, at)| (list, *at))))).await
}

/// Lets the other requests of the worker go first, those whose bytes have come in the meantime included, if this
/// one has evaluated a slice's worth since it last did.
pub(super) async fn turn(meter: &Meter) {
    while let Some(turn) = meter.turn_is_over() {
        yield_now().await;
        meter.begin_turn(turn);
    }
}

/// Evaluates something of a whole composition in the same way.
pub(super) async fn evaluate_whole<T: Send + 'static>(
    state: &Arc<State>,
    work: impl Fn(&State) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if let Some(result) = sliced(&state.run.meter, || work(state)) {
        return result;
    }
    let (run, state) = (&state.run, Arc::clone(state));
    Box::pin(aside(run, move || work(&state))).await
}

#[cfg(test)]
thread_local! {
    /// How many pieces of work this thread has given away.
    pub(super) static RUNS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Runs a piece of work aside. It runs on if nobody waits for it any more.
pub(super) async fn aside<T: Send + 'static>(
    run: &Run,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    #[cfg(test)]
    RUNS.set(RUNS.get() + 1);
    let place = beside::of(&run.route().unit).place().await;
    let done = spawn_blocking(move || {
        let _place = place;
        background::enter();
        work()
    });
    match done.await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Kind::Internal).cause(error)),
    }
}
