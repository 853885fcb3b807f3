//! `request` of a Route: what its parameters and its body must be.

use http::HeaderName;

use super::{
    Spanned,
    decode::{Decoder, Fields},
    json_schema::SchemaTemplate,
    keys::{Object, Shape, optional},
    parameter::{PARAMETER, ParameterTemplate, parameters},
};
use crate::diagnostic::Place;

/// `request`
pub(super) static REQUEST: Object = Object {
    name: "request",
    keys: &[
        optional("path", Shape::Map(&Shape::Object(&PARAMETER)), "A JSON Schema per capture of the path."),
        optional("query", Shape::Map(&Shape::Object(&PARAMETER)), "A JSON Schema per query parameter."),
        optional("headers", Shape::Map(&Shape::Object(&PARAMETER)), "A JSON Schema per header field."),
        optional("cookies", Shape::Map(&Shape::Object(&PARAMETER)), "A JSON Schema per cookie."),
        optional("body", Shape::Object(&BODY), "What the body must be."),
    ],
    one_of: &[],
    open: false,
};

static BODY: Object = Object {
    name: "body",
    keys: &[
        optional("schema", Shape::Value, "A JSON Schema, or the path of a file with one."),
        optional("maxBytes", Shape::Size, "The largest body (1MiB where it is read)."),
        optional("required", Shape::Flag, "It must be there (false)."),
    ],
    one_of: &[],
    open: false,
};

/// `request`
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    /// `path`: by the names of captures.
    pub path: Vec<ParameterTemplate>,
    /// `query`
    pub query: Vec<ParameterTemplate>,
    /// `headers`
    pub headers: Vec<(HeaderName, ParameterTemplate)>,
    /// `cookies`
    pub cookies: Vec<ParameterTemplate>,
    /// `body`
    pub body: Option<BodyTemplate>,
}

/// `request.body`
#[derive(Clone, Debug)]
pub struct BodyTemplate {
    /// Where it stands.
    pub place: Place,
    /// `schema`
    pub schema: Option<SchemaTemplate>,
    /// `maxBytes`
    pub max_bytes: Option<Spanned<u64>>,
    /// `required` (false)
    pub required: bool,
}

/// Decodes `request`.
pub(super) fn request(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<RequestTemplate> {
    let fields = &decoder.object(fields, "request")?;
    let mut all = |key| {
        let entries = decoder.map(fields, key);
        parameters(decoder, entries)
    };
    let (path, query, headers, cookies) = (all("path"), all("query"), all("headers"), all("cookies"));
    let mut named: Vec<(HeaderName, ParameterTemplate)> = Vec::with_capacity(headers.len());
    for header in headers {
        let Some(Spanned { value, place }) = decoder.header_name(&header.name) else { continue };
        if let Some((_, first)) = named.iter().find(|(known, _)| *known == value) {
            let first = first.name.place.clone();
            decoder.same_header(&Spanned { value, place }, first);
            continue;
        }
        named.push((value, header));
    }
    Some(RequestTemplate { path, query, headers: named, cookies, body: body(decoder, fields) })
}

fn body(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<BodyTemplate> {
    let place = fields.key_place("body").clone();
    let fields = &decoder.object(fields, "body")?;
    Some(BodyTemplate {
        place,
        schema: fields.get("schema").and_then(|node| decoder.schema(node)),
        max_bytes: decoder
            .size(fields, "maxBytes")
            .map(|value| Spanned { value, place: fields.key_place("maxBytes").clone() }),
        required: decoder.flag(fields, "required").unwrap_or(false),
    })
}
