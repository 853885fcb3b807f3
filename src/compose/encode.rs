//! A body out of a template, encoded as its content type says.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    output::{Ended, Output},
    render,
    state::State,
    vars::made,
};
use crate::{
    body::Body,
    content::Media,
    expr::{EvalError, Frame, Shape, Slot, StepField, Value},
    json::{Kind, Ref},
};

/// What a form leaves as it is (WHATWG URL, `application/x-www-form-urlencoded`).
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A body and, where it was forwarded, what its sender said about it.
pub(super) struct Encoded {
    pub(super) body: Body,
    /// Unless the template sets one.
    pub(super) content_type: Option<HeaderValue>,
    pub(super) content_encoding: Option<HeaderValue>,
}

impl Encoded {
    fn new(bytes: impl Into<Bytes>, content_type: Option<HeaderValue>) -> Self {
        Self { body: Body::full(bytes), content_type, content_encoding: None }
    }
}

/// Encodes a body. Nothing when it is omitted.
pub(super) fn body<'a>(
    shape: &'a Shape,
    content_type: Option<&HeaderValue>,
    state: &'a State,
    frame: &Frame<'a, '_>,
    expected: usize,
) -> Result<Option<Encoded>, EvalError> {
    if let Some(slot) = shape.as_body()
        && let Some(forwarded) = forward(state, slot)
    {
        return Ok(Some(forwarded));
    }
    let media = content_type.map_or(Media::Json, Media::of);
    if media == Media::Json {
        let mut out = Vec::with_capacity(expected);
        let written = shape.write(frame, &mut out)?;
        return Ok(written.then(|| Encoded::new(out, Some(JSON))));
    }
    // One scalar may be bytes, which no JSON can hold.
    if let Shape::Text(text) = shape {
        let Some(value) = text.eval(frame)?.present() else {
            return Ok(None);
        };
        return match (&value, media) {
            (Value::Bytes(bytes), _) => Ok(Some(Encoded::new(bytes.to_vec(), None))),
            (value, Media::Form) => {
                let mut out = Vec::new();
                value.write_json(&mut out, frame.meter)?;
                form(made(out)?.root()).map(Some)
            }
            (value, _) => Ok(Some(Encoded::new(render::text(value, frame.meter)?.into_owned(), None))),
        };
    }
    let mut out = Vec::with_capacity(expected);
    if !shape.write(frame, &mut out)? {
        return Ok(None);
    }
    match media {
        Media::Form => form(made(out)?.root()).map(Some),
        Media::Text => {
            let document = made(out)?;
            let text = scalar(document.root()).ok_or(failed("a text body is written from a string"))?;
            Ok(Some(Encoded::new(text.into_owned(), None)))
        }
        Media::Other => {
            let document = made(out)?;
            match document.root().as_str() {
                Some(text) => Ok(Some(Encoded::new(text.into_owned(), None))),
                None => Ok(Some(Encoded::new(document.bytes().clone(), None))),
            }
        }
        Media::Json => Ok(Some(Encoded::new(out, Some(JSON)))),
    }
}

/// A received body as it came, if this slot is one.
fn forward(state: &State, slot: Slot) -> Option<Encoded> {
    let content = match slot {
        Slot::RequestBody => {
            // An unreadable lock means that somebody panicked with the body in hand.
            let stream = state.run.request_stream.lock().ok().and_then(|mut stream| stream.take());
            if let Some(body) = stream {
                let headers = &state.run.request.headers.raw.0;
                return Some(Encoded {
                    body,
                    content_type: headers.get(http::header::CONTENT_TYPE).cloned(),
                    content_encoding: headers.get(http::header::CONTENT_ENCODING).cloned(),
                });
            }
            state.run.request_body.get()?
        }
        Slot::Step(step, StepField::Body) => {
            let Some(Output::One(single)) = state.output(usize::from(step)) else {
                return None;
            };
            let Ended::Ok(received) = &single.ended else {
                return None;
            };
            let stream = received.stream.as_ref().and_then(|stream| stream.lock().ok()?.take());
            if let Some(body) = stream {
                return Some(Encoded {
                    body,
                    content_type: received.content.content_type.clone(),
                    content_encoding: received.content.content_encoding.clone(),
                });
            }
            &received.content
        }
        _ => return None,
    };
    Some(Encoded {
        body: Body::full(content.bytes.clone()),
        content_type: content.content_type.clone(),
        content_encoding: content.content_encoding.clone(),
    })
}

/// `application/x-www-form-urlencoded` from a map; a list repeats its name.
fn form(map: Ref<'_>) -> Result<Encoded, EvalError> {
    const REFUSED: EvalError = failed("a form is written from a map of scalars and lists of them");
    if map.kind() != Kind::Map {
        return Err(REFUSED);
    }
    let mut out = String::new();
    let mut field = |name: &str, value: Ref<'_>| {
        let value = scalar(value).ok_or(REFUSED)?;
        if !out.is_empty() {
            out.push('&');
        }
        for (position, piece) in [name, &value].into_iter().enumerate() {
            if position > 0 {
                out.push('=');
            }
            for (position, word) in piece.split(' ').enumerate() {
                if position > 0 {
                    out.push('+');
                }
                out.extend(utf8_percent_encode(word, FORM));
            }
        }
        Ok(())
    };
    for (name, value) in map.members() {
        if value.kind() == Kind::List {
            for value in value.items() {
                field(&name, value)?;
            }
        } else {
            field(&name, value)?;
        }
    }
    Ok(Encoded::new(out, None))
}

fn scalar(value: Ref<'_>) -> Option<Cow<'_, str>> {
    match value.kind() {
        Kind::String => value.as_str(),
        Kind::Bool | Kind::Number => Some(String::from_utf8_lossy(value.raw())),
        Kind::Null | Kind::List | Kind::Map => None,
    }
}

const fn failed(words: &'static str) -> EvalError {
    EvalError::Failed(Cow::Borrowed(words))
}
