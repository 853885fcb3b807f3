//! The one error of request time.
//!
//! Layers and endpoints return it; `policy::respond` alone turns it into an answer. What it says to
//! a client is its kind, the step's name and a `detail` of our own words: never an upstream's text.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::problem::Kind;

/// Why a request was not answered by its route.
///
/// One pointer wide, because it travels through every layer's `Result`.
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    status: Option<StatusCode>,
    step: Option<Arc<str>>,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
    upstream: Option<UpstreamAnswer>,
    document: Option<Document>,
    cause: Option<String>,
}

/// What an upstream answered before its step was judged failed; only `errors` expressions read it.
#[derive(Clone, Debug)]
pub struct UpstreamAnswer {
    /// The status the upstream sent.
    pub status: StatusCode,
    /// Its body as far as the step's cap let it be read.
    pub body: Bytes,
    /// Its content type, which decides how `error.upstream.body` is read.
    pub content_type: Option<HeaderValue>,
}

/// The members that a route's own `problem` sets over the default document.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// RFC 9457 `type`; `about:blank` when absent.
    pub type_uri: Option<String>,
    /// RFC 9457 `title`.
    pub title: Option<String>,
    /// Extension members, name and JSON text, in the order of the file.
    pub members: Vec<(String, Vec<u8>)>,
}

// === impl Error ===

impl Error {
    /// A failure of this kind with its default status and title.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self(Box::new(Inner {
            kind,
            status: None,
            step: None,
            detail: None,
            retry_after: None,
            headers: Vec::new(),
            upstream: None,
            document: None,
            cause: None,
        }))
    }

    /// Says more, in our own words. Shown to the client.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// What happened underneath. Logged, never shown.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Names the step that failed.
    #[must_use]
    pub fn step(mut self, step: &Arc<str>) -> Self {
        self.0.step = Some(Arc::clone(step));
        self
    }

    /// Replaces the kind's status (`passStatus`, `problem.status`).
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Seconds after which the client may try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// A response field to send along, such as `allow`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Keeps the upstream's answer for the route's `errors`.
    #[must_use]
    pub fn upstream(mut self, answer: UpstreamAnswer) -> Self {
        self.0.upstream = Some(answer);
        self
    }

    /// Replaces members of the problem document.
    #[must_use]
    pub fn document(mut self, document: Document) -> Self {
        self.0.document = Some(document);
        self
    }

    /// The kind, which labels answer, metric and log alike.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The status to answer with.
    #[must_use]
    pub fn response_status(&self) -> StatusCode {
        self.0.status.unwrap_or_else(|| self.0.kind.status())
    }

    /// The step that failed, if one did.
    #[must_use]
    pub fn failed_step(&self) -> Option<&Arc<str>> {
        self.0.step.as_ref()
    }

    /// The words for the client.
    #[must_use]
    pub fn public_detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What to log.
    #[must_use]
    pub fn private_cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Seconds for `retry-after`.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after
    }

    /// Response fields to send along.
    #[must_use]
    pub fn response_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// The upstream's answer, where one came.
    #[must_use]
    pub fn upstream_answer(&self) -> Option<&UpstreamAnswer> {
        self.0.upstream.as_ref()
    }

    /// The route's own document members.
    #[must_use]
    pub fn own_document(&self) -> Option<&Document> {
        self.0.document.as_ref()
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.title())?;
        if let Some(step) = &self.0.step {
            write!(f, " (step `{step}`)")?;
        }
        if let Some(detail) = &self.0.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}
