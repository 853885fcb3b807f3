//! Failures on their way to the client: `errors` rules and the problem members they make.
//!
//! Rendering the problem document is the respond layer's; here an [`Error`] gets what the route says.
//! A member of a `problem` that cannot be evaluated is left out, and the rest of it stands: the client
//! is told of the failure that happened, not of one in its description.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, StatusCode};

pub(super) use crate::policy::facts::fault;

use super::{aside::aside, render, state::State};
use crate::{
    content::{BodyUse, Content},
    error::{Document, Error},
    expr::{EvalError, Frame, Program, Shape, Text, sliced},
    plan::{ErrorRule, Problem, Values, answer::StatusTemplate},
    policy::error_body,
};

/// Applies the first of the route's `errors` that matches.
pub(super) async fn explain(state: &Arc<State>, error: Error) -> Error {
    let answer = error.upstream_answer();
    let long = answer.is_some_and(|answer| Content::is_long(&answer.body, BodyUse::Parsed));
    if !long && let Some(explained) = sliced(&state.run.meter, || explained(state, &error)) {
        return explained;
    }
    let (run, state, failed) = (&state.run, Arc::clone(state), error.clone());
    aside(run, move || Ok(explained(&state, &failed))).await.unwrap_or(error)
}

fn explained(state: &State, error: &Error) -> Error {
    let rules = state.run.errors();
    let view = error_body::Failure::new(state, error, reads_upstream(rules));
    let frame = Frame::new(&view, &state.run.meter, &[]);
    let matching = rules.iter().position(|rule| match &rule.when {
        Some(when) => when.test(&frame).unwrap_or(false),
        None => true,
    });
    state.run.exchange.record().rule = matching;
    match matching.and_then(|matching| rules.get(matching)) {
        Some(rule) => apply(&rule.problem, error.clone(), &frame),
        None => error.clone(),
    }
}

/// Whether the route's rules or the shape of its errors read `error.upstream`.
pub(super) fn keeps_upstream(state: &State) -> bool {
    let shape = &state.run.route().policies.error_body;
    reads_upstream(state.run.errors()) || shape.as_ref().is_some_and(|shape| shape.reads_upstream())
}

/// Whether any rule reads `error.upstream`, so that a failed answer's body is worth keeping.
fn reads_upstream(rules: &[ErrorRule]) -> bool {
    let wanted = error_body::reads_upstream;
    let in_text =
        |text: &Option<Text>| text.as_ref().is_some_and(|text| text.references().any(|r| wanted(&r)));
    let in_shape = |shape: &Shape| shape.references().iter().any(wanted);
    let in_program = |program: &Program| program.references().iter().any(wanted);
    rules.iter().any(|rule| {
        let problem = &rule.problem;
        rule.when.as_ref().is_some_and(in_program)
            || matches!(&problem.status, Some(StatusTemplate::Expression(program)) if in_program(program))
            || [&problem.type_uri, &problem.title, &problem.detail].into_iter().any(in_text)
            || problem.members.iter().any(|(_, shape)| in_shape(shape))
            || problem.headers.iter().any(|(_, Values(texts))| {
                texts.iter().any(|text| text.references().any(|reference| wanted(&reference)))
            })
    })
}

/// Sets what a `problem` says over a failure.
pub(super) fn apply<'a>(problem: &'a Problem, mut error: Error, frame: &Frame<'a, '_>) -> Error {
    let words = |text: &'a Option<Text>| {
        let value = text.as_ref()?.eval(frame).ok()?;
        render::text(&value, frame.meter).ok().map(Cow::into_owned)
    };
    let mut members = Vec::with_capacity(problem.members.len());
    for (name, shape) in &problem.members {
        let mut json = Vec::new();
        if let Ok(true) = shape.write(frame, &mut json) {
            members.push((name.clone(), json));
        }
    }
    if let Some(status) = &problem.status
        && let Ok(status) = status_of(status, frame)
    {
        error = error.status(status);
    }
    if let Some(detail) = words(&problem.detail) {
        error = error.detail(detail);
    }
    let mut headers = HeaderMap::new();
    for (name, values) in &problem.headers {
        // A refused value leaves its own field out.
        let mut one = HeaderMap::new();
        if render::header(name, values, frame, &mut one).is_ok() {
            for value in one.into_iter().map(|(_, value)| value) {
                headers.append(name.clone(), value);
            }
        }
    }
    for (name, value) in &headers {
        error = error.header(name.clone(), value.clone());
    }
    error.document(Document { type_uri: words(&problem.type_uri), title: words(&problem.title), members })
}

/// Evaluates a status: an integer from 200 to 599.
pub(super) fn status_of<'a>(
    status: &'a StatusTemplate,
    frame: &Frame<'a, '_>,
) -> Result<StatusCode, EvalError> {
    const REFUSED: EvalError = EvalError::Failed(Cow::Borrowed("a status is an integer from 200 to 599"));
    let program = match status {
        StatusTemplate::Fixed(status) => return Ok(*status),
        StatusTemplate::Expression(program) => program,
    };
    let number = program.eval(frame)?.present().and_then(|value| value.as_i64());
    let status =
        number.and_then(|number| u16::try_from(number).ok()).filter(|status| (200..=599).contains(status));
    status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or(REFUSED)
}
