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
    aside::evaluate,
    attempt::locals,
    failure, nested,
    output::{Ended, Item, Many, Output, Single},
    render,
    retry::call,
    state::State,
    step::{ended, failed, report_late, single},
};
use crate::{
    error::Error,
    expr::{EvalError, Value},
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
    let whole = |single| state.settle(index, Output::One(single), started);
    let (list, count) = match evaluate(&env.state, index, None, elements).await {
        Ok(list) => list,
        Err(error) => {
            let ended = Ended::Failed(failed(step, error));
            return whole(single(env, (index, step), ended, None).await);
        }
    };
    let required = matches!(step.tolerance, Tolerance::Required);
    let cuttable = !required && !step.safe;
    let composes = matches!(step.action, Action::Compose(_));

    let mut results: Vec<Option<Item>> = Vec::with_capacity(count);
    results.resize_with(count, || None);
    let reports = Reports::default();
    let mut running = FuturesUnordered::new();
    let (mut next, mut ended) = (0, 0);
    // Until every item has, and no longer: unsafe calls of a Composition may outlive it.
    while ended < count {
        while next < count && running.len() < each.concurrency.max(1) {
            running.push(item(env, (index, step), &list, next, &reports));
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
        let single = single(env, (index, step), result, Some((&list, position))).await;
        if is_final(&single, required) {
            whole(single);
            // Safe calls in flight are dropped with this future; unsafe ones run to their end.
            return finish_late(step, running).await;
        }
        ended += 1;
        results[position] = Some(Item { list: Arc::clone(&list), index: position, key, single, composes });
    }
    // Only the cut leaves items without a result.
    let mut items = Vec::with_capacity(count);
    for (position, result) in results.into_iter().enumerate() {
        if let Some(item) = result {
            items.push(item);
            continue;
        }
        let here = Some((&*list, position));
        let ended = Ended::Failed(failed(step, Kind::DeadlineExceeded.into()));
        let single = single(env, (index, step), ended, here).await;
        if is_final(&single, required) {
            whole(single);
            return finish_late(step, running).await;
        }
        let key = evaluate(&env.state, index, here, key).await.ok().flatten();
        items.push(Item { list: Arc::clone(&list), index: position, key, single, composes });
    }
    state.settle(index, Output::Many(Many::new(items)), started);
    finish_late(step, running).await;
}

/// Whether an item's failure is the step's: nothing tolerates it.
const fn is_final(single: &Single, required: bool) -> bool {
    matches!(&single.ended, Ended::Failed(failure) if required || failure.helpless)
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
    (index, step): (usize, &'a Step),
    list: &'a Document,
    position: usize,
    reports: &'a Reports,
) -> Option<Finished> {
    let key = match step.for_each.as_ref().is_some_and(|each| each.key.is_some()) {
        true => evaluate(&env.state, index, Some((list, position)), key).await,
        false => Ok(None),
    };
    let key = match key {
        Ok(key) => key,
        Err(error) => return Some((position, None, Ended::Failed(failed(step, error)))),
    };
    match &step.action {
        Action::Call(action) => {
            let result = call(env, index, (step, action), Some((list, position)), Instant::now()).await;
            Some((position, key, ended(result)))
        }
        Action::Compose(nested) => {
            let report = Box::new(move |ended| {
                reports.add((position, key, ended));
                Box::pin(std::future::ready(())) as nested::Reported<'_>
            });
            nested::run(env, (index, step, nested), Some((list, position)), report).await;
            None
        }
    }
}

/// The list as a document of its own, so that items can refer to it while they are in flight and after.
fn elements(state: &State, step: &Step, _: super::aside::Item<'_>) -> Result<(Arc<Document>, usize), Error> {
    let each = step.for_each.as_ref().ok_or(Kind::Internal)?;
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

fn key(state: &State, step: &Step, item: super::aside::Item<'_>) -> Result<Option<String>, Error> {
    let Some(key) = step.for_each.as_ref().and_then(|each| each.key.as_ref()) else {
        return Ok(None);
    };
    let local = locals(item);
    let value = key.eval(&state.frame(local.as_slice())).map_err(failure::fault)?;
    let text = render::text(&value, &state.run.meter).map_err(failure::fault)?;
    Ok(Some(text.into_owned()))
}
