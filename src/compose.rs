//! The executor: runs a composition for one request.
//!
//! A step starts when every step that it reads has settled; steps that do not read each other run at the
//! same time, inside the request's task. The answer is decided by the first failure that nothing
//! tolerates, by the deadline, or by `respond` when every step has settled.
//!
//! An execution is one future that owns everything it needs. Dropping it cancels every call, unless an
//! unsafe one may be on the wire: then the future goes to its worker's [`Custody`] and runs to its end.
//!
//! Absent: no task per step, no name looked up, no lock held across an `await`, no response rendered for
//! a failure (that is the respond layer's), no metric named.

mod aside;
mod attempt;
mod bound;
mod check;
mod custody;
mod degraded;
mod drive;
mod encode;
mod ending;
mod execution;
mod failure;
mod fan_out;
mod lanes;
mod nested;
mod outgoing;
mod output;
mod own;
mod receive;
mod render;
mod request;
mod respond;
mod retry;
mod state;
mod step;
mod validate;
mod vars;

#[cfg(test)]
pub(crate) mod tests;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, Response, Uri};
use tokio::time::Instant;

pub use custody::Custody;
use custody::Guarded;
use state::State;

use crate::{
    body::Body,
    error::Error,
    id::RouteId,
    plan::{Endpoint, Plan},
    problem::Kind,
    telemetry::Exchange,
    upstream::{Caller, Spare, Upstream},
};

/// What an execution needs of its request and its gateway; owned, because it may outlive both.
#[derive(Debug)]
pub struct Call {
    /// The plan that serves the request.
    pub plan: Arc<Plan>,
    /// The route that matched.
    pub route: RouteId,
    /// Services by their ids.
    pub upstreams: Arc<[Arc<Upstream>]>,
    /// The request's record.
    pub exchange: Arc<Exchange>,
    /// The request's head, as admission let it through.
    pub head: http::request::Parts,
    /// Captures of the route's path, percent-decoded, in their order.
    pub captures: Box<[String]>,
    /// The request's body.
    pub body: Body,
    /// When the answer must be decided.
    pub deadline: Instant,
    /// The whole of the time up to then, of which tolerated steps have nine tenths.
    pub timeout: Duration,
}

/// What runs executions on one worker.
#[derive(Debug)]
pub struct Runner<C> {
    /// Sends calls.
    pub caller: Arc<C>,
    /// Keeps executions that may not be cut.
    pub custody: Arc<Custody>,
}

impl<C> Clone for Runner<C> {
    fn clone(&self) -> Self {
        Self { caller: Arc::clone(&self.caller), custody: Arc::clone(&self.custody) }
    }
}

/// The data of an execution and what sends its calls.
struct Env<C> {
    state: Arc<State>,
    caller: Arc<C>,
}

/// Runs a composed route and gives its answer.
pub async fn run<C: Caller + 'static>(runner: Runner<C>, call: Call) -> Result<Response<Body>, Error> {
    let (state, body, _) = State::new(call);
    execute(runner, state, Some(body), true, respond::answer).await
}

/// Runs the steps of a proxy route, if it has any. What they left is there for the proxied call.
pub async fn prepare<C: Caller + 'static>(runner: Runner<C>, call: Call) -> Result<Prepared, Error> {
    let (state, body, extensions) = State::new(call);
    let rules = state.run.route().request.as_ref().and_then(|rules| rules.body.as_ref());
    let body = match rules.and_then(|rules| rules.max_bytes) {
        Some(limit) => body.capped(limit).map_err(|error| Error::new(Kind::PayloadTooLarge).cause(error))?,
        None => body,
    };
    let state = execute(runner, state, None, false, |state| Ok(Arc::clone(state))).await?;
    Ok(Prepared { state, body, extensions })
}

async fn execute<C: Caller + 'static, T: Send + 'static>(
    runner: Runner<C>,
    state: Arc<State>,
    body: Option<Body>,
    outlives_client: bool,
    finish: fn(&Arc<State>) -> Result<T, Error>,
) -> Result<T, Error> {
    let Runner { caller, custody } = runner;
    let is_safe = match state.composition() {
        Some(composition) => composition.safe,
        None => true,
    };
    let env = Env { state: Arc::clone(&state), caller };
    if is_safe {
        // Nothing outlives its answer: no place apart is needed, and dropping the future cancels it.
        return drive::execute(env, body, None, finish).await.unwrap_or_else(|| Err(no_answer()));
    }
    custody.admit()?;
    let early = Arc::default();
    let future = Box::pin(drive::execute(env, body, Some(Arc::clone(&early)), finish));
    Guarded::new(future, early, state, custody, outlives_client).await
}

fn no_answer() -> Error {
    Error::new(Kind::Internal).cause("an execution gave no answer")
}

/// A proxy route whose steps have settled.
#[derive(Debug)]
pub struct Prepared {
    state: Arc<State>,
    /// The request's body, untouched.
    pub body: Body,
    /// What came with the request, an upgrade for example.
    pub extensions: http::Extensions,
}

/// What a template computes of its proxied call.
#[derive(Debug, Default)]
pub struct Rendered {
    /// The path, if the template gives one.
    pub path: Option<String>,
    /// The query with its `?`, if the template gives one; empty when it has no parameter.
    pub query: Option<String>,
    /// Fields; one that evaluates to none is left out, a list repeats.
    pub headers: HeaderMap,
}

impl Prepared {
    /// The request's head.
    #[must_use]
    pub fn head(&self) -> (&Method, &Uri, &HeaderMap) {
        let request = &self.state.run.request;
        (&request.method, &request.query.raw.0, &request.headers.raw.0)
    }

    /// What is left for calls that are sent again.
    #[must_use]
    pub fn spare(&self) -> Option<Arc<Spare>> {
        self.state.run.spare.clone()
    }

    /// Renders what the template computes of the proxied call.
    pub fn target(&self) -> impl Future<Output = Result<Rendered, Error>> + Send + use<> {
        let state = Arc::clone(&self.state);
        let render = |state: &State| {
            let Endpoint::Proxy { proxy, .. } = &state.run.route().endpoint else {
                return Err(Kind::Internal.into());
            };
            let (frame, judge) = (state.frame(&[]), |refusal| outgoing::judge(state, None, refusal));
            let mut rendered = Rendered::default();
            if let Some(parts) = &proxy.path {
                render::path(parts, &frame, rendered.path.insert(String::with_capacity(64)))
                    .map_err(judge)?;
            }
            if let Some(query) = &proxy.query {
                render::query(query, &frame, rendered.query.insert(String::new())).map_err(judge)?;
            }
            for (name, values) in &proxy.set {
                render::header(name, values, &frame, &mut rendered.headers).map_err(judge)?;
            }
            Ok(rendered)
        };
        async move { aside::evaluate_whole(&state, render).await }
    }

    /// Says on the proxied answer which steps failed and were tolerated.
    pub fn mark_degraded(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        respond::mark_degraded(&self.state, headers)
    }

    /// Applies the route's `errors` to a failure of the proxied call.
    pub fn explain(&self, error: Error) -> impl Future<Output = Error> + Send + use<> {
        let state = Arc::clone(&self.state);
        async move { failure::explain(&state, error).await }
    }
}
