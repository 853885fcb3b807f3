//! A step that runs a Composition: inputs checked, its steps run in a state of their own, its output
//! shaped. Deadline, trace and budgets are the route's.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Env,
    aside::{Item, evaluate, evaluate_whole},
    attempt::locals,
    check, drive, failure,
    lanes::Lanes,
    output::{Composed, Ended},
    state::State,
    step::{self, failed},
    vars::{Var, made},
};
use crate::{
    error::Error,
    expr::{EvalError, Shape},
    plan::{Action, Input, Nested, Step},
    problem::Kind,
    upstream::Caller,
};

/// What running a step of a Composition takes of the execution's fuel.
const STEP_FUEL: u64 = 20;

/// Says how a Composition ended, while unsafe calls of it may still run.
pub(super) type Report<'a> = Box<dyn FnOnce(Ended) -> Reported<'a> + Send + 'a>;

/// What there is to do when it has ended.
pub(super) type Reported<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs the Composition of a step, or of one item of it. The future ends when its last unsafe call has.
///
/// Boxed and of no type of its own, because a Composition's steps may run others.
pub(super) fn run<'a, C: Caller>(
    env: &'a Env<C>,
    (index, step, nested): (usize, &'a Step, &'a Nested),
    item: Item<'a>,
    report: Report<'a>,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        let end = env.state.end_of(index);
        let late = || failed(step, Kind::DeadlineExceeded.into());
        if env.state.is_decided() || Instant::now() >= end {
            return report(Ended::Failed(late())).await;
        }
        // A tree of Compositions that call nothing would be work without a bound, and without a pause.
        let steps = env.state.run.plan.compositions[nested.composition.index()].composition.steps.len();
        if let Err(error) = env.state.run.meter.take_fuel(STEP_FUEL * (1 + steps as u64)) {
            return report(Ended::Failed(failed(step, failure::fault(error)))).await;
        }
        tokio::task::coop::consume_budget().await;
        let state = match inputs(&env.state, (index, nested), item).await {
            Ok(inputs) => {
                State::nested(&env.state, (index, item.map(|(_, at)| at)), nested.composition, inputs)
            }
            Err(error) => return report(Ended::Failed(failed(step, error))).await,
        };
        let Some(callable) = state.callable() else {
            return report(Ended::Failed(failed(step, Kind::Internal.into()))).await;
        };
        let inner = Env { state: Arc::clone(&state), caller: Arc::clone(&env.caller) };
        let mut lanes = Lanes::new();
        let start = |index, step| step::run(&inner, index, step);
        let result = drive::steps(&inner, &callable.composition, &mut lanes, end, start).await;
        let unsettled = result.is_err().then(|| drive::decision(&state, &callable.composition, end));
        let result = match result {
            Ok(()) => evaluate_whole(&state, finish).await,
            Err(error) => Err(error),
        };
        state.decide();
        report(match result {
            Ok(composed) => Ended::Composed(Box::new(composed)),
            // The failure is the step's, whatever is inside of it.
            Err(error) => Ended::Failed(failed(step, error)),
        })
        .await;
        lanes.keep_unsafe();
        if let Some(decision) = unsettled {
            state.record_decision(decision, lanes.running());
        }
        lanes.end().await;
    })
}

/// The values of all inputs, each as its schema says.
async fn inputs(
    state: &Arc<State>,
    (index, nested): (usize, &Nested),
    item: Item<'_>,
) -> Result<Box<[Option<Var>]>, Error> {
    let all = evaluate(state, index, item, given).await?;
    let callable = &state.run.plan.compositions[nested.composition.index()];
    let mut values = Vec::with_capacity(callable.inputs.len());
    for ((input, shape), given) in callable.inputs.iter().zip(&nested.inputs).zip(all) {
        // What stands in the template was checked when it was loaded.
        let fixed = matches!(shape, Some(Shape::Literal(_)));
        values.push(match given {
            Var::Omitted => stand_in(input)?,
            given => {
                if !fixed {
                    check_input(state, input, &given).await?;
                }
                Some(given)
            }
        });
    }
    Ok(values.into())
}

/// What the step gives for each input.
fn given(state: &State, step: &Step, item: Item<'_>) -> Result<Vec<Var>, Error> {
    let Action::Compose(nested) = &step.action else { return Err(Kind::Internal.into()) };
    let local = locals(item);
    let one = |shape: &Option<Shape>| match shape {
        Some(shape) => Var::eval(shape, &state.frame(local.as_slice())).map_err(failure::fault),
        None => Ok(Var::Omitted),
    };
    nested.inputs.iter().map(one).collect()
}

/// The default of an input that is not given.
fn stand_in(input: &Input) -> Result<Option<Var>, Error> {
    match &input.default {
        Some(json) => {
            made(json.to_vec()).map(|document| Some(Var::Document(document))).map_err(failure::fault)
        }
        None if input.required => Err(refused(input, "is not given")),
        None => Ok(None),
    }
}

async fn check_input(state: &State, input: &Input, given: &Var) -> Result<(), Error> {
    let bytes = match given {
        Var::Document(document) => document.bytes().clone(),
        given => {
            let mut json = Vec::new();
            if let Some(value) = given.value() {
                value.write_json(&mut json, &state.run.meter).map_err(failure::fault)?;
            }
            Bytes::from(json)
        }
    };
    match check::violations(&state.run, &input.schema, bytes).await?.first() {
        Some(violation) if violation.pointer.is_empty() => Err(refused(input, &violation.message)),
        Some(violation) => Err(refused(input, &format!("{} at {}", violation.message, violation.pointer))),
        None => Ok(()),
    }
}

fn refused(input: &Input, why: &str) -> Error {
    failure::fault(EvalError::Failed(format!("the input `{}` {why}", input.name).into()))
}

fn finish(state: &State) -> Result<Composed, Error> {
    let callable = state.callable().ok_or(Kind::Internal)?;
    let mut json = Vec::with_capacity(512);
    let written = callable.output.write(&state.frame(&[]), &mut json).map_err(failure::fault)?;
    let output = if written { Some(made(json).map_err(failure::fault)?) } else { None };
    Ok(Composed { output, degraded: state.degraded() })
}
