//! Sets and removes fields of requests and answers: `headers`.
//!
//! Three layers, since each has its place. What a policy sets is taken out of the client's request before
//! anything reads it, trailers too, so that nobody can bring it along; spellings with `_` never get that far.
//! A request's fields are set last, when it is known who it is from. An answer's are set outside of the layer
//! that makes errors into answers, so that those have them as well.
//!
//! Differs from tower-http's `SetResponseHeader` in that values are expressions over the request.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::facts::{self, Facts, Snapshot};
use crate::{
    body::Body,
    error::Error,
    expr::{EvalError, Text},
    problem::Kind,
    telemetry::Exchange,
};

/// `headers`, all layers together.
#[derive(Debug, Default)]
pub struct Settings {
    /// Of the request, before the endpoint sees it.
    pub request: Edits,
    /// Of the answer, error answers included.
    pub response: Edits,
}

/// What is done to a head.
#[derive(Debug, Default)]
pub struct Edits {
    /// Replaced, in order; an optional that is none leaves the field out, a list repeats it.
    pub set: Vec<(HeaderName, Arc<Text>)>,
    /// Taken out.
    pub remove: Vec<HeaderName>,
    /// Those of `set` that a mandate sets: every call has them as the mandate says.
    pub mandated: Vec<HeaderName>,
    /// Those of `remove` that a mandate removes: no call has them but for a Service's own credential.
    pub withheld: Vec<HeaderName>,
}

/// Takes out of a client's request what a policy sets. See the module.
#[derive(Clone, Debug)]
pub struct StripLayer {
    stripped: Arc<Stripped>,
}

/// See the layer.
#[derive(Clone, Debug)]
pub struct Strip<S> {
    inner: S,
    stripped: Arc<Stripped>,
}

/// What is taken out of a client's request.
#[derive(Debug)]
struct Stripped {
    /// Of its head, before anything reads it.
    head: Box<[HeaderName]>,
    /// Of its trailers: what is removed too, since a head is only part of a request.
    trailers: Arc<[HeaderName]>,
}

/// Sets and removes a request's fields. See the module.
#[derive(Clone, Debug)]
pub struct RequestLayer {
    settings: Arc<Settings>,
}

/// See the layer.
#[derive(Clone, Debug)]
pub struct EditRequest<S> {
    inner: S,
    settings: Arc<Settings>,
}

/// Sets and removes an answer's fields. See the module.
#[derive(Clone, Debug)]
pub struct ResponseLayer {
    edits: Arc<Prepared>,
}

/// See the layer.
#[derive(Clone, Debug)]
pub struct EditResponse<S> {
    inner: S,
    edits: Arc<Prepared>,
}

/// Edits of an answer, as far as they are known before there is a request.
#[derive(Debug)]
struct Prepared {
    settings: Arc<Settings>,
    /// Every field that is set or removed: none comes behind the body either.
    trailers: Arc<[HeaderName]>,
    /// Values without an expression, in the order of the settings.
    fixed: Box<[Option<HeaderValue>]>,
    /// What a mandate sets or removes: other spellings that are read as one of them go too.
    mandated: Box<[HeaderName]>,
    evaluates: bool,
    reads_head: bool,
}

pin_project! {
    /// The answer, edited.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        edits: Arc<Prepared>,
        // What is evaluated when the answer is there, as the request has gone by then.
        later: Option<Box<(Snapshot, Arc<Exchange>)>>,
    }
}

pin_project! {
    /// The answer, or why the request could not be edited.
    #[project = EditedProj]
    #[derive(Debug)]
    #[allow(missing_docs, reason = "the macro takes no documentation on the fields of a variant")]
    pub enum EditedFuture<F> {
        /// It was.
        Edited { #[pin] future: F },
        /// A value could not be made.
        Refused { error: Option<Error> },
    }
}

// === impl Settings ===

impl Settings {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}

impl Edits {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Puts what mandates say in the place of what a template sends under their names, or under one that servers
    /// take for them, and takes out what they remove. `edited` is the head of the client's request as the endpoint
    /// sees it.
    pub fn hold(&self, edited: &HeaderMap, sent: &mut HeaderMap) {
        let mandates = || self.mandated.iter().chain(&self.withheld);
        let alike = |name: &&HeaderName| mandates().any(|mandated| is_read_as(name, mandated));
        let others: Vec<HeaderName> = sent.keys().filter(alike).cloned().collect();
        for name in &others {
            sent.remove(name);
        }
        for mandated in &self.mandated {
            for value in edited.get_all(mandated) {
                sent.append(mandated.clone(), value.clone());
            }
        }
    }

    /// Takes out what mandates remove of the fields that the gateway itself adds to a call.
    pub fn withhold(&self, sent: &mut HeaderMap) {
        for name in &self.withheld {
            sent.remove(name);
        }
    }
}

/// Whether a server may take one name for the other: many turn `-` into `_`.
#[must_use]
pub fn is_read_as(name: &HeaderName, other: &HeaderName) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.as_str().bytes().map(plain).eq(other.as_str().bytes().map(plain))
}

// === impl StripLayer ===

impl StripLayer {
    /// Of the fields that these settings set in requests, or remove from them, but for those in which the route
    /// looks for a credential: they stay in the head until it was looked at, and what is set takes their place then.
    #[must_use]
    pub fn new(settings: &Settings, is_credential: impl Fn(&HeaderName) -> bool) -> Option<Self> {
        let Edits { set, remove, .. } = &settings.request;
        let set = set.iter().map(|(name, _)| name);
        let trailers: Arc<[_]> = set.clone().chain(remove).cloned().collect();
        let head = set.filter(|name| !is_credential(name)).cloned().collect();
        (!trailers.is_empty()).then(|| Self { stripped: Arc::new(Stripped { head, trailers }) })
    }
}

impl<S> Layer<S> for StripLayer {
    type Service = Strip<S>;

    fn layer(&self, inner: S) -> Strip<S> {
        Strip { inner, stripped: Arc::clone(&self.stripped) }
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Strip<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        for name in &self.stripped.head {
            request.headers_mut().remove(name);
        }
        if request.body().upload().is_some() {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = body.without_trailers(Arc::clone(&self.stripped.trailers));
            unannounce(request.headers_mut(), &self.stripped.trailers);
        }
        self.inner.call(request)
    }
}

// === impl RequestLayer ===

impl RequestLayer {
    /// Of these settings' edits of requests.
    #[must_use]
    pub fn new(settings: &Arc<Settings>) -> Option<Self> {
        (!settings.request.is_empty()).then(|| Self { settings: Arc::clone(settings) })
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = EditRequest<S>;

    fn layer(&self, inner: S) -> EditRequest<S> {
        EditRequest { inner, settings: Arc::clone(&self.settings) }
    }
}

// === impl EditRequest ===

impl<S> EditRequest<S> {
    fn edit(&self, request: &mut Request<Body>) -> Result<(), Error> {
        let Edits { set, remove, .. } = &self.settings.request;
        let mut fields = HeaderMap::with_capacity(set.len());
        if let Some(exchange) = request.body().cargo::<Exchange>() {
            let facts = Facts::new(request, exchange);
            for (name, text) in set {
                append(name, text, &facts, &mut fields)?;
            }
        }
        let headers = request.headers_mut();
        for name in remove.iter().chain(set.iter().map(|(name, _)| name)) {
            headers.remove(name);
        }
        replace(headers, fields);
        Ok(())
    }
}

impl<S> Service<Request<Body>> for EditRequest<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = EditedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.edit(&mut request) {
            Ok(()) => EditedFuture::Edited { future: self.inner.call(request) },
            Err(error) => EditedFuture::Refused { error: Some(error) },
        }
    }
}

// === impl EditedFuture ===

impl<F> Future for EditedFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            EditedProj::Edited { future } => future.poll(cx),
            EditedProj::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| Kind::Internal.into())))
            }
        }
    }
}

// === impl ResponseLayer ===

impl ResponseLayer {
    /// Of these settings' edits of answers.
    #[must_use]
    pub fn new(settings: &Arc<Settings>) -> Option<Self> {
        let set = &settings.response.set;
        let fixed = |(_, text): &(HeaderName, Arc<Text>)| match &**text {
            Text::Literal(text) => HeaderValue::from_str(text).ok(),
            Text::One(_) | Text::Parts(_) => None,
        };
        let edits = Prepared {
            settings: Arc::clone(settings),
            trailers: set.iter().map(|(name, _)| name).chain(&settings.response.remove).cloned().collect(),
            fixed: set.iter().map(fixed).collect(),
            mandated: settings.response.mandated.iter().chain(&settings.response.withheld).cloned().collect(),
            evaluates: set.iter().any(|(_, text)| text.programs().next().is_some()),
            reads_head: set.iter().flat_map(|(_, text)| text.references()).any(|one| facts::reads_head(&one)),
        };
        (!settings.response.is_empty()).then(|| Self { edits: Arc::new(edits) })
    }

    /// Of what mandates say about fields that a layer outside of these edits writes too. Placed outside of that
    /// layer it has the last word.
    #[must_use]
    pub fn of_mandates(settings: &Settings, writes: impl Fn(&HeaderName) -> bool) -> Option<Self> {
        let Edits { set, mandated, withheld, .. } = &settings.response;
        let set = set.iter().filter(|(name, _)| mandated.contains(name) && writes(name)).cloned().collect();
        let remove = withheld.iter().filter(|name| writes(name)).cloned().collect();
        let response = Edits { set, remove, ..Edits::default() };
        Self::new(&Arc::new(Settings { request: Edits::default(), response }))
    }

    /// Edits an answer that no layer makes.
    pub(super) fn apply(&self, request: &Request<Body>, response: &mut Response<Body>) {
        self.edits.apply(response, self.edits.later(request).as_deref());
    }
}

impl<S> Layer<S> for ResponseLayer {
    type Service = EditResponse<S>;

    fn layer(&self, inner: S) -> EditResponse<S> {
        EditResponse { inner, edits: Arc::clone(&self.edits) }
    }
}

// === impl Prepared ===

impl Prepared {
    /// What is evaluated when the answer is there.
    fn later(&self, request: &Request<Body>) -> Option<Box<(Snapshot, Arc<Exchange>)>> {
        let exchange = if self.evaluates { request.body().carried::<Exchange>() } else { None };
        exchange.map(|exchange| {
            let snapshot = if self.reads_head { Snapshot::of(request) } else { Snapshot::empty() };
            Box::new((snapshot, exchange))
        })
    }

    fn apply(&self, response: &mut Response<Body>, later: Option<&(Snapshot, Arc<Exchange>)>) {
        let Edits { set, remove, .. } = &self.settings.response;
        if response.body().is_stream() {
            let body = std::mem::take(response.body_mut());
            *response.body_mut() = body.without_trailers(Arc::clone(&self.trailers));
            unannounce(response.headers_mut(), &self.trailers);
        }
        let headers = response.headers_mut();
        for name in remove {
            headers.remove(name);
        }
        // Few answers have such names at all.
        if !self.mandated.is_empty() && headers.keys().any(|name| name.as_str().contains('_')) {
            let alike =
                |name: &&HeaderName| self.mandated.iter().any(|one| is_read_as(name, one) && one != *name);
            let others: Vec<HeaderName> = headers.keys().filter(alike).cloned().collect();
            for name in &others {
                headers.remove(name);
            }
        }
        let facts = later.map(|(snapshot, exchange)| Facts::later(snapshot, exchange));
        let mut fields = HeaderMap::with_capacity(set.len());
        for ((name, text), fixed) in set.iter().zip(&self.fixed) {
            if let Some(value) = fixed {
                fields.append(name.clone(), value.clone());
            } else if let Some(facts) = &facts
                && let Err(error) = append(name, text, facts, &mut fields)
            {
                // The answer is made: what it would have said besides is left out.
                headers.remove(name);
                if let Some(left_out) = later.and_then(|(_, exchange)| exchange.line()) {
                    let field = name.as_str();
                    tracing::warn!(field, %error, left_out, "a field of an answer was left out");
                }
            }
        }
        replace(headers, fields);
    }
}

// === impl EditResponse ===

impl<S> Service<Request<Body>> for EditResponse<S>
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
        let later = self.edits.later(&request);
        ResponseFuture { future: self.inner.call(request), edits: Arc::clone(&self.edits), later }
    }
}

// === impl ResponseFuture ===

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.future.poll(cx));
        if let Ok(response) = &mut answer {
            this.edits.apply(response, this.later.as_deref());
        }
        Poll::Ready(answer)
    }
}

/// Adds a field to those that are set.
fn append(name: &HeaderName, text: &Text, facts: &Facts<'_>, fields: &mut HeaderMap) -> Result<(), Error> {
    let mut refused = false;
    let mut add = |value: &str| {
        match HeaderValue::from_str(value) {
            Ok(value) => refused |= fields.try_append(name, value).is_err(),
            Err(_) => refused = true,
        }
        Ok::<_, EvalError>(())
    };
    facts.each(text, &mut add)?;
    if !refused {
        return Ok(());
    }
    // The client's own data is its own fault.
    let clients = text.references().all(|one| facts::reads_head(&one));
    let kind = if clients { Kind::InvalidRequest } else { Kind::ExpressionError };
    Err(Error::new(kind).detail(format!("the value of `{name}` may not have CR, LF, NUL or the like")))
}

/// Takes names out of what `trailer` announces (RFC 9110 §6.6.2): they do not come.
fn unannounce(headers: &mut HeaderMap, names: &[HeaderName]) {
    let comes = |word: &&[u8]| {
        !word.is_empty() && !names.iter().any(|name| name.as_str().as_bytes().eq_ignore_ascii_case(word))
    };
    let lines = headers.get_all(header::TRAILER).iter();
    let words: Vec<&[u8]> =
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect();
    if words.iter().all(comes) {
        return;
    }
    let left = words.into_iter().filter(comes).collect::<Vec<_>>().join(&b", "[..]);
    match HeaderValue::from_bytes(&left) {
        Ok(left) if !left.is_empty() => headers.insert(header::TRAILER, left),
        _ => headers.remove(header::TRAILER),
    };
}

/// Puts fields in the place of those with their names.
fn replace(headers: &mut HeaderMap, fields: HeaderMap) {
    let mut last = None;
    for (name, value) in fields {
        match (name, &last) {
            (Some(name), _) => {
                headers.insert(name.clone(), value);
                last = Some(name);
            }
            (None, Some(name)) => {
                headers.append(name.clone(), value);
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests;
