//! One call: built, sent, bounded in time, judged, read.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, StatusCode, header};
use tokio::time::Instant;

use super::{
    Env,
    aside::{Item, aside, turn},
    bound::within,
    ending, failure, outgoing,
    output::{Failure, Received},
    own::Own,
    receive,
    state::State,
};
use crate::{
    body::Body,
    content::Content,
    error::{Error, UpstreamAnswer},
    expr::{Slot, StepField, Value, sliced},
    head::Fields,
    plan::{Action, BodyUse, Call, Endpoint, Step, Tolerance},
    problem::Kind,
    telemetry::{Trail, trail::Underway},
    upstream::{Added, Caller, Outgoing, dial::STEP},
};

/// Calls a step, or one item of it, and notes how that went. `tries` counts the attempts before it.
pub(super) async fn attempt<C: Caller>(
    env: &Env<C>,
    index: usize,
    (step, call): (&Step, &Call),
    item: Item<'_>,
    (now, tries): (Instant, u8),
) -> Result<Box<Received>, Failure> {
    let state = &*env.state;
    if let Some(late) = is_late(state, (index, step), now) {
        return Err(late);
    }
    let underway = Underway::new(state.trail(index, call, item.map(|(_, at)| at), (now, tries)));
    let result = send(env, index, (step, call), item, now, underway.trail()).await;
    let outcome = match &result {
        Ok(received) if received.stream.is_some() => {
            underway.streams();
            return result;
        }
        Ok(received) => Ok(received.content.bytes.len() as u64),
        Err(failure) => Err(failure.error.kind()),
    };
    underway.ended(outcome, Instant::now().into_std());
    result
}

/// Nothing starts once its time is over.
fn is_late(state: &State, (index, step): (usize, &Step), now: Instant) -> Option<Failure> {
    (state.is_decided() || now >= state.end_of(index))
        .then(|| Error::new(Kind::DeadlineExceeded).step(&step.name).into())
}

/// What is rare in it is boxed, because a future is moved when its step
/// starts and takes up cache while it waits, and every call has one.
async fn send<C: Caller>(
    env: &Env<C>,
    index: usize,
    (step, call): (&Step, &Call),
    item: Item<'_>,
    now: Instant,
    trail: &Trail,
) -> Result<Box<Received>, Failure> {
    let state = &*env.state;
    let tolerated = !matches!(step.tolerance, Tolerance::Required);
    let own = now + step.timeout.unwrap_or_else(|| state.run.plan.services[call.service.index()].timeout);
    // The route's deadline ends the execution, not the call: a safe one is dropped with it, an unsafe one
    // runs on. Only the earlier end of a tolerated safe call is this call's own.
    let (end, cut) = match tolerated && call.safe && state.run.cut < own {
        true => (state.run.cut, true),
        false => (own, false),
    };
    let overdue = if cut { Kind::DeadlineExceeded } else { Kind::UpstreamTimeout };

    turn(&state.run.meter).await;
    let request = sliced(&state.run.meter, || {
        let local = locals(item);
        outgoing::build(state, (step, call), local.as_slice(), (now, trail.span()))
    });
    let request = match request {
        Some(request) => request,
        None => Box::pin(build_aside(Arc::clone(&env.state), index, item, (now, trail.span()))).await,
    };
    let mut request = request.map_err(|error| error.step(&step.name))?;
    trail.asks(request.uri());
    if !call.safe {
        state.run.note_unsafe_call();
    }
    let upstream = &state.run.upstreams[call.service.index()];
    if upstream.is_rehearsed()
        && let Ok(label) = state.label(step).try_into()
    {
        request.headers_mut().insert(STEP, label);
    }
    let (added, timeout) = (Added::default(), end - now);
    let (spare, told) = (state.run.spare.clone(), Some(trail.clone()));
    let outgoing = Outgoing { request, added, safe: call.safe, timeout, overdue, spare, trail: told };
    let (head, body) = match env.caller.send(upstream, outgoing).await {
        Ok(answer) => answer.into_parts(),
        Err(error) => return Err(error.step(&step.name).into()),
    };
    let status = head.status;
    if !is_ok(step, status) {
        return Err(Box::pin(refuse(state, step, head, body, end)).await);
    }
    let headers = Fields(head.headers);
    if streams(state, index, step) {
        let content = Content::read(bytes::Bytes::new(), &headers.0, BodyUse::Forwarded);
        let content = content.unwrap_or_default();
        // The time of a call and of its route ends with the body.
        let body = ending::until((end, state.run.deadline), body);
        let stream = Some(Mutex::new(Some(ending::told(trail, body))));
        return Ok(Box::new(Received { status, headers, content, stream }));
    }
    let bytes = if step.body == BodyUse::Unread {
        receive::drain(body);
        Some(Ok(bytes::Bytes::new()))
    } else {
        within(end, receive::answer(body, &state.run)).await
    };
    let failed = |error, headers| Err(judged(step, error, status, headers, Content::default()));
    let bytes = match bytes {
        Some(Ok(bytes)) => bytes,
        Some(Err(error)) => return failed(error, headers),
        None => return failed(overdue.into(), headers),
    };
    let content = if Content::is_long(&bytes, step.body) {
        let (headers, how) = (headers.0.clone(), step.body);
        Box::pin(aside(&state.run, move || Ok(Content::read(bytes, &headers, how)))).await
    } else {
        turn(&state.run.meter).await;
        state.run.meter.worked(bytes.len());
        Ok(Content::read(bytes, &headers.0, step.body))
    };
    let content = match content {
        Ok(Ok(content)) => content,
        Err(error) => return failed(error, headers),
        Ok(Err(error)) => {
            let bad = Error::new(Kind::BadPayload).detail(error.reason);
            return failed(bad.cause(format_args!("at byte {}", error.offset)), headers);
        }
    };
    let received = Box::new(Received { status, headers, content, stream: None });
    if step.ensure.is_empty() {
        return Ok(received);
    }
    let verdict = sliced(&state.run.meter, || ensure(state, step, &received, item));
    let (received, verdict) = match verdict {
        Some(verdict) => (received, verdict),
        None => Box::pin(ensure_aside(Arc::clone(&env.state), index, item, received)).await?,
    };
    match verdict {
        Ok(()) => Ok(received),
        Err(error) => Err(judged(step, error, received.status, received.headers, received.content)),
    }
}

/// Judges an answer where that takes longer than a slice.
async fn ensure_aside(
    state: Arc<State>,
    index: usize,
    item: Item<'_>,
    received: Box<Received>,
) -> Result<(Box<Received>, Result<(), Error>), Error> {
    let (run, item) = (Arc::clone(&state.run), item.map(|(list, at)| (list.clone(), at)));
    aside(&run, move || {
        let step = state.composition().and_then(|composition| composition.steps.get(index));
        let step = step.ok_or(Kind::Internal)?;
        let verdict = ensure(&state, step, &received, item.as_ref().map(|(list, at)| (list, *at)));
        Ok((received, verdict))
    })
    .await
}

/// Builds a request that takes longer than a slice.
async fn build_aside(
    state: Arc<State>,
    index: usize,
    item: Item<'_>,
    sent: (Instant, u64),
) -> Result<Request<Body>, Error> {
    let (run, item) = (Arc::clone(&state.run), item.map(|(list, at)| (list.clone(), at)));
    aside(&run, move || {
        let step = state.composition().and_then(|composition| composition.steps.get(index));
        let step = step.ok_or(Kind::Internal)?;
        let call = step.action.call().ok_or(Kind::Internal)?;
        let local = locals(item.as_ref().map(|(list, at)| (list, *at)));
        outgoing::build(&state, (step, call), local.as_slice(), sent)
    })
    .await
}

/// A failure although an answer came whose status is ok.
fn judged(step: &Step, error: Error, status: StatusCode, headers: Fields, mut content: Content) -> Failure {
    let (body, content_type) = (std::mem::take(&mut content.bytes), content.content_type.take());
    let error = error.step(&step.name).upstream(UpstreamAnswer { status, body, content_type });
    Failure { error, head: Some(Box::new((status, headers))), helpless: false }
}

/// The loop variable of an item.
pub(super) fn locals(item: Item<'_>) -> Option<Value<'_>> {
    let (list, index) = item?;
    list.root().at(index).map(Value::Json)
}

fn is_ok(step: &Step, status: StatusCode) -> bool {
    if step.expect.is_empty() { status.is_success() } else { step.expect.contains(&status) }
}

/// A failure out of an answer whose status the step does not take.
async fn refuse(
    state: &State,
    step: &Step,
    head: http::response::Parts,
    body: Body,
    end: Instant,
) -> Failure {
    let status = head.status;
    let mut error = if step.pass_status.contains(&status) {
        Error::new(Kind::UpstreamStatus).status(status)
    } else if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        Error::new(Kind::UpstreamUnavailable)
    } else {
        Error::new(Kind::UpstreamStatus)
    };
    error = retry_after(error, status, &head.headers).step(&step.name);
    let mut answer = UpstreamAnswer { status, body: bytes::Bytes::new(), content_type: None };
    if failure::keeps_upstream(state) {
        // Judged by its status already: a body that does not come in time for an answer only leaves a rule
        // without it.
        let end = end.min(state.run.cut);
        if let Some(Ok(body)) = within(end, receive::answer(body, &state.run)).await {
            answer.body = body;
            answer.content_type = head.headers.get(header::CONTENT_TYPE).cloned();
        }
    } else {
        receive::drain(body);
    }
    let head = Some(Box::new((status, Fields(head.headers))));
    Failure { error: error.upstream(answer), head, helpless: false }
}

/// Passes on when to come again: seconds as they are, a date verbatim if it looks like one.
fn retry_after(error: Error, status: StatusCode, headers: &HeaderMap) -> Error {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return error;
    }
    let Some(value) = headers.get(header::RETRY_AFTER) else {
        return error;
    };
    let text = value.to_str().unwrap_or_default();
    if let Ok(seconds) = text.parse() {
        return error.retry_after(seconds);
    }
    let is_date = text.len() == 29 && text.ends_with(" GMT");
    if is_date { error.header(header::RETRY_AFTER, value.clone()) } else { error }
}

fn ensure(state: &State, step: &Step, received: &Received, item: Item<'_>) -> Result<(), Error> {
    let own = Own { state, received };
    let local = locals(item);
    let frame = crate::expr::Frame::new(&own, &state.run.meter, local.as_slice());
    for (that, problem) in &step.ensure {
        if !that.test(&frame).map_err(failure::fault)? {
            return Err(failure::apply(problem, Error::new(Kind::EnsureFailed), &frame));
        }
    }
    Ok(())
}

/// Whether the route's answer is this step's body and nothing else reads it: it is streamed, not held. What
/// is tolerated is read to its end first, because it can fail up to there, and so is what `ensure` judges.
fn streams(state: &State, index: usize, step: &Step) -> bool {
    let Endpoint::Compose { composition, respond, .. } = &state.run.route().endpoint else {
        return false;
    };
    let is_it = |slot| slot == Some(Slot::Step(u16::try_from(index).unwrap_or(u16::MAX), StepField::Body));
    let whole = |action: &Action| action.call()?.body.as_ref().and_then(crate::expr::Shape::as_body);
    let sent_on = |action: &Action| is_it(whole(action));
    step.body == BodyUse::Forwarded
        && state.callable().is_none()
        && matches!(step.tolerance, Tolerance::Required)
        && step.ensure.is_empty()
        && step.for_each.is_none()
        && is_it(respond.body.as_ref().and_then(crate::expr::Shape::as_body))
        && !composition.steps.iter().any(|other| sent_on(&other.action))
}
