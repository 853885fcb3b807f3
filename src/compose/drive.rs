//! The executor: starts a step when all that it needs has settled, and ends when the answer is certain.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::Bytes;
use http::header;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Env,
    aside::aside,
    content::{Content, Media},
    failure,
    lanes::Lanes,
    receive,
    state::State,
    step,
};
use crate::{
    body::Body,
    error::Error,
    expr::{Shape, Slot, sliced},
    plan::{BodyUse, Composition, Endpoint, Step, Tolerance},
    problem::Kind,
    upstream::Caller,
};

/// An answer that is there before the execution has ended, because unsafe calls still run.
pub(super) type Early<T> = Mutex<Option<Result<T, Error>>>;

/// Runs an execution to its end. The answer goes to `early` instead when unsafe calls outlive it.
pub(super) async fn execute<C: Caller, T: Send + 'static>(
    env: Env<C>,
    body: Option<Body>,
    early: Option<Arc<Early<T>>>,
    finish: fn(&Arc<State>) -> Result<T, Error>,
) -> Option<Result<T, Error>> {
    let state = &env.state;
    let Some(composition) = state.composition() else {
        return Some(finish(state));
    };
    // Until the answer is there, so that a body that nobody reads is not taken for refused.
    let mut unread = body;
    if let Err(error) = prepare(state, composition, &mut unread).await {
        return Some(Err(error));
    }
    let mut lanes = Lanes::new();
    let end = state.run.deadline;
    let ended = steps(&env, composition, &mut lanes, end, |index, step| step::run(&env, index, step)).await;
    let result = match finished(state, ended, finish) {
        Ok(result) => result,
        Err(later) => later.await,
    };
    let result = result.map_err(|error| failure::explain(state, error));
    state.decide();
    drop(unread);
    lanes.keep_unsafe();
    lanes.wake().await;
    if lanes.is_empty() {
        return Some(result);
    }
    let Some(early) = early else {
        return Some(result);
    };
    record_late(state, lanes.running());
    if let Ok(mut early) = early.lock() {
        *early = Some(result);
    }
    lanes.end().await;
    None
}

/// An answer that takes longer than a slice.
type Later<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// The answer, if making it takes no longer than a slice. Not a future of its own: that would be moved and
/// kept by every execution.
fn finished<T: Send + 'static>(
    state: &Arc<State>,
    ended: Result<(), Error>,
    finish: fn(&Arc<State>) -> Result<T, Error>,
) -> Result<Result<T, Error>, Later<T>> {
    if let Err(error) = ended {
        return Ok(Err(error));
    }
    sliced(&state.run.meter, || finish(state)).ok_or_else(|| {
        let state = Arc::clone(state);
        Box::pin(aside(move || finish(&state))) as Later<T>
    })
}

/// What comes before any step: the request's body as far as it is read, and `require`.
async fn prepare(
    state: &Arc<State>,
    composition: &Composition,
    body: &mut Option<Body>,
) -> Result<(), Error> {
    if composition.request_body > BodyUse::Unread
        && let Some(body) = body.take()
    {
        if composition.request_body == BodyUse::Forwarded && streams_request(state, composition) {
            if let Ok(mut stream) = state.run.request_stream.lock() {
                *stream = Some(body);
            }
        } else {
            let bytes = match timeout_at(state.run.deadline, receive::request(body)).await {
                Ok(bytes) => bytes?,
                Err(_) => return Err(Error::new(Kind::RequestTimeout)),
            };
            let how = composition.request_body;
            let read = if Content::is_long(&bytes, how) {
                let state = Arc::clone(state);
                Box::pin(aside(move || content(&state, how, bytes))).await
            } else {
                content(state, how, bytes)
            };
            let _ = state.run.request_body.set(read?);
        }
    }
    let frame = state.frame(&[]);
    for (that, problem) in &composition.require {
        if !that.test(&frame).map_err(failure::fault)? {
            return Err(failure::apply(problem, Error::new(Kind::RequireFailed), &frame));
        }
    }
    Ok(())
}

/// Reads the request's body by its content type, whose faults are the client's.
fn content(state: &State, how: BodyUse, bytes: Bytes) -> Result<Content, Error> {
    let headers = &state.run.request.headers.0;
    if how == BodyUse::Parsed && !bytes.is_empty() {
        let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
            let words = "the request has a body and no content type";
            return Err(Error::new(Kind::UnsupportedMediaType).detail(words));
        };
        let coded = headers.get(header::CONTENT_ENCODING);
        if coded.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let words = "the request's content encoding is not taken";
            return Err(Error::new(Kind::UnsupportedMediaType).detail(words));
        }
        let media = Media::of(content_type);
        return Content::read(bytes, headers, how).map_err(|error| {
            let what = if media == Media::Json { "JSON" } else { "text" };
            let words =
                format!("the request's body is not valid {what}: {} (byte {})", error.reason, error.offset);
            Error::new(Kind::InvalidRequest).detail(words)
        });
    }
    Content::read(bytes, headers, how).map_err(|error| Error::new(Kind::InvalidRequest).detail(error.reason))
}

/// Whether exactly one place sends the request's body on, once: it streams then.
fn streams_request(state: &State, composition: &Composition) -> bool {
    let is_it = |shape: &Option<Shape>| shape.as_ref().and_then(Shape::as_slot) == Some(Slot::RequestBody);
    let sends = |step: &&Step| step.action.call().is_some_and(|call| is_it(&call.body));
    let senders = composition.steps.iter().filter(sends);
    let answers = match &state.run.route().endpoint {
        Endpoint::Compose { respond, .. } => is_it(&respond.body),
        Endpoint::Proxy { .. } | Endpoint::Static(_) => false,
    };
    let (count, repeated) =
        senders.fold((0, false), |(count, repeated), step| (count + 1, repeated || step.for_each.is_some()));
    count + usize::from(answers) == 1 && !repeated
}

/// Runs steps until all have settled, one that is required has failed, or it must end.
pub(super) async fn steps<'e, C: Caller, F: Future<Output = ()>>(
    env: &'e Env<C>,
    composition: &'e Composition,
    lanes: &mut Lanes<F>,
    end: Instant,
    start: impl Fn(usize, &'e Step) -> F,
) -> Result<(), Error> {
    let state = &*env.state;
    let all = match composition.steps.len() {
        0 => return Ok(()),
        count @ 1..=64 => u64::MAX >> (64 - count),
        _ => return Err(Error::new(Kind::Internal).cause("a composition of more than 64 steps")),
    };
    let (mut settled, mut started) = (0_u64, 0_u64);
    let mut deadline = pin!(sleep_until(end));
    poll_fn(|cx| {
        // What is around it has ended: nothing more comes of this.
        if state.is_decided() {
            return Poll::Ready(Err(Kind::DeadlineExceeded.into()));
        }
        if deadline.as_mut().poll(cx).is_ready() {
            let running = composition.steps.get((started & !settled).trailing_zeros() as usize);
            let error = Error::new(Kind::DeadlineExceeded);
            return Poll::Ready(Err(running.into_iter().fold(error, |error, step| error.step(&step.name))));
        }
        let mut first = true;
        loop {
            for (index, step) in composition.steps.iter().enumerate() {
                let ready = || step.needs.iter().all(|need| settled & (1 << need.index()) != 0);
                if started & (1 << index) == 0 && ready() {
                    started |= 1 << index;
                    lanes.start(index, step.safe, start(index, step));
                }
            }
            lanes.poll(cx, !first);
            first = false;
            let news = state.settled() & !settled;
            if news == 0 {
                return Poll::Pending;
            }
            settled |= news;
            if let Some(error) = failure_in(state, composition, news) {
                return Poll::Ready(Err(error));
            }
            if settled == all {
                return Poll::Ready(Ok(()));
            }
        }
    })
    .await
}

/// The failure of the first required step among these, if there is one.
fn failure_in(state: &State, composition: &Composition, news: u64) -> Option<Error> {
    composition.steps.iter().enumerate().find_map(|(index, step)| {
        let fresh = news & (1 << index) != 0 && matches!(step.tolerance, Tolerance::Required);
        if !fresh {
            return None;
        }
        state.output(index)?.error().cloned()
    })
}

/// Notes steps that had not settled when the answer was decided, because their unsafe calls run on.
fn record_late(state: &State, running: impl Iterator<Item = usize>) {
    for step in running.filter(|&step| state.output(step).is_none()) {
        state.record(step, "late", Instant::now(), None);
    }
}
