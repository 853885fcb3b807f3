//! More attempts of a call: for the reasons that the step names, within the service's budget, and only
//! while another one fits the deadline.
//!
//! A `Retry-After` in seconds is the least wait; one that is a date is not waited for, so that nothing is
//! sent before it.

use std::time::Duration;

use http::header::RETRY_AFTER;
use tokio::time::{Instant, sleep_until};

use super::{
    Env,
    attempt::attempt,
    output::{Failure, Received},
};
use crate::{
    json::Document,
    plan::{Call, Retry, Step},
    problem::Kind,
    upstream::Caller,
};

/// Calls a step, or one item of it, as often as its `retry` says.
pub(super) async fn call<C: Caller>(
    env: &Env<C>,
    index: usize,
    (step, call): (&Step, &Call),
    item: Option<(&Document, usize)>,
    now: Instant,
) -> Result<Box<Received>, Failure> {
    let Some(retry) = &step.retry else {
        return attempt(env, index, (step, call), item, (now, 0)).await;
    };
    // Boxed: larger than an ordinary call's future, and rarer.
    Box::pin(repeated(env, index, (step, call), item, retry)).await
}

async fn repeated<C: Caller>(
    env: &Env<C>,
    index: usize,
    (step, call): (&Step, &Call),
    item: Option<(&Document, usize)>,
    retry: &Retry,
) -> Result<Box<Received>, Failure> {
    let run = &env.state.run;
    let budget = &run.upstreams[call.service.index()].retries;
    budget.deposit();
    let end = env.state.end_of(index);
    let mut wait = retry.initial;
    let mut tries = 0u8;
    for _ in 1..retry.attempts {
        let result = attempt(env, index, (step, call), item, (Instant::now(), tries)).await;
        tries = tries.saturating_add(1);
        let Err(failure) = &result else { return result };
        let least = match is_worth_it(retry, failure) {
            Some(least) if !env.state.is_decided() => least,
            _ => return result,
        };
        let again = Instant::now() + jittered(wait, retry.initial).max(least);
        if again >= end || !budget.withdraw() {
            return result;
        }
        sleep_until(again).await;
        wait = (wait * 2).min(retry.max);
    }
    attempt(env, index, (step, call), item, (Instant::now(), tries)).await
}

/// The least wait before another attempt; nothing if there is to be none.
fn is_worth_it(retry: &Retry, failure: &Failure) -> Option<Duration> {
    let error = &failure.error;
    let listed = match error.kind() {
        Kind::UpstreamUnreachable => retry.on.has("connect"),
        Kind::UpstreamReset => retry.on.has("reset"),
        Kind::UpstreamTimeout => retry.on.has("timeout"),
        _ => error.upstream_answer().is_some_and(|answer| retry.on.has_status(answer.status)),
    };
    let dated = error.response_headers().iter().any(|(name, _)| name == RETRY_AFTER);
    (listed && !dated).then(|| Duration::from_secs(error.retry_after_seconds().unwrap_or(0)))
}

/// Half to one and a half of it, never under half of the first: many that failed together come back apart.
fn jittered(wait: Duration, initial: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64()).max(initial / 2)
}
