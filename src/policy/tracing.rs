//! `tracing` of a policy: how many requests of a route are traced, and what answers say of how they were made.
//!
//! Placed outside of the layer that answers errors, so that those answers say it too. What share is traced is
//! decided before any layer, when the route is known; this layer only writes fields.

use std::{
    fmt::Write as _,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    body::Body,
    telemetry::{Exchange, StepOutcome},
};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const GENERATION: HeaderName = HeaderName::from_static("segue-generation");

/// `tracing`
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The share of requests that is traced, from 0 to 1; the Gateway's when absent.
    pub sample: Option<f64>,
    /// Answers say how long steps took (`server-timing`).
    pub server_timing: bool,
    /// Answers say which generation gave them (`segue-generation`).
    pub generation_header: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct TracingLayer(Arc<Settings>);

/// See the module.
#[derive(Clone, Debug)]
pub struct Tracing<S> {
    inner: S,
    settings: Arc<Settings>,
}

pin_project! {
    /// The answer with what it says of itself.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        exchange: Option<Arc<Exchange>>,
        settings: Arc<Settings>,
    }
}

// === impl TracingLayer ===

impl TracingLayer {
    /// None where answers say nothing.
    #[must_use]
    pub fn of(settings: Option<&Arc<Settings>>) -> Option<Self> {
        settings.filter(|settings| settings.server_timing || settings.generation_header).cloned().map(Self)
    }
}

impl<S> Layer<S> for TracingLayer {
    type Service = Tracing<S>;

    fn layer(&self, inner: S) -> Tracing<S> {
        Tracing { inner, settings: Arc::clone(&self.0) }
    }
}

// === impl Tracing ===

impl<S> Service<Request<Body>> for Tracing<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let exchange = request.body().carried::<Exchange>();
        ResponseFuture { future: self.inner.call(request), exchange, settings: Arc::clone(&self.settings) }
    }
}

// === impl ResponseFuture ===

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        if let Some(exchange) = this.exchange {
            describe(this.settings, exchange, response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

fn describe(settings: &Settings, exchange: &Exchange, headers: &mut HeaderMap) {
    if settings.generation_header {
        let generation = exchange.record().route.as_ref().map(|route| route.generation.number);
        if let Some(generation) = generation {
            headers.insert(GENERATION, HeaderValue::from(generation));
        }
    }
    // An upstream may have said something already; ours comes after it, as the proxy nearest to the client.
    if settings.server_timing
        && let Ok(value) = HeaderValue::try_from(timing(exchange))
    {
        headers.append(SERVER_TIMING, value);
    }
}

/// Every step that started in milliseconds, up to now if it is given up with this answer, then the proxied call, then all of it
/// (<https://www.w3.org/TR/server-timing/>).
fn timing(exchange: &Exchange) -> String {
    let now = exchange.micros(tokio::time::Instant::now().into_std());
    let record = exchange.record();
    let mut out = String::with_capacity(64);
    let mut metric = |name: &str, us: u64, outcome: Option<&str>| {
        if !out.is_empty() {
            out.push_str(", ");
        }
        let _ = write!(out, "{name};dur={}.{:03}", us / 1000, us % 1000);
        if let Some(outcome) = outcome {
            let _ = write!(out, ";desc={outcome}");
        }
    };
    if let Some(route) = &record.route {
        for step in record.own_steps().filter(|step| step.outcome != StepOutcome::Skipped) {
            let Some(info) = route.info.steps.get(usize::from(step.step)) else { continue };
            let outcome = match step.outcome {
                StepOutcome::Running => StepOutcome::Cancelled,
                settled => settled,
            };
            // Of one that is streamed, the time to its head.
            let end = if step.outcome == StepOutcome::Running { now } else { step.ended_us };
            metric(&info.name, end.saturating_sub(step.started_us), Some(outcome.as_str()));
        }
    }
    let proxied = record.calls.iter().map(|(_, call)| call).find(|call| call.step.is_none());
    if let Some(call) = proxied.filter(|call| call.head_us > 0) {
        metric("proxy", call.head_us.saturating_sub(call.started_us), None);
    }
    metric("total", now, None);
    out
}
