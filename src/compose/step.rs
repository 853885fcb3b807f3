//! A step from its start until it has settled, and for an unsafe call until that has ended.

use tokio::time::Instant;

use super::{
    Env,
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
    let settle = |ended| state.settle(index, Output::One(single(state, step, ended, None)), started);
    match step.when.as_ref().map(|when| when.test(&state.frame(&[]))) {
        None | Some(Ok(true)) => {}
        Some(Ok(false)) => return settle(Ended::Skipped),
        Some(Err(error)) => return settle(Ended::Failed(failed(step, failure::fault(error)))),
    }
    if let Some(each) = &step.for_each {
        // Boxed, and what follows too: larger than an ordinary call's future, and rarer.
        return Box::pin(fan_out::run(env, index, step, each, started)).await;
    }
    let action = match &step.action {
        Action::Call(call) => call,
        Action::Compose(composition) => {
            let report = |ended| settle(ended);
            return nested::run(env, (index, step, composition), None, Box::new(report)).await;
        }
    };
    if step.safe || matches!(step.tolerance, Tolerance::Required) {
        return settle(ended(call(env, index, (step, action), None, started).await));
    }
    // The call of a tolerated unsafe step runs on when its time for the answer is over.
    let mut call = Box::pin(call(env, index, (step, action), None, started));
    match within(state.run.cut, &mut call).await {
        Some(result) => settle(ended(result)),
        None => {
            settle(Ended::Failed(failed(step, Kind::DeadlineExceeded.into())));
            report_late(step, ended(call.await));
        }
    }
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
pub(super) fn single(
    state: &State,
    step: &Step,
    mut ended: Ended,
    item: Option<(&Document, usize)>,
) -> Single {
    let mut stand_in = None;
    match (&mut ended, &step.tolerance) {
        // A `forEach` has a fallback per item, and none of its own.
        (Ended::Failed(_) | Ended::Skipped, Tolerance::Fallback(shape))
            if step.for_each.is_none() || item.is_some() =>
        {
            let local = locals(item);
            let mut out = Vec::new();
            let written = shape.write(&state.frame(local.as_slice()), &mut out);
            match written.and_then(|written| if written { made(out).map(Some) } else { Ok(None) }) {
                Ok(document) => stand_in = Some(document),
                // Nothing stands in: readers of the body fail with this step's name.
                Err(error) => ended = Ended::Failed(failed(step, failure::fault(error))),
            }
        }
        // Of a failed optional step nothing but its outcome and its error is left, even if an answer came.
        (Ended::Failed(failure), Tolerance::Optional) if step.for_each.is_none() => failure.head = None,
        _ => {}
    }
    Single { ended, stand_in }
}
