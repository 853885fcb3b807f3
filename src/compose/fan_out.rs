//! `forEach`: one call per element, a bounded number at the same time, results in input order.

use std::{
    borrow::Cow,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::{
    Env,
    aside::aside,
    attempt::locals,
    failure, nested,
    output::{Ended, Item, Many, Output},
    render,
    retry::call,
    state::State,
    step::{ended, failed, report_late, single},
};
use crate::{
    error::Error,
    expr::{EvalError, Value, sliced},
    json::Document,
    plan::{Action, ForEach, Step, Tolerance},
    problem::Kind,
    upstream::Caller,
};

/// Runs every element of a step.
pub(super) async fn run<C: Caller>(
    env: &Env<C>,
    index: usize,
    step: &Step,
    each: &ForEach,
    started: Instant,
) {
    let state = &*env.state;
    let whole = |error: Error| {
        let ended = Ended::Failed(failed(step, error));
        state.settle(index, Output::One(single(state, step, ended, None)), started);
    };
    let found = match sliced(&state.run.meter, || elements(state, each)) {
        Some(found) => found,
        None => {
            let state = Arc::clone(&env.state);
            aside(move || {
                let step = state.composition().and_then(|composition| composition.steps.get(index));
                let each = step.and_then(|step| step.for_each.as_ref()).ok_or(Kind::Internal)?;
                elements(&state, each)
            })
            .await
        }
    };
    let (list, count) = match found {
        Ok(list) => list,
        Err(error) => return whole(error),
    };
    let required = matches!(step.tolerance, Tolerance::Required);
    let cuttable = !required && !step.safe;
    let composes = matches!(step.action, Action::Compose(_));

    let mut results: Vec<Option<Item>> = Vec::with_capacity(count);
    results.resize_with(count, || None);
    let reports = Reports::default();
    let mut running = FuturesUnordered::new();
    let mut next = 0;
    loop {
        while next < count && running.len() < each.concurrency.max(1) {
            running.push(item(env, (index, step, each), &list, next, &reports));
            next += 1;
        }
        let finished = if cuttable {
            let Ok(finished) = timeout_at(state.run.cut, reports.next(&mut running)).await else {
                break;
            };
            finished
        } else {
            reports.next(&mut running).await
        };
        let Some((position, key, result)) = finished else {
            break;
        };
        let result = match result {
            Ended::Failed(failure) if required => {
                state.settle(index, Output::One(single(state, step, Ended::Failed(failure), None)), started);
                // Safe calls in flight are dropped with this future; unsafe ones run to their end.
                return finish_late(step, running).await;
            }
            result => result,
        };
        let single = single(state, step, result, Some((&list, position)));
        results[position] = Some(Item { list: Arc::clone(&list), index: position, key, single, composes });
    }
    // Only the cut leaves items without a result.
    let mut items = Vec::with_capacity(count);
    for (position, result) in results.into_iter().enumerate() {
        items.push(result.unwrap_or_else(|| {
            let ended = Ended::Failed(failed(step, Kind::DeadlineExceeded.into()));
            let single = single(state, step, ended, Some((&list, position)));
            let key = key(state, each, &list, position).ok().flatten();
            Item { list: Arc::clone(&list), index: position, key, single, composes }
        }));
    }
    state.settle(index, Output::Many(Many::new(items)), started);
    finish_late(step, running).await;
}

/// An item's position, key and end.
type Finished = (usize, Option<String>, Ended);

/// Items that ended while unsafe calls of theirs still run: only a Composition has such.
#[derive(Default)]
struct Reports(Mutex<Vec<Finished>>);

impl Reports {
    fn add(&self, finished: Finished) {
        if let Ok(mut reports) = self.0.lock() {
            reports.push(finished);
        }
    }

    fn take(&self) -> Option<Finished> {
        self.0.lock().ok()?.pop()
    }

    /// The next item that ended; nothing when there is none any more.
    async fn next(
        &self,
        running: &mut FuturesUnordered<impl Future<Output = Option<Finished>>>,
    ) -> Option<Finished> {
        poll_fn(|cx| {
            loop {
                match running.poll_next_unpin(cx) {
                    Poll::Ready(Some(Some(finished))) => return Poll::Ready(Some(finished)),
                    Poll::Ready(Some(None)) => {}
                    Poll::Ready(None) => return Poll::Ready(self.take()),
                    Poll::Pending => return self.take().map_or(Poll::Pending, |one| Poll::Ready(Some(one))),
                }
            }
        })
        .await
    }
}

async fn finish_late(step: &Step, mut running: FuturesUnordered<impl Future<Output = Option<Finished>>>) {
    if step.safe {
        return;
    }
    while let Some(finished) = running.next().await {
        if let Some((_, _, ended)) = finished {
            report_late(step, ended);
        }
    }
}

async fn item<'a, C: Caller>(
    env: &'a Env<C>,
    (index, step, each): (usize, &'a Step, &'a ForEach),
    list: &'a Document,
    position: usize,
    reports: &'a Reports,
) -> Option<Finished> {
    let key = match key(&env.state, each, list, position) {
        Ok(key) => key,
        Err(error) => return Some((position, None, Ended::Failed(failed(step, failure::fault(error))))),
    };
    match &step.action {
        Action::Call(action) => {
            let result = call(env, index, (step, action), Some((list, position)), Instant::now()).await;
            Some((position, key, ended(result)))
        }
        Action::Compose(nested) => {
            let report = Box::new(move |ended| reports.add((position, key, ended)));
            nested::run(env, (index, step, nested), Some((list, position)), report).await;
            None
        }
    }
}

/// The list as a document of its own, so that items can refer to it while they are in flight and after.
fn elements(state: &State, each: &ForEach) -> Result<(Arc<Document>, usize), Error> {
    const NO_LIST: EvalError = EvalError::Failed(Cow::Borrowed("`forEach.in` must give a list"));
    let value = each.list.eval(&state.frame(&[])).map_err(failure::fault)?;
    // None is a list without elements, as everywhere else it is nothing.
    let value = value.present().unwrap_or_else(|| Value::List([].into()));
    let count = value.elements().ok_or(NO_LIST).map_err(failure::fault)?.len();
    if count > each.max {
        let words = format!("there are {count} items, at most {} are taken", each.max);
        return Err(Error::new(Kind::TooManyItems).detail(words));
    }
    let mut json = Vec::new();
    value.write_json(&mut json, &state.run.meter).map_err(failure::fault)?;
    state.run.meter.take_work(json.len() * 4).map_err(failure::fault)?;
    let list = Document::parse(Bytes::from(json)).map_err(|error| {
        Error::new(Kind::ExpressionError).detail("the list of `forEach` cannot be kept").cause(error.reason)
    })?;
    Ok((Arc::new(list), count))
}

fn key(state: &State, each: &ForEach, list: &Document, position: usize) -> Result<Option<String>, EvalError> {
    let Some(key) = &each.key else {
        return Ok(None);
    };
    let local = locals(Some((list, position)));
    let value = key.eval(&state.frame(local.as_slice()))?;
    Ok(Some(render::text(&value, &state.run.meter)?.into_owned()))
}
