//! The one function that orders the layers of a route.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use tower::{Service, ServiceBuilder, service_fn};

use super::{
    composed::{self, Target},
    proxy::Proxy,
    upgrade::Tunnels,
};
use crate::{
    body::Body,
    error::Error,
    plan,
    policy::{
        Policies,
        authenticate::{AuthenticateLayer, Authenticator},
        authorize::AuthorizeLayer,
        body_limit::BodyLimitLayer,
        catch_panic::CatchPanicLayer,
        compress::CompressLayer,
        cors::{self, CorsLayer},
        counters::Counters,
        deadline::{ArrivedLayer, DeadlineLayer},
        headers::{self, StripLayer},
        overload::{Overload, OverloadLayer},
        respond::{RespondLayer, RespondWithLayer},
        tracing::TracingLayer,
    },
    problem::Kind,
};

/// A route's layers around its endpoint, with the type erased. A call makes one allocation.
pub(super) struct Stack(Box<dyn Erased>);

/// What a route's layers are made of.
struct Parts<'a> {
    policies: &'a Policies,
    counters: &'a Counters,
    known: &'a Arc<[Arc<Authenticator>]>,
    overload: Option<OverloadLayer>,
}

impl Parts<'_> {
    /// Of a route that evaluates something.
    fn composed(&self, unit: &Arc<str>) -> Self {
        let overload = self.overload.clone().map(|layer| layer.of_composition(unit));
        Self { overload, ..*self }
    }
}

/// Builds a route's stack for one worker; `overload` is how much that has to do.
pub(super) fn build(target: Target, tunnels: &Arc<Tunnels>, overload: Option<&Arc<Overload>>) -> Stack {
    let gateway = Arc::clone(&target.gateway);
    let policies = &gateway.plan.routes[target.id.index()].policies;
    let adaptive = gateway.plan.gateway.limits.adaptive;
    let parts = &Parts {
        policies,
        overload: overload.map(|overload| OverloadLayer::new(overload, adaptive, policies.priority)),
        counters: &gateway.counters,
        known: gateway.authenticators(target.id),
    };
    match &target.route().endpoint {
        plan::Endpoint::Compose { .. } => {
            let target = Arc::new(target);
            let parts = &parts.composed(&target.route().unit);
            layered(service_fn(move |request| Arc::clone(&target).compose(request)), parts)
        }
        plan::Endpoint::Proxy { composition, proxy, errors } => {
            let computed = composition.is_some()
                || target.route().request.is_some()
                || proxy.path.is_some()
                || proxy.query.is_some()
                || !proxy.set.is_empty()
                || !errors.is_empty();
            let composed = computed.then(|| parts.composed(&target.route().unit));
            let proxy = Arc::new(Proxy::new(target, Arc::clone(tunnels)));
            if let Some(parts) = &composed {
                layered(service_fn(move |request| Arc::clone(&proxy).run(request)), parts)
            } else {
                layered(service_fn(move |request| Arc::clone(&proxy).forward(request)), parts)
            }
        }
        plan::Endpoint::Static(_) => {
            let fixed = service_fn(move |_: Request<Body>| {
                let answer = match &target.route().endpoint {
                    plan::Endpoint::Static(answer) => Ok(composed::fixed(answer)),
                    plan::Endpoint::Compose { .. } | plan::Endpoint::Proxy { .. } => {
                        Err(Kind::Internal.into())
                    }
                };
                std::future::ready(answer)
            });
            layered(fixed, parts)
        }
    }
}

/// The order of the layers, from the outside in. A part that a route's policy does not have costs a branch, and
/// a route without a policy has none of them.
fn layered<S>(endpoint: S, parts: &Parts<'_>) -> Stack
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let Parts { policies, counters, known, overload } = parts;
    if policies.is_empty() {
        let service = ServiceBuilder::new()
            // Outermost: whatever fails below, one layer answers.
            .layer(RespondLayer)
            // Inside it, so that a panic is answered like any failure.
            .layer(CatchPanicLayer)
            // Before anything costs something.
            .option_layer(overload.clone())
            .service(endpoint);
        return Stack(Box::new(service));
    }
    let headers = policies.headers.as_ref();
    let service = ServiceBuilder::new()
        // Outermost: all that follows is fields, and one of them may forbid it.
        .option_layer(policies.compress.as_ref().map(CompressLayer::new))
        // Grants too are a mandate's to set and to remove, in preflights as well.
        .option_layer(
            headers
                .filter(|_| policies.cors.is_some())
                .and_then(|it| headers::ResponseLayer::of_mandates(it, cors::is_grant)),
        )
        // Outside of what makes errors into answers, so that scripts can read a 401 or a 429, of authenticate, since
        // a preflight has no credentials, and of the fields that policies set: nothing else grants an origin.
        .option_layer(
            policies
                .cors
                .as_deref()
                .map(|cors| CorsLayer::new(cors).with_fields(headers.and_then(headers::ResponseLayer::new))),
        )
        // The last word on an answer's other fields, error answers included.
        .option_layer(headers.and_then(headers::ResponseLayer::new))
        // Answers to failures say how they were made too.
        .option_layer(TracingLayer::of(policies.tracing.as_ref()))
        // Whatever fails below, one layer answers.
        .layer(RespondWithLayer::new(policies.error_body.as_ref()))
        // Inside it, so that a panic is answered like any failure.
        .layer(CatchPanicLayer)
        // Before anything costs something.
        .option_layer(overload.clone())
        // Before anything reads the request: what a policy sets is not its client's to say.
        .option_layer(headers.and_then(|it| StripLayer::new(it, |name| policies.seeks_credential_in(name))))
        // Outside of authenticate, so that waiting for keys is bounded.
        .option_layer(policies.may_wait().then_some(DeadlineLayer))
        // Limits that read only the request: before authenticate, so that they slow down who guesses.
        .option_layer(counters.rate_limit(policies, false))
        // Before all that asks who it is.
        .option_layer((!known.is_empty()).then(|| AuthenticateLayer::new(Arc::clone(known))))
        // Right after, so that who may not come spends nothing of what follows.
        .option_layer(policies.authorize.clone().map(AuthorizeLayer::new))
        // Limits that ask who it is.
        .option_layer(counters.rate_limit(policies, true))
        // Before the place, so that what is too large never takes one.
        .option_layer(policies.max_bytes.map(BodyLimitLayer::new))
        // After all that may refuse or wait: a place is for what uses the endpoint.
        .option_layer(counters.concurrency(policies))
        // When it is known who it is from, and for the endpoint alone.
        .option_layer(headers.and_then(headers::RequestLayer::new))
        // Innermost: from here on the endpoint keeps the time.
        .option_layer(policies.may_wait().then_some(ArrivedLayer))
        .service(endpoint);
    Stack(Box::new(service))
}

/// The answer under way: the one allocation of a call.
pub(super) struct Answer(Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>);

trait Erased: Send + Sync {
    fn answer(&self, request: Request<Body>) -> Answer;
}

/// An answer that is there already.
pub(super) fn ready(response: Response<Body>) -> Answer {
    Answer(Box::pin(std::future::ready(Ok(response))))
}

// === impl Stack ===

impl Stack {
    pub(super) fn call(&self, request: Request<Body>) -> Answer {
        self.0.answer(request)
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stack")
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<S> Erased for S
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn answer(&self, request: Request<Body>) -> Answer {
        // Layers hold their state behind one `Arc`, so this is a counter of this core.
        let mut service = self.clone();
        // Capacity is decided in `call`: no layer waits here, so there is nothing to be woken for.
        let _ = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        Answer(Box::pin(service.call(request)))
    }
}

#[cfg(test)]
mod tests;
