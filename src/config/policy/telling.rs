//! `compress` and `tracing` of a Policy: what goes out, and what is told about it.

use std::sync::Arc;

use super::super::{
    Spanned,
    decode::{Decoder, Fields},
    keys::{Object, Shape, optional},
};
use crate::policy::{compress, tracing};

pub(super) static COMPRESS: Object = Object {
    name: "compress",
    keys: &[
        optional("types", Shape::List(&Shape::Text), "Media types (application/json, text/*)."),
        optional("minBytes", Shape::Size, "Smaller answers stay as they are (1KiB)."),
    ],
    one_of: &[],
    open: false,
};

pub(super) static TRACING: Object = Object {
    name: "tracing",
    keys: &[
        optional("sample", Shape::Share, "The share of requests that is traced, 0 to 1 (the Gateway's)."),
        optional("serverTiming", Shape::Flag, "Answers say how long steps took (false)."),
        optional("generationHeader", Shape::Flag, "Answers say which generation gave them (false)."),
    ],
    one_of: &[],
    open: false,
};

pub(super) fn compress(
    decoder: &mut Decoder<'_>,
    fields: &Fields<'_>,
) -> Option<Spanned<Arc<compress::Settings>>> {
    let place = fields.key_place("compress").clone();
    let fields = &decoder.object(fields, "compress")?;
    let types = if fields.get("types").is_none() {
        vec!["application/json".to_owned(), "text/*".to_owned()]
    } else {
        let mut types = Vec::new();
        for node in decoder.list(fields, "types") {
            let Some(text) = decoder.text_of("types", node) else { continue };
            if (is_media_type(&text) && !text.contains(';')) || is_kind(&text) {
                types.push(text.value.to_ascii_lowercase());
            } else {
                let message = format!("`{}` is no media type", text.value);
                decoder.invalid(&text.place, message, "write application/json, or text/* for all of a kind");
            }
        }
        types
    };
    let min_bytes = decoder.size(fields, "minBytes").unwrap_or(1024);
    Some(Spanned { value: Arc::new(compress::Settings { types, min_bytes }), place })
}

pub(super) fn tracing(
    decoder: &mut Decoder<'_>,
    fields: &Fields<'_>,
) -> Option<Spanned<Arc<tracing::Settings>>> {
    let place = fields.key_place("tracing").clone();
    let fields = &decoder.object(fields, "tracing")?;
    let settings = tracing::Settings {
        sample: decoder.share(fields, "sample"),
        server_timing: decoder.flag(fields, "serverTiming").unwrap_or(false),
        generation_header: decoder.flag(fields, "generationHeader").unwrap_or(false),
    };
    Some(Spanned { value: Arc::new(settings), place })
}

/// `type/subtype`, maybe with parameters.
pub(super) fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// `type/*`
fn is_kind(text: &str) -> bool {
    text.strip_suffix("/*").is_some_and(is_token)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}
