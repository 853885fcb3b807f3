//! Conversions between types. Those that would change what a value means are errors.

use std::borrow::Cow;

use super::{Evaluated, Machine, Value};
use crate::expr::{arithmetic::Num, eval::failed};

fn refuse<'a>(name: &str, value: &Value<'a>) -> Evaluated<'a> {
    Err(failed(format!("`{name}` cannot convert {}", value.type_name())))
}

fn out_of_range<'a>(name: &str) -> Evaluated<'a> {
    Err(failed(format!("the value is out of the range of `{name}`")))
}

/// Why a text could not be read as an integer.
fn unread<'a>(name: &str, text: &str) -> Evaluated<'a> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return out_of_range(name);
    }
    Err(failed(format!("`{name}` was given a string that is no integer")))
}

/// 2^63: the first double above int64.
const BEYOND_INT: f64 = 9_223_372_036_854_775_808.0;

pub(super) fn int<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    if let Value::Timestamp(seconds, _) = value {
        return Ok(Value::Int(seconds));
    }
    let converted = match Num::of(&value) {
        Some(Num::Int(value)) => Some(value),
        Some(Num::Uint(value)) => i64::try_from(value).ok(),
        // The double must lie strictly between the ends, which are not exact.
        Some(Num::Double(value)) if value.abs() < BEYOND_INT => Some(value.trunc() as i64),
        Some(Num::Double(_) | Num::Text(_)) => None,
        None => match value.as_str() {
            Some(text) => match text.parse() {
                Ok(value) => Some(value),
                Err(_) => return unread("int", &text),
            },
            None => return refuse("int", &value),
        },
    };
    converted.map_or_else(|| out_of_range("int"), |value| Ok(Value::Int(value)))
}

pub(super) fn uint<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let converted = match Num::of(&value) {
        Some(Num::Int(value)) => u64::try_from(value).ok(),
        Some(Num::Uint(value)) => Some(value),
        Some(Num::Double(value)) if value > -1.0 && value < 2.0 * BEYOND_INT => Some(value.trunc() as u64),
        Some(Num::Double(_) | Num::Text(_)) => None,
        None => match value.as_str() {
            Some(text) => match text.parse() {
                Ok(value) => Some(value),
                Err(_) => return unread("uint", &text),
            },
            None => return refuse("uint", &value),
        },
    };
    converted.map_or_else(|| out_of_range("uint"), |value| Ok(Value::Uint(value)))
}

pub(super) fn double<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let converted = match Num::of(&value) {
        Some(Num::Int(value)) => value as f64,
        Some(Num::Uint(value)) => value as f64,
        Some(Num::Double(value)) => value,
        Some(Num::Text(text)) => text.parse().unwrap_or(f64::NAN),
        None => match value.as_str().map(|text| text.parse()) {
            Some(Ok(value)) => value,
            Some(Err(_)) => return Err(failed("`double` was given a string that is no number")),
            None => return refuse("double", &value),
        },
    };
    Ok(Value::Double(converted))
}

pub(super) fn string<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    match value {
        Value::Str(text) => Ok(Value::Str(text)),
        Value::Bytes(bytes) => match String::from_utf8(bytes.into_owned()) {
            Ok(text) => Ok(Value::Str(Cow::Owned(text))),
            Err(_) => Err(failed("`string` was given bytes that are not UTF-8")),
        },
        Value::Double(value) if !value.is_finite() => {
            let text = if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            Ok(Value::Str(Cow::Borrowed(text)))
        }
        Value::Json(json) if json.as_str().is_some() => Ok(Value::Str(json.as_str().unwrap_or_default())),
        other => {
            let mut text = String::new();
            if other.text(&mut text).is_err() {
                return refuse("string", &other);
            }
            machine.produce(text.len())?;
            Ok(Value::Str(Cow::Owned(text)))
        }
    }
}

pub(super) fn bool<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    if let Some(value) = value.as_bool() {
        return Ok(Value::Bool(value));
    }
    match value.as_str().as_deref() {
        Some("1" | "t" | "true" | "TRUE" | "True") => Ok(Value::Bool(true)),
        Some("0" | "f" | "false" | "FALSE" | "False") => Ok(Value::Bool(false)),
        Some(_) => Err(failed("`bool` was given a string that is no boolean")),
        None => refuse("bool", &value),
    }
}

pub(super) fn bytes<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    if let Value::Bytes(_) = value {
        return Ok(value);
    }
    let Some(text) = value.as_str() else {
        return refuse("bytes", &value);
    };
    machine.produce(text.len())?;
    Ok(Value::Bytes(Cow::Owned(text.into_owned().into_bytes())))
}

/// The type of a value, as a value.
pub(super) fn type_of<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    use crate::json::Kind;
    Ok(Value::Type(match &value {
        Value::Null => "null_type",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Double(_) => "double",
        Value::Str(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::List(_) => "list",
        Value::Map(_) | Value::Object(_) => "map",
        Value::Timestamp(..) => "google.protobuf.Timestamp",
        Value::Duration(..) => "google.protobuf.Duration",
        Value::Ip(_) => "net.IP",
        Value::Cidr(..) => "net.CIDR",
        Value::Type(_) => "type",
        Value::Optional(_) | Value::Omit => "optional_type",
        Value::Number(_) => number_type(&value),
        Value::Json(json) => match json.kind() {
            Kind::Null => "null_type",
            Kind::Bool => "bool",
            Kind::Number => number_type(&value),
            Kind::String => "string",
            Kind::List => "list",
            Kind::Map => "map",
        },
    }))
}

/// An integer beyond 64 bits counts as an int, although there is no arithmetic with it.
fn number_type(value: &Value<'_>) -> &'static str {
    match Num::of(value) {
        Some(Num::Uint(_)) => "uint",
        Some(Num::Double(_)) => "double",
        _ => "int",
    }
}

pub(super) fn dynamic<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    Ok(value)
}
