//! The executor: starts a step when all that it needs has settled, and ends when the answer is certain.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::Poll,
};

use tokio::time::{Instant, sleep_until};

use super::{
    Env,
    aside::aside,
    failure,
    lanes::Lanes,
    state::{Decision, State},
    step,
    validate::{self, Faults},
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
    // Until the answer is there, so that a body that nobody reads is not taken for refused.
    let mut unread = body;
    // Boxed, because most requests are taken as they are.
    if is_judged(state)
        && let Err(error) = Box::pin(admit(state, &mut unread)).await
    {
        return Some(Err(error));
    }
    let Some(composition) = state.composition() else {
        return Some(finish(state));
    };
    if !composition.require.is_empty() {
        let met = match sliced(&state.run.meter, || require(state, composition)) {
            Some(met) => met,
            None => Box::pin(require_aside(Arc::clone(state))).await,
        };
        if let Err(error) = met {
            return Some(Err(error));
        }
    }
    let mut lanes = Lanes::new();
    let end = state.run.deadline;
    let ended = steps(&env, composition, &mut lanes, end, |index, step| step::run(&env, index, step)).await;
    let unsettled = ended.is_err().then(|| decision(state, composition, end));
    let mut result = match finished(state, ended, finish) {
        Ok(result) => result,
        Err(later) => later.await,
    };
    // In its place, so that no other answer is kept beside it.
    if let Err(error) = &mut result
        && !state.run.errors().is_empty()
    {
        *error = Box::pin(failure::explain(state, error.clone())).await;
    }
    state.decide();
    drop(unread);
    lanes.keep_unsafe();
    if let Some(decision) = unsettled {
        state.record_decision(decision, lanes.running());
    }
    lanes.wake().await;
    if lanes.is_empty() {
        return Some(result);
    }
    let Some(early) = early else {
        return Some(result);
    };
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
        let run = Arc::clone(&state.run);
        Box::pin(async move { aside(&run, move || finish(&state)).await }) as Later<T>
    })
}

/// Whether anything of the request is declared or read before the steps.
fn is_judged(state: &State) -> bool {
    state.run.route().request.is_some()
        || state.composition().is_some_and(|composition| composition.request_body > BodyUse::Unread)
}

/// The request as its route declares it, its body as far as it is read.
async fn admit(state: &State, body: &mut Option<Body>) -> Result<(), Error> {
    let run = &state.run;
    let rules = run.route().request.as_ref();
    let mut faults = Faults::default();
    if let Some(rules) = rules {
        validate::parameters(run, rules, &mut faults).await?;
    }
    let rules = rules.and_then(|rules| rules.body.as_ref());
    let composition = state.composition();
    let how = composition.map_or(BodyUse::Unread, |composition| composition.request_body);
    let checked = rules.is_some_and(|rules| rules.required || rules.schema.is_some());
    if let Some(body) = body.take_if(|_| checked || how > BodyUse::Unread) {
        let streams = composition
            .is_some_and(|composition| how == BodyUse::Forwarded && streams_request(state, composition));
        if streams && !checked {
            let body = match rules.and_then(|rules| rules.max_bytes) {
                Some(limit) => {
                    body.capped(limit).map_err(|error| Error::new(Kind::PayloadTooLarge).cause(error))?
                }
                None => body,
            };
            if let Ok(mut stream) = run.request_stream.lock() {
                *stream = Some(body);
            }
        } else {
            validate::body(run, how, rules, body, &mut faults).await?;
        }
    }
    faults.answer()
}

/// What must hold before any step.
fn require(state: &State, composition: &Composition) -> Result<(), Error> {
    let frame = state.frame(&[]);
    for (that, problem) in &composition.require {
        if !that.test(&frame).map_err(failure::fault)? {
            return Err(failure::apply(problem, Error::new(Kind::RequireFailed), &frame));
        }
    }
    Ok(())
}

/// The same where it takes longer than a slice.
async fn require_aside(state: Arc<State>) -> Result<(), Error> {
    let run = Arc::clone(&state.run);
    aside(&run, move || state.composition().map_or(Ok(()), |composition| require(&state, composition))).await
}

/// Whether exactly one place sends the request's body on, once: it streams then.
fn streams_request(state: &State, composition: &Composition) -> bool {
    let is_it = |shape: &Option<Shape>| shape.as_ref().and_then(Shape::as_body) == Some(Slot::RequestBody);
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

/// The first failure among these steps that nothing tolerates, if there is one.
fn failure_in(state: &State, composition: &Composition, news: u64) -> Option<Error> {
    composition.steps.iter().enumerate().find_map(|(index, step)| {
        if news & (1 << index) == 0 {
            return None;
        }
        let failure = state.output(index)?.failure()?;
        let counts = failure.helpless || matches!(step.tolerance, Tolerance::Required);
        counts.then(|| failure.error.clone())
    })
}

/// Why what comes of steps that must end then has just been decided.
pub(super) fn decision(state: &State, composition: &Composition, end: Instant) -> Decision {
    if failure_in(state, composition, state.settled()).is_some() {
        return Decision::Failed;
    }
    let now = Instant::now();
    if now >= end { Decision::Overdue(now) } else { Decision::Elsewhere(now) }
}
