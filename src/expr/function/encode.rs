//! Encodings: base64, percent-encoding, JSON, and the digest.

use std::{borrow::Cow, rc::Rc};

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Evaluated, Machine, Value,
    argument::{octets, scalar, text},
};
use crate::{
    expr::{EvalError, eval::failed},
    json::{Document, Kind, Ref, TOO_MANY_VALUES},
};

/// Padding is not asked for when decoding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT.with_encode_padding(false));

/// What RFC 3986 lets stand in a component as it is.
const COMPONENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn string<'a>(text: String) -> Evaluated<'a> {
    Ok(Value::Str(Cow::Owned(text)))
}

fn encode<'a>(
    machine: &mut Machine<'a, '_>,
    name: &str,
    engine: &GeneralPurpose,
    value: &Value<'a>,
) -> Evaluated<'a> {
    let bytes = octets(name, value)?;
    machine.produce(bytes.len() / 3 * 4 + 4)?;
    string(engine.encode(bytes))
}

fn decode<'a>(
    machine: &mut Machine<'a, '_>,
    name: &str,
    engine: &GeneralPurpose,
    value: &Value<'a>,
) -> Evaluated<'a> {
    let text = text(name, value)?;
    machine.produce(text.len())?;
    match engine.decode(text.as_bytes()) {
        Ok(bytes) => Ok(Value::Bytes(Cow::Owned(bytes))),
        Err(_) => Err(failed(format!("`{name}` was given a string that is not base64"))),
    }
}

pub(super) fn base64_encode<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    encode(machine, "base64.encode", &BASE64, &value)
}

pub(super) fn base64_decode<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    decode(machine, "base64.decode", &BASE64, &value)
}

pub(super) fn base64url_encode<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    encode(machine, "base64url.encode", &BASE64URL, &value)
}

pub(super) fn base64url_decode<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    decode(machine, "base64url.decode", &BASE64URL, &value)
}

pub(super) fn url_encode<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let text = scalar("url.encode", &value)?;
    machine.produce(text.len() * 3)?;
    string(utf8_percent_encode(&text, &COMPONENT).to_string())
}

pub(super) fn json_encode<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let mut json = Vec::new();
    machine.write_value(&value, &mut json)?;
    match String::from_utf8(json) {
        Ok(text) => string(text),
        Err(_) => Err(failed("`json.encode` made no text")),
    }
}

/// Bytes that a value of a decoded document takes, its place in the index included.
const NODE: usize = 64;

pub(super) fn json_decode<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let bytes = octets("json.decode", &value)?;
    machine.produce(bytes.len() * 3)?;
    machine.work(bytes.len())?;
    let nodes = machine.bytes_left() / NODE;
    let document =
        Document::parse_within(Bytes::copy_from_slice(&bytes), nodes).map_err(|error| {
            match error.reason {
                TOO_MANY_VALUES => EvalError::Budget,
                _ => failed(format!("`json.decode` was given what is not JSON: {error}")),
            }
        })?;
    own(machine, document.root())
}

/// A part of a document that ends before the evaluation, as values of their own. Documents bound how
/// deep this goes.
fn own<'a>(machine: &mut Machine<'a, '_>, json: Ref<'_>) -> Evaluated<'a> {
    Ok(match json.kind() {
        Kind::Null => Value::Null,
        Kind::Bool => Value::Bool(json.as_bool() == Some(true)),
        // The text is kept, so a number is written as it was read; arithmetic reads it.
        Kind::Number => number(json),
        Kind::String => Value::Str(Cow::Owned(json.as_str().unwrap_or_default().into_owned())),
        Kind::List => {
            machine.grow(json.len())?;
            let mut list = Vec::with_capacity(json.len());
            for item in json.items() {
                list.push(own(machine, item)?);
            }
            Value::List(Rc::from(list))
        }
        Kind::Map => {
            machine.grow(json.len() * 2)?;
            let mut map = Vec::with_capacity(json.len());
            for (key, value) in json.members() {
                map.push((Value::Str(Cow::Owned(key.into_owned())), own(machine, value)?));
            }
            Value::Map(Rc::from(map))
        }
    })
}

fn number<'a>(json: Ref<'_>) -> Value<'a> {
    use crate::json::Number;
    match json.as_number() {
        Some(Number::Int(int)) => Value::Int(int),
        Some(Number::Uint(uint)) => Value::Uint(uint),
        _ => Value::Number(Rc::from(String::from_utf8_lossy(json.raw()).as_ref())),
    }
}

/// SHA-256 (FIPS 180-4) in lower-case hexadecimal.
pub(super) fn sha256<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let bytes = octets("sha256", &value)?;
    machine.work(bytes.len() * 4)?;
    machine.produce(64)?;
    string(hex(digest(&[&bytes]).as_ref()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

/// SHA-256 of parts one after the other.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    use aws_lc_rs::digest::{Context, SHA256};
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// A stable share of keys: an int from 0 to n-1 that depends on the key and the salt alone.
pub(super) fn bucket<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    let [key, salt, count] = arguments.as_slice() else {
        return Err(failed("`bucket` takes 3 arguments"));
    };
    let (key, salt) = (scalar("bucket", key)?, scalar("bucket", salt)?);
    let count = super::argument::whole("bucket", count)?;
    let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else {
        return Err(failed("`bucket` needs at least 1 bucket"));
    };
    machine.work((key.len() + salt.len()) * 4)?;
    // The length keeps `("ab", "c")` apart from `("a", "bc")`.
    let length = (salt.len() as u64).to_be_bytes();
    let digest = digest(&[&length, salt.as_bytes(), key.as_bytes()]);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Ok(Value::Int((u64::from_be_bytes(first) % count) as i64))
}

/// A UUID (RFC 9562, version 4 in form) that is the same whenever this place is evaluated again in this
/// execution for the same element.
pub(in crate::expr) fn uuid<'a>(
    machine: &mut Machine<'a, '_>,
    seed: [u8; 16],
    place: u64,
    turn: [u64; 2],
) -> Result<Value<'a>, EvalError> {
    machine.produce(36)?;
    let [outer, inner] = turn.map(u64::to_be_bytes);
    let digest = digest(&[&seed, &place.to_be_bytes(), &outer, &inner]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    string([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
