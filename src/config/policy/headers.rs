//! `headers` of a Policy.

use http::HeaderName;

use super::super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    keys::{Object, Shape, optional},
    yaml::Value,
};
use crate::diagnostic::{Code, Diagnostic};

pub(super) static HEADERS: Object = Object {
    name: "headers",
    keys: &[
        optional("request", Shape::Object(&EDITS), "Of the request, before the endpoint sees it."),
        optional("response", Shape::Object(&EDITS), "Of the answer, error answers included."),
    ],
    one_of: &[],
    open: false,
};

static EDITS: Object = Object {
    name: "an edit of headers",
    keys: &[
        optional("set", Shape::Map(&Shape::Value), "Fields to set, whatever they were; none leaves one out."),
        optional("remove", Shape::List(&Shape::Text), "Fields to take out."),
    ],
    one_of: &[],
    open: false,
};

/// `headers`
#[derive(Clone, Debug, Default)]
pub struct HeadersTemplate {
    /// `request`
    pub request: EditsTemplate,
    /// `response`
    pub response: EditsTemplate,
}

/// `set` and `remove`
#[derive(Clone, Debug, Default)]
pub struct EditsTemplate {
    /// `set`: scalars, in file order.
    pub set: Vec<(Spanned<HeaderName>, Node)>,
    /// `remove`
    pub remove: Vec<Spanned<HeaderName>>,
}

pub(super) fn decode(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> HeadersTemplate {
    let Some(fields) = &decoder.object(fields, "headers") else { return HeadersTemplate::default() };
    HeadersTemplate {
        request: edits(decoder, fields, "request"),
        response: edits(decoder, fields, "response"),
    }
}

fn edits(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> EditsTemplate {
    let Some(fields) = &decoder.object(fields, key) else { return EditsTemplate::default() };
    let mut edits = EditsTemplate::default();
    if let Some(node) = fields.get("set") {
        edits.set = decoder.headers("set", node);
        edits.set.retain(|(name, node)| {
            let scalar = !matches!(node.value, Value::List(_));
            if !scalar {
                decoder.wrong_type(name.value.as_str(), "one scalar, which replaces the field", node);
            }
            scalar && is_free(decoder, name)
        });
    }
    for node in decoder.list(fields, "remove") {
        let Some(text) = decoder.text_of("remove", node) else { continue };
        let Some(name) = decoder.settable_header(&text).filter(|name| is_free(decoder, name)) else {
            continue;
        };
        if key == "response" && name.value == http::header::DATE {
            let help = "leave it; an answer says when it was made (RFC 9110 §6.6.1)";
            decoder.invalid(&name.place, "`date` is in every answer", help);
            continue;
        }
        if let Some((first, _)) = edits.set.iter().find(|(first, _)| first.value == name.value) {
            decoder.findings.push(
                Diagnostic::new(
                    Code::InvalidValue,
                    name.place.clone(),
                    format!("`{}` is set and removed in one Policy", name.value),
                )
                .help("`set` replaces what was there; remove one of the two")
                .related(first.place.clone(), "set here"),
            );
            continue;
        }
        edits.remove.push(name);
    }
    edits
}

/// Whether a field is not one that the gateway itself says something with.
fn is_free(decoder: &mut Decoder<'_>, name: &Spanned<HeaderName>) -> bool {
    let own = name.value.as_str().starts_with("x-segue-") || name.value.as_str() == "segue-degraded";
    if own {
        let message = format!("`{}` is what the gateway itself says", name.value);
        decoder.invalid(&name.place, message, "choose another name");
    }
    !own
}
