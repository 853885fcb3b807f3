//! `forEach`: one call per element, a bounded number at the same time, results in input order.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::{
    Env,
    attempt::{attempt, locals},
    failure,
    output::{Ended, Failure, Item, Many, Output, Received},
    render,
    state::State,
    step::{ended, failed, report_late, single},
};
use crate::{
    error::Error,
    expr::{EvalError, Value},
    json::Document,
    plan::{ForEach, Step, Tolerance},
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
    let (list, count) = match elements(state, each) {
        Ok(list) => list,
        Err(error) => return whole(error),
    };
    let required = matches!(step.tolerance, Tolerance::Required);
    let cuttable = !required && !step.call.safe;

    let mut results: Vec<Option<Item>> = Vec::with_capacity(count);
    results.resize_with(count, || None);
    let mut running = FuturesUnordered::new();
    let mut next = 0;
    loop {
        while next < count && running.len() < each.concurrency.max(1) {
            running.push(item(env, index, step, each, &list, next));
            next += 1;
        }
        let finished = if cuttable {
            let Ok(finished) = timeout_at(state.cut, running.next()).await else {
                break;
            };
            finished
        } else {
            running.next().await
        };
        let Some((position, key, result)) = finished else {
            break;
        };
        let result = match result {
            Err(failure) if required => {
                state.settle(index, Output::One(single(state, step, Ended::Failed(failure), None)), started);
                // Safe calls in flight are dropped with this future; unsafe ones run to their end.
                return finish_late(step, running).await;
            }
            result => result,
        };
        let single = single(state, step, ended(result), Some((&list, position)));
        results[position] = Some(Item { list: Arc::clone(&list), index: position, key, single });
    }
    // Only the cut leaves items without a result.
    let mut items = Vec::with_capacity(count);
    for (position, result) in results.into_iter().enumerate() {
        items.push(result.unwrap_or_else(|| {
            let ended = Ended::Failed(failed(step, Kind::DeadlineExceeded.into()));
            let single = single(state, step, ended, Some((&list, position)));
            let key = key(state, each, &list, position).ok().flatten();
            Item { list: Arc::clone(&list), index: position, key, single }
        }));
    }
    state.settle(index, Output::Many(Many::new(items)), started);
    finish_late(step, running).await;
}

type Finished = (usize, Option<String>, Result<Box<Received>, Failure>);

async fn finish_late(step: &Step, mut running: FuturesUnordered<impl Future<Output = Finished>>) {
    if step.call.safe {
        return;
    }
    while let Some((_, _, result)) = running.next().await {
        report_late(step, result.err());
    }
}

async fn item<C: Caller>(
    env: &Env<C>,
    index: usize,
    step: &Step,
    each: &ForEach,
    list: &Document,
    position: usize,
) -> Finished {
    let key = match key(&env.state, each, list, position) {
        Ok(key) => key,
        Err(error) => return (position, None, Err(failed(step, failure::fault(error)))),
    };
    (position, key, attempt(env, index, step, Some((list, position)), Instant::now()).await)
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
    value.write_json(&mut json, &state.meter).map_err(failure::fault)?;
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
    Ok(Some(render::text(&value, &state.meter)?.into_owned()))
}
