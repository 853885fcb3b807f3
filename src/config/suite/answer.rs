//! One answer of a mock.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderName;

use super::{CONTENT, ContentTemplate, content, sent_headers};
use crate::{
    config::{
        Node, Spanned,
        decode::{Decoder, Fields},
        keys::{Object, Shape, optional},
    },
    diagnostic::Place,
};

/// No mock's body is larger: it is there for what is refused as too large.
const LARGEST: u64 = 64 * 1024 * 1024;

static ANSWER: Object = Object {
    name: "an answer",
    keys: &[
        optional("status", Shape::Count(200, 599), "The status (200)."),
        optional("headers", Shape::Map(&Shape::Value), "Fields; a list repeats."),
        optional("body", Shape::Value, "The body: a text as it is, anything else as JSON."),
        optional("base64", Shape::Text, "The body, in base64: for bytes that are no text."),
        optional("size", Shape::Size, "The body is a JSON text of so many bytes: for what is too large."),
        optional("fault", Shape::Word(FAULTS), "What goes wrong instead of an answer."),
        optional("delay", Shape::Duration, "How long it takes (0s)."),
        optional("bodyDelay", Shape::Duration, "How long after the head the body takes (0s)."),
        optional("on", Shape::Object(&CONTENT), "Answers only calls with this content."),
    ],
    one_of: &[],
    open: false,
};

const FAULTS: &[&str] = &["connect", "reset", "timeout", "malformed", "truncated"];

/// One answer.
#[derive(Clone, Debug)]
pub struct AnswerTemplate {
    /// Where it stands.
    pub place: Place,
    /// `status` (200)
    pub status: u16,
    /// `headers`
    pub headers: Vec<(HeaderName, Spanned<String>)>,
    /// `body`, `base64` or `size`
    pub body: AnswerBody,
    /// `fault`
    pub fault: Option<Fault>,
    /// `delay` (0s)
    pub delay: Duration,
    /// `bodyDelay` (0s)
    pub body_delay: Duration,
    /// `on`: any call when empty.
    pub on: ContentTemplate,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum AnswerBody {
    /// None.
    Empty,
    /// `body`
    Value(Node),
    /// `base64`
    Bytes(Bytes),
    /// `size`
    Size(usize),
}

/// What goes wrong instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection.
    Connect,
    /// The connection breaks before the answer.
    Reset,
    /// Nothing comes.
    Timeout,
    /// What comes is not HTTP.
    Malformed,
    /// The body breaks off.
    Truncated,
}

pub(super) fn answer(
    decoder: &mut Decoder<'_>,
    target: &Spanned<String>,
    node: &Node,
) -> Option<AnswerTemplate> {
    let fields = decoder.fields(&target.value, &ANSWER, node, &target.place)?;
    let fault = decoder.word(&fields, "fault").map(|word| match word {
        "connect" => Fault::Connect,
        "reset" => Fault::Reset,
        "timeout" => Fault::Timeout,
        "truncated" => Fault::Truncated,
        _ => Fault::Malformed,
    });
    if fault.is_some() {
        for key in ["status", "headers", "body", "base64", "size", "bodyDelay"] {
            if fields.get(key).is_some() {
                let message = format!("`{key}` has no use beside `fault`");
                decoder.invalid(fields.key_place(key), message, "a fault is what comes instead of an answer");
            }
        }
    }
    let on = match decoder.object(&fields, "on") {
        Some(on) => content(decoder, &on),
        None => ContentTemplate::default(),
    };
    if fault == Some(Fault::Connect) && on.body.is_some() {
        decoder.invalid(
            fields.key_place("on"),
            "no body is sent before there is a connection",
            "tell the call by its path, query or headers, or use `fault: reset`",
        );
    }
    Some(AnswerTemplate {
        place: node.place.clone(),
        status: decoder.count(&fields, "status").and_then(|status| status.try_into().ok()).unwrap_or(200),
        headers: sent_headers(decoder, &fields),
        body: body(decoder, &fields),
        fault,
        delay: decoder.duration_or_zero(&fields, "delay").map_or(Duration::ZERO, |delay| delay.value),
        body_delay: decoder
            .duration_or_zero(&fields, "bodyDelay")
            .map_or(Duration::ZERO, |delay| delay.value),
        on,
    })
}

fn body(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> AnswerBody {
    let given: Vec<&str> =
        ["body", "base64", "size"].into_iter().filter(|key| fields.get(key).is_some()).collect();
    if let [first, second, ..] = given[..] {
        let message = format!("`{second}` has no use beside `{first}`");
        decoder.invalid(fields.key_place(second), message, "an answer has one body");
    }
    if let Some(text) = decoder.text(fields, "base64") {
        match STANDARD.decode(text.value.as_bytes()) {
            Ok(bytes) => return AnswerBody::Bytes(bytes.into()),
            Err(error) => {
                let message = format!("this is no base64: {error}");
                decoder.invalid(&text.place, message, "write it with `+`, `/` and `=`");
            }
        }
    }
    if let Some(size) = decoder.size(fields, "size") {
        if size <= LARGEST {
            return AnswerBody::Size(usize::try_from(size).unwrap_or_default());
        }
        decoder.invalid(fields.key_place("size"), "`size` is at most 64MiB", "write a smaller one");
    }
    fields.get("body").cloned().map_or(AnswerBody::Empty, AnswerBody::Value)
}
