//! Compresses answers: `compress`.
//!
//! By gzip or brotli, as the client's `accept-encoding` says (RFC 9110 §12.5.3). Left as they are: what is coded
//! already, a part of something, without a body, or marked `no-transform`; event streams and gRPC, whose readers
//! wait for each piece; what is small or of a type that is not listed. An answer that would be compressed for
//! another client says so in `vary`.
//!
//! Differs from tower-http's layer in that a compressed answer has a weak entity tag, since its bytes are no
//! longer those of the upstream's strong one (RFC 9110 §8.8.1), in that it works in slices so that a long answer
//! does not hold up others, and in what it costs to depend on. Place it outermost: all that follows is fields.

mod stream;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::cors::vary;
use crate::body::Body;
use stream::{Compressed, SLICE};

/// `compress`
#[derive(Clone, Debug)]
pub struct Settings {
    /// Media types; `text/*` for all of a kind.
    pub types: Vec<String>,
    /// Smaller answers stay as they are.
    pub min_bytes: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct CompressLayer {
    settings: Arc<Settings>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Compress<S> {
    inner: S,
    settings: Arc<Settings>,
}

pin_project! {
    /// The answer, perhaps compressed.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        settings: Arc<Settings>,
        coding: Option<Coding>,
        head: bool,
    }
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Brotli,
}

// === impl Coding ===

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    /// What a client likes best; nothing if that is the answer as it is.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let (mut gzip, mut brotli, mut other, mut identity) = (None, None, None, None);
        for line in headers.get_all(header::ACCEPT_ENCODING) {
            for entry in line.to_str().unwrap_or_default().split(',') {
                let mut parts = entry.split(';').map(str::trim);
                let coding = parts.next().unwrap_or_default();
                let weight =
                    match parts.find_map(|part| part.strip_prefix(['q', 'Q'])?.trim().strip_prefix('=')) {
                        // What is no weight is not asked for.
                        Some(weight) => weight.trim().parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)),
                        None => Some(1.0),
                    };
                let slot = match &*coding.to_ascii_lowercase() {
                    "gzip" | "x-gzip" => &mut gzip,
                    "br" => &mut brotli,
                    "*" => &mut other,
                    "identity" => &mut identity,
                    _ => continue,
                };
                *slot = Some(weight.unwrap_or(0.0));
            }
        }
        let least = identity.unwrap_or(0.0);
        let weight = |own: Option<f32>| own.or(other).filter(|weight| *weight > 0.0 && *weight >= least);
        match (weight(gzip), weight(brotli)) {
            (Some(gzip), Some(brotli)) if gzip > brotli => Some(Self::Gzip),
            (_, Some(_)) => Some(Self::Brotli),
            (Some(_), None) => Some(Self::Gzip),
            (None, None) => None,
        }
    }
}

// === impl Settings ===

impl Settings {
    /// Whether an answer would be compressed for somebody.
    fn takes(&self, response: &Response<Body>, head: bool) -> bool {
        let headers = response.headers();
        let status = response.status();
        let bodiless = status.is_informational()
            || matches!(
                status,
                StatusCode::NO_CONTENT
                    | StatusCode::RESET_CONTENT
                    | StatusCode::PARTIAL_CONTENT
                    | StatusCode::NOT_MODIFIED
            );
        let coded = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        // A digest is of the bytes as they are coded (RFC 9530 §2 and 3, RFC 3230, RFC 1864).
        let digests = ["content-digest", "repr-digest", "digest", "content-md5"];
        let fixed = headers.contains_key(header::CONTENT_RANGE)
            || digests.iter().any(|name| headers.contains_key(*name));
        let kept = headers.get_all(header::CACHE_CONTROL).iter().any(|line| {
            let mut words = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            words.any(|word| word.eq_ignore_ascii_case(b"no-transform"))
        });
        // An answer to HEAD says how long the body would be, if it knows.
        let said = || headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        let known = if head { said() } else { response.body().size_hint().exact() };
        let small = known.is_some_and(|size| size < self.min_bytes);
        !bodiless && !coded && !fixed && !kept && !small && self.lists(headers)
    }

    fn lists(&self, headers: &HeaderMap) -> bool {
        let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
            return false;
        };
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind == "text/event-stream" || kind.starts_with("application/grpc") {
            return false;
        }
        self.types.iter().any(|listed| match listed.strip_suffix("/*") {
            Some("*") => true,
            Some(family) => {
                kind.strip_prefix(&*family.to_ascii_lowercase()).is_some_and(|rest| rest.starts_with('/'))
            }
            None => kind.eq_ignore_ascii_case(listed),
        })
    }

    fn apply(&self, response: &mut Response<Body>, coding: Option<Coding>, head: bool) {
        if response.status() == StatusCode::NOT_MODIFIED {
            // It has what the answer would have that it stands for (RFC 9110 §15.4.5), so that a cache finds that one.
            vary(response.headers_mut(), &header::ACCEPT_ENCODING);
            if coding.is_some() {
                weaken(response.headers_mut());
            }
            return;
        }
        if !self.takes(response, head) {
            return;
        }
        vary(response.headers_mut(), &header::ACCEPT_ENCODING);
        if head {
            // There is no body to judge, and the other fields are those of an answer that was not compressed.
            return;
        }
        let Some(coding) = coding else { return };
        let body = std::mem::take(response.body_mut());
        *response.body_mut() = match body.whole() {
            Some(bytes) if bytes.len() <= SLICE => match stream::whole(coding, &bytes) {
                // Nothing is won.
                packed if packed.len() >= bytes.len() => {
                    *response.body_mut() = body;
                    return;
                }
                packed => Body::full(packed),
            },
            _ => Body::other(Compressed::new(body, coding)),
        };
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::ACCEPT_RANGES);
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        weaken(headers);
    }
}

/// The bytes are no longer those of a strong entity tag.
fn weaken(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get(header::ETAG)
        && tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
}

// === impl CompressLayer ===

impl CompressLayer {
    /// By these settings.
    #[must_use]
    pub fn new(settings: &Arc<Settings>) -> Self {
        Self { settings: Arc::clone(settings) }
    }
}

impl<S> Layer<S> for CompressLayer {
    type Service = Compress<S>;

    fn layer(&self, inner: S) -> Compress<S> {
        Compress { inner, settings: Arc::clone(&self.settings) }
    }
}

// === impl Compress ===

impl<S> Service<Request<Body>> for Compress<S>
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
        let coding = Coding::of(request.headers());
        let head = *request.method() == Method::HEAD;
        ResponseFuture {
            future: self.inner.call(request),
            settings: Arc::clone(&self.settings),
            coding,
            head,
        }
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
            this.settings.apply(response, *this.coding, *this.head);
        }
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests;
