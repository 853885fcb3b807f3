//! A step from its start until it has settled, and for an unsafe call until that has ended.

use tokio::time::Instant;

use super::{
    Env,
    aside::{Item, evaluate},
    attempt::locals,
    bound::within,
    failure, fan_out, nested,
    output::{Ended, Failure, Output, Received, Single},
    retry::call,
    state::State,
    vars::made,
};
use crate::{
    error::Error,
    json::Document,
    plan::{Action, Step, Tolerance},
    problem::Kind,
    upstream::Caller,
};

/// Runs a step. It settles its own output; the future may go on after that, because an unsafe call is
/// never cut.
pub(super) async fn run<C: Caller>(env: &Env<C>, index: usize, step: &Step) {
    let state = &*env.state;
    let started = Instant::now();
    state.begin(index, started);
    if step.when.is_some() {
        match evaluate(&env.state, index, None, when).await {
            Ok(true) => {}
            Ok(false) => return settle(env, (index, step), Ended::Skipped, started).await,
            Err(error) => {
                return settle(env, (index, step), Ended::Failed(failed(step, error)), started).await;
            }
        }
    }
    if let Some(each) = &step.for_each {
        // Boxed, and what follows too: larger than an ordinary call's future, and rarer.
        return Box::pin(fan_out::run(env, index, step, each, started)).await;
    }
    let action = match &step.action {
        Action::Call(call) => call,
        Action::Compose(composition) => {
            let report =
                move |ended| Box::pin(settle(env, (index, step), ended, started)) as nested::Reported<'_>;
            return nested::run(env, (index, step, composition), None, Box::new(report)).await;
        }
    };
    if step.safe || matches!(step.tolerance, Tolerance::Required) {
        let ended = ended(call(env, index, (step, action), None, started).await);
        return settle(env, (index, step), ended, started).await;
    }
    // The call of a tolerated unsafe step runs on when its time for the answer is over.
    let mut call = Box::pin(call(env, index, (step, action), None, started));
    match within(state.run.cut, &mut call).await {
        Some(result) => settle(env, (index, step), ended(result), started).await,
        None => {
            let late = Ended::Failed(failed(step, Kind::DeadlineExceeded.into()));
            settle(env, (index, step), late, started).await;
            report_late(step, ended(call.await));
        }
    }
}

fn when(state: &State, step: &Step, _: Item<'_>) -> Result<bool, Error> {
    step.when.as_ref().map_or(Ok(true), |when| when.test(&state.frame(&[])).map_err(failure::fault))
}

/// Settles a step that ended as a whole.
async fn settle<C: Caller>(env: &Env<C>, (index, step): (usize, &Step), ended: Ended, started: Instant) {
    let single = single(env, (index, step), ended, None).await;
    env.state.settle(index, Output::One(single), started);
}

/// Says how an unsafe call ended that nobody waits for any more.
pub(super) fn report_late(step: &Step, ended: Ended) {
    let code = match ended {
        Ended::Failed(failure) => failure.error.kind().code(),
        Ended::Ok(_) | Ended::Composed(_) | Ended::Skipped => "ok",
    };
    tracing::warn!(step = &*step.name, code, "an unsafe call ended after the answer was decided");
}

pub(super) fn failed(step: &Step, error: Error) -> Failure {
    error.step(&step.name).into()
}

pub(super) fn ended(result: Result<Box<Received>, Failure>) -> Ended {
    match result {
        Ok(received) => Ended::Ok(received),
        Err(failure) => Ended::Failed(failure),
    }
}

/// A settled call with what its tolerance makes of it.
pub(super) async fn single<C: Caller>(
    env: &Env<C>,
    (index, step): (usize, &Step),
    mut ended: Ended,
    item: Item<'_>,
) -> Single {
    match (&mut ended, &step.tolerance) {
        // A `forEach` has a fallback per item, and none of its own.
        (Ended::Failed(_) | Ended::Skipped, Tolerance::Fallback(_))
            if step.for_each.is_none() || item.is_some() =>
        {
            return Box::pin(stand_in(env, (index, step), ended, item)).await;
        }
        // Of a failed optional step nothing but its outcome and its error is left, even if an answer came.
        (Ended::Failed(failure), Tolerance::Optional) if step.for_each.is_none() => failure.head = None,
        _ => {}
    }
    Single { ended, stand_in: None }
}

/// What stands in for a body. A fallback that fails tolerates nothing.
async fn stand_in<C: Caller>(
    env: &Env<C>,
    (index, step): (usize, &Step),
    ended: Ended,
    item: Item<'_>,
) -> Single {
    match evaluate(&env.state, index, item, fallback).await {
        Ok(document) => Single { ended, stand_in: Some(document) },
        Err(error) => Single { ended: Ended::Failed(helpless(step, ended, &error)), stand_in: None },
    }
}

fn fallback(state: &State, step: &Step, item: Item<'_>) -> Result<Option<Document>, Error> {
    let Tolerance::Fallback(shape) = &step.tolerance else { return Ok(None) };
    let local = locals(item);
    let mut out = Vec::new();
    let written = shape.write(&state.frame(local.as_slice()), &mut out).map_err(failure::fault)?;
    if written { made(out).map(Some).map_err(failure::fault) } else { Ok(None) }
}

/// The failure of a step whose fallback failed. It says what made the fallback necessary, because that is
/// where whoever looks for the reason has to begin.
fn helpless(step: &Step, ended: Ended, error: &Error) -> Failure {
    let words = error.public_detail().unwrap_or_else(|| error.kind().title());
    let first = match ended {
        Ended::Failed(failure) => Some(failure),
        Ended::Ok(_) | Ended::Composed(_) | Ended::Skipped => None,
    };
    let why = match &first {
        Some(first) => format!("the step failed ({}), and so did its `fallback`", first.error.kind().code()),
        None => "the step was skipped, and its `fallback` failed".to_owned(),
    };
    let mut both = Error::new(error.kind()).step(&step.name).detail(format!("{why}: {words}"));
    if let Some(Failure { error: first, .. }) = &first {
        let cause = first.private_cause().unwrap_or_default();
        tracing::warn!(step = &*step.name, code = first.kind().code(), cause, "a fallback failed");
        both = both.cause(format_args!("{first}: {cause}"));
        if let Some(answer) = first.upstream_answer() {
            both = both.upstream(answer.clone());
        }
    }
    Failure { error: both, head: first.and_then(|first| first.head), helpless: true }
}
