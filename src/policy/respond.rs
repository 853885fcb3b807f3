//! Turns an error into an answer: the only producer of error responses.
//!
//! An RFC 9457 problem document of the error's kind, or what the route's own `errors` made of it. For
//! a gRPC request: a trailers-only answer with the `grpc-status` that the gRPC status mapping gives.
//! An upstream's text never gets here; [`Error`] does not carry it where this layer reads.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{
    error_body,
    facts::{Facts, Snapshot},
};
use crate::{
    body::Body,
    error::Error,
    json,
    problem::{Fault, Kind},
    telemetry::Exchange,
};

/// The media type of a problem document (RFC 9457 §3).
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct RespondLayer;

/// The same for a route whose errors have a shape of their own, or none.
#[derive(Clone, Debug)]
pub struct RespondWithLayer {
    shape: Option<Shaping>,
}

/// A shape, and whether it reads the request's head.
#[derive(Clone, Debug)]
struct Shaping {
    settings: Arc<error_body::Settings>,
    reads_head: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Respond<S> {
    inner: S,
    shape: Option<Shaping>,
}

pin_project! {
    /// The answer, whatever happened.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        exchange: Option<Arc<Exchange>>,
        grpc: bool,
        // Boxed, so that a route without costs a word.
        shape: Option<Box<(Arc<error_body::Settings>, Snapshot)>>,
    }
}

// === impl RespondLayer ===

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { inner, shape: None }
    }
}

// === impl RespondWithLayer ===

impl RespondWithLayer {
    /// Of this shape.
    #[must_use]
    pub fn new(shape: Option<&Arc<error_body::Settings>>) -> Self {
        let shape = shape
            .map(|settings| Shaping { reads_head: settings.reads_head(), settings: Arc::clone(settings) });
        Self { shape }
    }
}

impl<S> Layer<S> for RespondWithLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { inner, shape: self.shape.clone() }
    }
}

// === impl Respond ===

impl<S> Service<Request<Body>> for Respond<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Endpoints are always ready and decide in `call`; an error here has no request to answer.
        let _ = ready!(self.inner.poll_ready(cx));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let exchange = request.body().carried::<Exchange>();
        let grpc = is_grpc(request.headers());
        let shape = self.shape.as_ref().map(|shape| {
            let head = if shape.reads_head { Snapshot::of(&request) } else { Snapshot::empty() };
            Box::new((Arc::clone(&shape.settings), head))
        });
        ResponseFuture { future: self.inner.call(request), exchange, grpc, shape }
    }
}

// === impl ResponseFuture ===

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match ready!(this.future.poll(cx)) {
            Ok(response) => response,
            Err(error) => {
                let exchange = this.exchange.as_deref();
                let mut response = answer(&error, exchange, *this.grpc);
                if let (Some(shape), Some(exchange), false) = (this.shape, exchange, *this.grpc) {
                    reshape(&mut response, &error, shape, exchange);
                }
                response
            }
        };
        Poll::Ready(Ok(response))
    }
}

/// Whether a request is gRPC, whose failures are trailers-only answers.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().get(..16).is_some_and(|start| start == b"application/grpc"))
}

/// The answer to a request that failed; also notes the failure in the request's record.
#[must_use]
pub fn answer(error: &Error, exchange: Option<&Exchange>, grpc: bool) -> Response<Body> {
    if let Some(exchange) = exchange {
        exchange.record().failure = Some(error.kind());
        log(error, exchange);
    }
    let mut response = if grpc { grpc_answer(error) } else { problem(error, exchange) };
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    for (name, value) in error.response_headers() {
        response.headers_mut().append(name, value.clone());
    }
    response
}

/// Puts the route's own document in the place of the default one, which stays if that fails.
fn reshape(
    response: &mut Response<Body>,
    error: &Error,
    (settings, head): &(Arc<error_body::Settings>, Snapshot),
    exchange: &Exchange,
) {
    match settings.document(error, &Facts::later(head, exchange)) {
        Ok(document) => {
            *response.body_mut() = Body::full(document);
            response.headers_mut().insert(header::CONTENT_TYPE, settings.content_type.clone());
        }
        Err(failed) => {
            if let Some(left_out) = exchange.line() {
                tracing::warn!(id = &*exchange.id, %failed, left_out, "`errorBody` has no value");
            }
        }
    }
}

fn problem(error: &Error, exchange: Option<&Exchange>) -> Response<Body> {
    let status = error.response_status();
    let mut response = Response::new(Body::full(document(error, status, exchange)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn document(error: &Error, status: StatusCode, exchange: Option<&Exchange>) -> Vec<u8> {
    let own = error.own_document();
    let mut out = Vec::with_capacity(256);
    let own_members = own.map_or(&[][..], |own| &own.members);
    // What the route says goes before what would be said otherwise: no name stands twice.
    let mut member = |name: &str, value: &str| {
        if own_members.iter().any(|(own, _)| own == name) {
            return;
        }
        out.push(if out.is_empty() { b'{' } else { b',' });
        json::write_string(name, &mut out);
        out.push(b':');
        json::write_string(value, &mut out);
    };
    member("type", own.and_then(|own| own.type_uri.as_deref()).unwrap_or("about:blank"));
    member("title", own.and_then(|own| own.title.as_deref()).unwrap_or_else(|| error.kind().title()));
    match error.public_detail() {
        Some(detail) => member("detail", detail),
        None => member("detail", &error.to_string()),
    }
    member("code", error.kind().code());
    if let Some(step) = error.failed_step() {
        member("step", step);
    }
    if let Some(exchange) = exchange {
        member("instance", &format!("urn:segue:request:{}", exchange.id));
        member("traceId", &format!("{:032x}", exchange.trace.id));
    }
    out.extend_from_slice(b",\"status\":");
    out.extend_from_slice(status.as_str().as_bytes());
    for (name, value) in own_members {
        out.push(b',');
        json::write_string(name, &mut out);
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

/// Trailers-only: the status travels in the header section and there is no body.
fn grpc_answer(error: &Error) -> Response<Body> {
    // The mapping that gRPC prescribes for HTTP statuses, and 4 for deadlines.
    let status: u16 = match error.response_status().as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 | 405 => 12,
        408 | 504 => 4,
        413 | 429 => 8,
        502 | 503 => 14,
        _ => 2,
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(status));
    headers.insert("grpc-message", HeaderValue::from_static(error.kind().code()));
    response
}

fn log(error: &Error, exchange: &Exchange) {
    // What there is nothing to say of is left out.
    let cause = error.private_cause();
    let step: Option<&str> = error.failed_step().map(AsRef::as_ref);
    let id = &*exchange.id;
    match error.kind().fault() {
        Fault::Client => tracing::debug!(id, code = error.kind().code(), cause, "request refused"),
        // A `passStatus` that hands a 4xx on is an answer like any other.
        Fault::Upstream if error.response_status().is_client_error() => {
            tracing::debug!(id, code = error.kind().code(), step, cause, "upstream refused");
        }
        // Said once per request while there are too many of them, it would be part of the load.
        Fault::Gateway if error.kind() == Kind::Overloaded => {
            tracing::debug!(id, code = error.kind().code(), cause, "request shed");
        }
        // Every request may fail like this one: what is said is bounded.
        Fault::Upstream => {
            if let Some(left_out) = exchange.line() {
                tracing::warn!(id, code = error.kind().code(), step, cause, left_out, "upstream failed");
            }
        }
        Fault::Gateway => {
            if let Some(left_out) = exchange.line() {
                tracing::error!(id, code = error.kind().code(), step, cause, left_out, "request failed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Kind;

    async fn text(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect(65_536).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_problem_document_has_the_kind_and_not_the_cause() {
        let error = Error::new(Kind::UpstreamReset).step(&"seats".into()).cause("10.0.0.7: secret");
        let response = answer(&error, None, false);
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = text(response).await;
        assert_eq!(
            body,
            r#"{"type":"about:blank","title":"Upstream reset the connection","detail":"Upstream reset the connection (step `seats`)","code":"upstream_reset","step":"seats","status":502}"#
        );
    }

    #[tokio::test]
    async fn a_routes_own_document_replaces_members() {
        let document = crate::error::Document {
            type_uri: Some("https://errors.example.com/gone".to_owned()),
            title: Some("Gone \"away\"".to_owned()),
            members: vec![("hint".to_owned(), b"[1]".to_vec())],
        };
        let error = Error::new(Kind::UpstreamStatus).status(StatusCode::NOT_FOUND).document(document);
        let body = text(answer(&error, None, false)).await;
        assert_eq!(
            body,
            r#"{"type":"https://errors.example.com/gone","title":"Gone \"away\"","detail":"Unexpected upstream status","code":"upstream_status","status":404,"hint":[1]}"#
        );
    }

    #[test]
    fn grpc_failures_are_trailers_only() {
        let response = answer(&Kind::UpstreamUnreachable.into(), None, true);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
    }
}
