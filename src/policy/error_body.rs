//! Shapes error answers: `errorBody`. `policy::respond` applies it to every error answer of the route, those of
//! other policies included. An error without a route has the default document, and so has one whose shape fails
//! itself.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::facts::{self, Facts};
use crate::{
    content::{BodyUse, Content},
    error::{Error, UpstreamAnswer},
    expr::{Data, ErrorField, EvalError, Object, Reference, Shape, Slot, Value},
};

/// `errorBody` and `errorContentType`
#[derive(Debug)]
pub struct Settings {
    /// Over `error`, `request` and `execution`.
    pub shape: Shape,
    /// `application/problem+json` unless said otherwise.
    pub content_type: HeaderValue,
}

/// What `error` reads, over what everything else reads.
pub struct Failure<'a> {
    data: &'a dyn Data,
    error: &'a Error,
    upstream: Option<Upstream>,
}

/// `error.upstream`
struct Upstream {
    status: StatusCode,
    body: Option<Content>,
}

/// Whether this reads what an upstream answered, so that a failed answer's body is worth keeping.
#[must_use]
pub fn reads_upstream(reference: &Reference) -> bool {
    reference.slot == Slot::Error(ErrorField::Upstream)
}

// === impl Settings ===

impl Settings {
    /// Whether it reads what an upstream answered.
    #[must_use]
    pub fn reads_upstream(&self) -> bool {
        self.shape.references().iter().any(reads_upstream)
    }

    /// Whether it reads the head of the request.
    #[must_use]
    pub fn reads_head(&self) -> bool {
        self.shape.references().iter().any(facts::reads_head)
    }

    /// The document of an error.
    pub fn document(&self, error: &Error, facts: &Facts<'_>) -> Result<Vec<u8>, EvalError> {
        let failure = Failure::new(facts, error, self.reads_upstream());
        let mut out = Vec::with_capacity(256);
        let written = facts.within(&failure, |frame| self.shape.write(frame, &mut out))?;
        if written { Ok(out) } else { Err(EvalError::Failed(Cow::Borrowed("the whole body is omitted"))) }
    }
}

// === impl Failure ===

impl<'a> Failure<'a> {
    /// A failure, and what an upstream answered if that is read.
    #[must_use]
    pub fn new(data: &'a dyn Data, error: &'a Error, reads_upstream: bool) -> Self {
        let upstream = error.upstream_answer().filter(|_| reads_upstream).map(Upstream::new);
        Self { data, error, upstream }
    }
}

impl std::fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failure").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Data for Failure<'_> {
    fn seed(&self) -> [u8; 16] {
        self.data.seed()
    }

    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError> {
        let Slot::Error(field) = slot else {
            return self.data.read(slot);
        };
        let text = |text| Some(Value::Str(Cow::Borrowed(text)));
        Ok(match field {
            ErrorField::Code => text(self.error.kind().code()),
            ErrorField::Status => Some(Value::Int(self.error.response_status().as_u16().into())),
            ErrorField::Step => self.error.failed_step().and_then(|step| text(step)),
            ErrorField::Message => {
                text(self.error.public_detail().unwrap_or_else(|| self.error.kind().title()))
            }
            ErrorField::Upstream => self.upstream.as_ref().map(|upstream| Value::Object(upstream)),
            ErrorField::UpstreamStatus => {
                self.error.upstream_answer().map(|answer| Value::Int(answer.status.as_u16().into()))
            }
        })
    }
}

// === impl Upstream ===

impl Upstream {
    fn new(answer: &UpstreamAnswer) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = &answer.content_type {
            headers.insert(header::CONTENT_TYPE, content_type.clone());
        }
        let bytes: Bytes = answer.body.clone();
        // What cannot be read is absent: a rule that asks for it does not match.
        Self { status: answer.status, body: Content::read(bytes, &headers, BodyUse::Parsed).ok() }
    }
}

impl Object for Upstream {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        Ok(match key {
            "status" => Some(Value::Int(self.status.as_u16().into())),
            "body" => self.body.as_ref().map(Content::value),
            _ => None,
        })
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        let body = self.body.as_ref().map(|_| Cow::Borrowed("body"));
        std::iter::once(Cow::Borrowed("status")).chain(body).collect()
    }
}

#[cfg(test)]
mod tests;
