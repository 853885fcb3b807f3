//! Authenticates: `authenticate` of a Policy. Says who a request is from, or answers 401.
//!
//! A key fetch is the only thing that is waited for, and only by a request that nothing else can judge; all
//! others are judged on the spot. Place it inside of the deadline, which bounds the wait, and outside of all
//! that asks who it is.
//!
//! tower-http's `AsyncRequireAuthorization` boxes a future for each request and makes answers of its own.

mod authenticator;
mod consumers;
pub mod credential;
mod subject;

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::{sync::futures::OwnedNotified, time::Instant};
use tower::{Layer, Service};

use crate::{
    body::Body, diagnostic::Place, error::Error, policy::jwt::Now, problem::Kind, telemetry::Exchange,
};

pub use crate::principal::Source;
pub use authenticator::Authenticator;
pub use consumers::Consumers;

use authenticator::Decision;

/// One policy's `authenticate`.
#[derive(Debug)]
pub struct Settings {
    /// In the order of the document, which is that of precedence.
    pub methods: Vec<Method>,
    /// `mode: all`: each must succeed, not any.
    pub all: bool,
    /// Without credentials the request goes on as anonymous.
    pub anonymous: bool,
    /// Where it is written.
    pub place: Place,
}

/// A way to authenticate.
#[derive(Debug)]
pub enum Method {
    /// `jwt`
    Jwt(JwtSettings),
    /// `apiKey`
    ApiKey(ApiKeySettings),
    /// `mtls`
    Mtls(MtlsSettings),
}

/// `jwt`
#[derive(Debug)]
pub struct JwtSettings {
    /// Whose tokens are taken.
    pub issuers: Vec<Arc<Issuer>>,
    /// Where a token is looked for, in this order.
    pub from: Vec<Source>,
}

/// `apiKey`
#[derive(Debug)]
pub struct ApiKeySettings {
    /// Where a key is looked for, in this order.
    pub from: Vec<Source>,
}

/// `mtls`
#[derive(Debug)]
pub struct MtlsSettings {
    /// URIs; `*` is one path segment.
    pub subjects: Vec<String>,
}

/// Whose tokens are taken, and how they are verified.
#[derive(Debug)]
pub struct Issuer {
    /// `iss`
    pub issuer: String,
    /// One must be in `aud`.
    pub audiences: Vec<String>,
    /// Where its keys are.
    pub keys: KeySource,
    /// Names of RFC 7518 §3.1 and RFC 8037; checked at load.
    pub algorithms: Vec<String>,
    /// How far clocks may differ (30s).
    pub clock_skew: Duration,
    /// Claims that must be there.
    pub required_claims: Vec<String>,
    /// The claim with scopes; `scope`, else `scp`, when absent.
    pub scopes_claim: Option<String>,
    /// How long a verified token may be remembered (60s).
    pub cache_ttl: Duration,
    /// Between two fetches for unknown keys (30s).
    pub cooldown: Duration,
    /// Where it is written.
    pub place: Place,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// A JWK Set in a file; the path is relative to the configuration directory.
    File(String),
    /// A JWK Set behind a URL: https, or http to loopback.
    Uri(String),
    /// By OpenID Connect discovery from the issuer.
    Discover,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct AuthenticateLayer {
    all: Arc<[Arc<Authenticator>]>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Authenticate<S> {
    inner: S,
    all: Arc<[Arc<Authenticator>]>,
}

pin_project! {
    /// The answer of the inner service, or that it may not be asked.
    #[project = ResponseFutureProj]
    #[allow(missing_docs, reason = "the macro takes no documentation on the fields of a variant")]
    pub enum ResponseFuture<S, F> {
        /// The request has gone on.
        Called { #[pin] future: F },
        /// It has not.
        Refused { error: Option<Error> },
        /// It waits for keys.
        Waiting { #[pin] ended: OwnedNotified, held: Option<(Authenticate<S>, Request<Body>, Instant)> },
    }
}

// === impl Issuer ===

impl Issuer {
    /// Whether it says the same, wherever it is written.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let Self { issuer, audiences, keys, algorithms, clock_skew, .. } = self;
        let Self { required_claims, scopes_claim, cache_ttl, cooldown, .. } = self;
        (issuer, audiences, keys, algorithms, clock_skew)
            == (&other.issuer, &other.audiences, &other.keys, &other.algorithms, &other.clock_skew)
            && (required_claims, scopes_claim, cache_ttl, cooldown)
                == (&other.required_claims, &other.scopes_claim, &other.cache_ttl, &other.cooldown)
    }
}

// === impl AuthenticateLayer ===

impl AuthenticateLayer {
    /// Each of these must be satisfied; the first that is by somebody says who it is.
    #[must_use]
    pub const fn new(all: Arc<[Arc<Authenticator>]>) -> Self {
        Self { all }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, all: Arc::clone(&self.all) }
    }
}

// === impl Authenticate ===

impl<S> Authenticate<S> {
    /// Judges a request, and notes who it is from.
    fn judge(&self, request: &Request<Body>, since: Instant) -> Decision {
        let Some(exchange) = request.body().cargo::<Exchange>() else {
            return Decision::Refuse(Error::new(Kind::Internal).cause("a request without a record"));
        };
        // A test of a template says who it is.
        if exchange.principal.get().is_some() {
            return Decision::Pass;
        }
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        authenticator::judge(&self.all, request, exchange, Now { wall: wall.as_secs_f64(), since })
    }
}

impl<S> Service<Request<Body>> for Authenticate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error> + Clone,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture<S, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let since = Instant::now();
        match self.judge(&request, since) {
            Decision::Pass => ResponseFuture::Called { future: self.inner.call(request) },
            Decision::Refuse(error) => ResponseFuture::Refused { error: Some(error) },
            Decision::Wait(ended) => {
                // The one that is ready goes along.
                let clone = self.clone();
                let ready = std::mem::replace(self, clone);
                ResponseFuture::Waiting { ended, held: Some((ready, request, since)) }
            }
        }
    }
}

// === impl ResponseFuture ===

impl<S> Future for ResponseFuture<S, S::Future>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
{
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                ResponseFutureProj::Called { future } => return future.poll(cx),
                ResponseFutureProj::Refused { error } => {
                    return Poll::Ready(Err(error.take().unwrap_or_else(|| Kind::Internal.into())));
                }
                ResponseFutureProj::Waiting { ended, held } => {
                    ready!(ended.poll(cx));
                    let Some((mut service, request, since)) = held.take() else {
                        return Poll::Ready(Err(Kind::Internal.into()));
                    };
                    match service.judge(&request, since) {
                        Decision::Pass => Self::Called { future: service.inner.call(request) },
                        Decision::Refuse(error) => Self::Refused { error: Some(error) },
                        Decision::Wait(ended) => {
                            Self::Waiting { ended, held: Some((service, request, since)) }
                        }
                    }
                }
            };
            self.set(next);
        }
    }
}
