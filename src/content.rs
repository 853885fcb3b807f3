//! Received bodies, whole in memory, read by content type.
//!
//! JSON and forms become a document when the step settles, not when an expression reads them: what is
//! not the promised payload fails the step, where `optional` and `fallback` can tolerate it, and not
//! its reader. Whatever no expression reads stays bytes.

use std::{borrow::Cow, mem};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    background,
    expr::Value,
    form,
    json::{self, Document, JsonError},
};

/// How much of a body expressions need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyUse {
    /// Nothing reads it: it is drained and dropped.
    Unread,
    /// Only forwarded whole, or kept because `errors` reads `error.upstream`: bytes, not parsed.
    Forwarded,
    /// Parsed by content type.
    Parsed,
}

/// A body and what it was labelled as.
#[derive(Debug, Default)]
pub struct Content {
    /// As received.
    pub bytes: Bytes,
    /// Its media type.
    pub content_type: Option<HeaderValue>,
    /// How it is coded, where it is forwarded as it came.
    pub content_encoding: Option<HeaderValue>,
    reading: Reading,
}

#[derive(Debug, Default)]
enum Reading {
    /// Bytes, whatever they are.
    #[default]
    Bytes,
    /// Nothing at all.
    Empty,
    /// UTF-8, checked.
    Text,
    Document(Document),
}

/// What a media type says about a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json` and `+json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `text/*`
    Text,
    /// Anything else.
    Other,
}

impl Media {
    /// What a content type says.
    #[must_use]
    pub fn of(content_type: &HeaderValue) -> Self {
        let text = content_type.as_bytes();
        let essence = text.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/json") {
            return Self::Json;
        }
        if essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            return Self::Form;
        }
        let suffix = essence.iter().rposition(|&byte| matches!(byte, b'/' | b'+'));
        if suffix.is_some_and(|at| essence[at + 1..].eq_ignore_ascii_case(b"json")) {
            return Self::Json;
        }
        if essence.len() > 5 && essence[..5].eq_ignore_ascii_case(b"text/") {
            return Self::Text;
        }
        Self::Other
    }
}

/// A body from here on is not read between two requests: an eighth of a millisecond at worst.
const LONG: usize = 32 * 1024;

/// One from here on is dropped behind the workers.
const LARGE: usize = 256 * 1024;

impl Content {
    /// Whether to read a body takes a worker too long.
    #[must_use]
    pub fn is_long(bytes: &Bytes, how: BodyUse) -> bool {
        how == BodyUse::Parsed && bytes.len() >= LONG
    }

    /// Reads a body as far as its use asks for.
    pub fn read(bytes: Bytes, headers: &HeaderMap, how: BodyUse) -> Result<Self, JsonError> {
        let content_type = headers.get(header::CONTENT_TYPE);
        let reading = match how {
            BodyUse::Unread => Reading::Empty,
            _ if bytes.is_empty() => Reading::Empty,
            BodyUse::Forwarded => Reading::Bytes,
            BodyUse::Parsed => match content_type.map_or(Media::Other, Media::of) {
                Media::Json => Reading::Document(Document::parse(bytes.clone())?),
                Media::Form => Reading::Document(form(&bytes)?),
                Media::Text => {
                    utf8(&bytes)?;
                    Reading::Text
                }
                Media::Other => Reading::Bytes,
            },
        };
        let content_encoding = headers.get(header::CONTENT_ENCODING).cloned();
        Ok(Self { bytes, content_type: content_type.cloned(), content_encoding, reading })
    }

    /// What an expression sees.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match &self.reading {
            Reading::Empty => Value::Null,
            Reading::Document(document) => Value::Json(document.root()),
            Reading::Bytes => Value::Bytes(Cow::Borrowed(&self.bytes)),
            // Checked when it was read, so that nothing is replaced here.
            Reading::Text => Value::Str(String::from_utf8_lossy(&self.bytes)),
        }
    }
}

impl Content {
    /// The same as JSON, for a schema to judge.
    #[must_use]
    pub fn json(&self) -> Bytes {
        match &self.reading {
            Reading::Document(document) => document.bytes().clone(),
            Reading::Text => {
                let mut json = Vec::with_capacity(self.bytes.len() + 2);
                json::write_string(&String::from_utf8_lossy(&self.bytes), &mut json);
                Bytes::from(json)
            }
            Reading::Empty | Reading::Bytes => Bytes::from_static(b"null"),
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if self.bytes.len() >= LARGE {
            background::discard((mem::take(&mut self.bytes), mem::take(&mut self.reading)));
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(bytes)
        .map_err(|error| JsonError { offset: error.valid_up_to(), reason: "this is not UTF-8" })
}

/// A form as a document: a string per name, a list of strings where a name repeats.
fn form(bytes: &Bytes) -> Result<Document, JsonError> {
    let mut members: Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for (name, value) in form::pairs(utf8(bytes)?) {
        let at = *index.entry(name.clone()).or_insert(members.len());
        match members.get_mut(at) {
            Some((_, values)) => values.push(value),
            None => members.push((name, vec![value])),
        }
    }
    let mut out = Vec::with_capacity(bytes.len() * 2);
    out.push(b'{');
    for (position, (name, values)) in members.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        json::write_string(name, &mut out);
        out.push(b':');
        if let [value] = &values[..] {
            json::write_string(value, &mut out);
            continue;
        }
        for (position, value) in values.iter().enumerate() {
            out.push(if position == 0 { b'[' } else { b',' });
            json::write_string(value, &mut out);
        }
        out.push(b']');
    }
    out.push(b'}');
    Document::parse(Bytes::from(out))
}
