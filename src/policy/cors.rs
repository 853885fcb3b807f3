//! Cross-origin rules: `cors` (Fetch standard, CORS protocol).
//!
//! A preflight, which the gateway routes by the method that it asks about, is answered here, before anybody is
//! asked who they are: browsers send it without credentials. Place it outside of the layer that makes errors
//! into answers, so that scripts can read a 401 or a 429.
//!
//! Differs from tower-http's layer in what a refusal is (an answer without any grant), in that grants of an
//! upstream do not pass, and in that an origin is never mirrored unless it is listed.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::headers::ResponseLayer;
use crate::body::Body;

/// All that says who may do what; of an upstream none of it passes.
const GRANTS: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

/// How long a browser remembers a preflight that does not say it (Fetch, CORS-preflight cache).
pub const UNSAID_AGE: Duration = Duration::from_secs(5);

/// `cors`
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Origins as browsers send them; `*` for any.
    pub origins: Vec<String>,
    /// Methods that may be used; none where layers share none.
    pub methods: Vec<Method>,
    /// Fields that may be sent.
    pub headers: Vec<HeaderName>,
    /// Fields of answers that scripts may read.
    pub expose: Vec<HeaderName>,
    /// Whether credentials may go along.
    pub credentials: bool,
    /// How long a browser may remember a preflight.
    pub max_age: Option<Duration>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct CorsLayer {
    rules: Arc<Rules>,
    fields: Option<ResponseLayer>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Cors<S> {
    inner: S,
    rules: Arc<Rules>,
    fields: Option<ResponseLayer>,
}

/// The settings, and the values of fields that are made of them.
#[derive(Debug)]
struct Rules {
    settings: Settings,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
}

pin_project! {
    /// The answer with its grants.
    #[project = ResponseFutureProj]
    #[derive(Debug)]
    #[allow(missing_docs, reason = "the macro takes no documentation on the fields of a variant")]
    pub enum ResponseFuture<F> {
        /// A request; `origin` if it is one that may read the answer.
        Request { #[pin] future: F, rules: Arc<Rules>, origin: Option<HeaderValue> },
        /// A preflight, which goes no further.
        Preflight { response: Option<Response<Body>> },
    }
}

/// Whether a field is one of those that say who may do what, which only this layer writes.
#[must_use]
pub fn is_grant(name: &HeaderName) -> bool {
    GRANTS.contains(name)
}

/// The field that says to browsers what a key of `cors` says.
#[must_use]
pub fn grant(key: &str) -> HeaderName {
    match key {
        "methods" => header::ACCESS_CONTROL_ALLOW_METHODS,
        "headers" => header::ACCESS_CONTROL_ALLOW_HEADERS,
        "expose" => header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "credentials" => header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        "maxAge" => header::ACCESS_CONTROL_MAX_AGE,
        _ => header::ACCESS_CONTROL_ALLOW_ORIGIN,
    }
}

/// The method that a preflight asks about; nothing if the request is none.
#[must_use]
pub fn preflight(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS || !headers.contains_key(header::ORIGIN) {
        return None;
    }
    Method::from_bytes(headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

// === impl CorsLayer ===

impl CorsLayer {
    /// By these rules.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let settings = settings.clone();
        let list = |words: Vec<&str>| {
            (!words.is_empty()).then(|| HeaderValue::try_from(words.join(", ")).ok()).flatten()
        };
        let names = |names: &[HeaderName]| list(names.iter().map(HeaderName::as_str).collect());
        let methods = list(settings.methods.iter().map(Method::as_str).collect());
        let (headers, expose) = (names(&settings.headers), names(&settings.expose));
        Self { rules: Arc::new(Rules { settings, methods, headers, expose }), fields: None }
    }

    /// Answers to preflights have these fields too. They grant nothing.
    #[must_use]
    pub fn with_fields(self, fields: Option<ResponseLayer>) -> Self {
        Self { fields, ..self }
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors { inner, rules: Arc::clone(&self.rules), fields: self.fields.clone() }
    }
}

// === impl Settings ===

impl Settings {
    /// The fields that answers get by these settings, each with the name of the key that says so.
    pub fn written(&self) -> impl Iterator<Item = (&'static str, HeaderName)> {
        [
            ("origins", !self.origins.is_empty()),
            ("methods", !self.methods.is_empty()),
            ("headers", !self.headers.is_empty()),
            ("expose", !self.expose.is_empty()),
            ("credentials", self.credentials),
            ("maxAge", self.max_age.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, writes)| writes.then_some((key, grant(key))))
    }
}

// === impl Rules ===

impl Rules {
    /// Any origin may, so that the answer is the same for all of them. Never together with credentials.
    fn any(&self) -> bool {
        !self.settings.credentials && self.settings.origins.iter().any(|origin| origin == "*")
    }

    /// What an origin that may is told that may; nothing for one that may not.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut sent = headers.get_all(header::ORIGIN).iter();
        let (origin, None) = (sent.next()?, sent.next()) else { return None };
        if self.any() {
            return Some(HeaderValue::from_static("*"));
        }
        let listed = |listed: &String| listed != "*" && listed.as_bytes() == origin.as_bytes();
        self.settings.origins.iter().any(listed).then(|| origin.clone())
    }

    fn preflight(&self, asked: &Method, headers: &HeaderMap, out: &mut HeaderMap) {
        GRANTS.iter().for_each(|name| {
            out.remove(name);
        });
        out.append(
            header::VARY,
            HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers"),
        );
        if !self.allows(asked, headers) {
            return;
        }
        let Some(origin) = self.allowed(headers) else { return };
        self.grant(origin, out);
        if let Some(methods) = &self.methods {
            out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
        }
        if let Some(names) = &self.headers {
            out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        if let Some(age) = self.settings.max_age {
            out.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
        }
    }

    /// Whether the method and every field that a preflight asks about may be used.
    fn allows(&self, asked: &Method, headers: &HeaderMap) -> bool {
        let methods = &self.settings.methods;
        let lines = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let mut fields = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let listed = |field: &[u8]| {
            let field = field.trim_ascii();
            let known = |name: &str| name.as_bytes().eq_ignore_ascii_case(field);
            // Fetch: what may be sent without being listed.
            field.is_empty()
                || ["accept", "accept-language", "content-language"].into_iter().any(known)
                || self.settings.headers.iter().any(|name| known(name.as_str()))
        };
        methods.contains(asked) && fields.all(listed)
    }

    fn grant(&self, origin: HeaderValue, out: &mut HeaderMap) {
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.settings.credentials {
            out.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Says in an answer who may read it. What an upstream says of that does not pass.
    fn apply(&self, origin: Option<HeaderValue>, out: &mut HeaderMap) {
        GRANTS.iter().for_each(|name| {
            out.remove(name);
        });
        // Also without an origin: a cache must not hand that answer to a request with one.
        if !self.any() {
            vary(out, &header::ORIGIN);
        }
        let Some(origin) = origin else { return };
        self.grant(origin, out);
        if let Some(expose) = &self.expose {
            out.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

/// Adds a field to those that an answer varies by, unless it is there.
pub(super) fn vary(headers: &mut HeaderMap, name: &HeaderName) {
    let is_it = |word: &[u8]| {
        let word = word.trim_ascii();
        word == b"*" || word.eq_ignore_ascii_case(name.as_str().as_bytes())
    };
    let mut lines = headers.get_all(header::VARY).iter();
    if !lines.any(|line| line.as_bytes().split(|byte| *byte == b',').any(is_it)) {
        headers.append(header::VARY, HeaderValue::from(name.clone()));
    }
}

// === impl Cors ===

impl<S> Service<Request<Body>> for Cors<S>
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
        if let Some(asked) = preflight(request.method(), request.headers()) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            if let Some(fields) = &self.fields {
                fields.apply(&request, &mut response);
            }
            self.rules.preflight(&asked, request.headers(), response.headers_mut());
            return ResponseFuture::Preflight { response: Some(response) };
        }
        let origin = self.rules.allowed(request.headers());
        ResponseFuture::Request { future: self.inner.call(request), rules: Arc::clone(&self.rules), origin }
    }
}

// === impl ResponseFuture ===

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProj::Request { future, rules, origin } => {
                let mut answer = ready!(future.poll(cx));
                if let Ok(response) = &mut answer {
                    rules.apply(origin.take(), response.headers_mut());
                }
                Poll::Ready(answer)
            }
            ResponseFutureProj::Preflight { response } => {
                Poll::Ready(Ok(response.take().unwrap_or_default()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::{
        policy::{
            respond::RespondLayer,
            testing::{exchange, request},
        },
        problem::Kind,
    };

    fn settings() -> Settings {
        Settings {
            origins: vec!["https://app.example.com".to_owned()],
            methods: vec![Method::GET, Method::PUT],
            headers: vec![header::CONTENT_TYPE],
            expose: vec![header::ETAG],
            credentials: true,
            max_age: Some(Duration::from_secs(600)),
        }
    }

    /// The status, and the fields that browsers look at.
    async fn answer(settings: &Settings, head: &str) -> (u16, Vec<String>) {
        let endpoint = service_fn(|request: Request<Body>| async move {
            if request.uri().path() == "/denied" {
                return Err(Kind::Unauthenticated.into());
            }
            let grants =
                Response::builder().header("access-control-allow-origin", "*").header("vary", "accept");
            Ok(grants.body(Body::empty()).unwrap())
        });
        let service = CorsLayer::new(settings).layer(RespondLayer.layer(endpoint));
        let answer = service.oneshot(request(head, exchange())).await.unwrap();
        let mut fields: Vec<_> = answer
            .headers()
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("access-") || **name == header::VARY)
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        fields.sort();
        (answer.status().as_u16(), fields)
    }

    const PREFLIGHT_VARIES: &str =
        "vary: origin, access-control-request-method, access-control-request-headers";

    #[tokio::test]
    async fn a_preflight_is_granted_what_is_listed_and_nothing_else() {
        let ask = |origin: &str, method: &str, fields: &str| {
            format!(
                "OPTIONS /\norigin: {origin}\naccess-control-request-method: {method}\n\
                 access-control-request-headers: {fields}"
            )
        };
        let granted =
            answer(&settings(), &ask("https://app.example.com", "PUT", "Content-Type,accept")).await;
        assert_eq!(
            granted,
            (
                204,
                vec![
                    "access-control-allow-credentials: true".to_owned(),
                    "access-control-allow-headers: content-type".to_owned(),
                    "access-control-allow-methods: GET, PUT".to_owned(),
                    "access-control-allow-origin: https://app.example.com".to_owned(),
                    "access-control-max-age: 600".to_owned(),
                    PREFLIGHT_VARIES.to_owned(),
                ]
            )
        );
        for (origin, method, fields) in [
            ("https://evil.example.com", "PUT", "content-type"),
            ("https://app.example.com.evil.com", "PUT", "content-type"),
            ("http://app.example.com", "PUT", "content-type"),
            ("null", "PUT", "content-type"),
            ("https://app.example.com", "DELETE", "content-type"),
            ("https://app.example.com", "PUT", "content-type, x-other"),
        ] {
            let refused = answer(&settings(), &ask(origin, method, fields)).await;
            assert_eq!(refused, (204, vec![PREFLIGHT_VARIES.to_owned()]), "{origin} {method} {fields}");
        }
    }

    #[tokio::test]
    async fn answers_and_errors_tell_a_listed_origin_that_it_may_read_them() {
        for (path, status, own) in [("/", 200, "vary: accept"), ("/denied", 401, "")] {
            let mut expected = vec![
                "access-control-allow-credentials: true",
                "access-control-allow-origin: https://app.example.com",
                "access-control-expose-headers: etag",
                own,
                "vary: origin",
            ];
            expected.retain(|line| !line.is_empty());
            let head = format!("GET {path}\norigin: https://app.example.com");
            let (got, fields) = answer(&settings(), &head).await;
            assert_eq!((got, fields.iter().map(String::as_str).collect::<Vec<_>>()), (status, expected));
        }
        for head in ["GET /\norigin: https://evil.example.com", "GET /"] {
            assert_eq!(answer(&settings(), head).await.1, ["vary: accept", "vary: origin"]);
        }
    }

    #[tokio::test]
    async fn any_origin_is_a_star_and_never_one_with_credentials() {
        let mut open = Settings { origins: vec!["*".to_owned()], ..Settings::default() };
        let head = "GET /\norigin: https://a.example.com";
        assert_eq!(answer(&open, head).await.1, ["access-control-allow-origin: *", "vary: accept"]);
        open.credentials = true;
        assert_eq!(answer(&open, head).await.1, ["vary: accept", "vary: origin"]);
    }
}
