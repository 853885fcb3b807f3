//! Values as JSON and as text.
//!
//! Parts of documents are copied byte for byte. A computed double is written in its shortest form; a
//! whole one below 2^53 without a fraction, since readers that expect an integer refuse `21.0` and
//! none refuses `21`.

use super::Value;
use crate::{
    expr::{
        EvalError, Meter,
        eval::failed,
        meter::Allowance,
        time::{write_duration, write_timestamp},
    },
    json::{Kind, write_string},
};

impl Value<'_> {
    /// Writes it as JSON. Members and elements that are omitted are dropped; a value that is itself
    /// omitted, bytes, NaN and infinity cannot be written. On an error `out` is as it was.
    pub fn write_json(&self, out: &mut Vec<u8>, meter: &Meter) -> Result<(), EvalError> {
        let start = out.len();
        let mut allowance = meter.allowance();
        let result = write_value(self, out, &mut allowance);
        meter.settle(&allowance);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Appends it as text, as concatenation does: strings, numbers, booleans, timestamps, durations.
    pub fn write_text(&self, out: &mut String, meter: &Meter) -> Result<(), EvalError> {
        let start = out.len();
        self.text(out)?;
        meter.take_bytes((out.len() - start) as u64)
    }

    pub(in crate::expr) fn text(&self, out: &mut String) -> Result<(), EvalError> {
        match self {
            Self::Str(text) => out.push_str(text),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(itoa::Buffer::new().format(*value)),
            Self::Uint(value) => out.push_str(itoa::Buffer::new().format(*value)),
            Self::Double(value) => double(*value, |text| out.push_str(text))?,
            Self::Number(text) => out.push_str(text),
            Self::Ip(address) => write_display(address, out),
            Self::Cidr(address, length) => write_display(format_args!("{address}/{length}"), out),
            Self::Type(name) => out.push_str(name),
            Self::Timestamp(seconds, nanos) => write_timestamp(*seconds, *nanos, out),
            Self::Duration(seconds, nanos) => write_duration(*seconds, *nanos, out),
            Self::Optional(Some(inner)) => return inner.text(out),
            Self::Json(json) => match json.kind() {
                Kind::String => out.push_str(&json.as_str().unwrap_or_default()),
                Kind::Number | Kind::Bool => {
                    out.push_str(json.text());
                }
                Kind::Null | Kind::List | Kind::Map => return Err(self.no_text()),
            },
            Self::Null | Self::Bytes(_) | Self::Object(_) | Self::List(_) | Self::Map(_) => {
                return Err(self.no_text());
            }
            Self::Optional(None) | Self::Omit => {
                return Err(failed("an absent value cannot be part of a text"));
            }
        }
        Ok(())
    }

    #[cold]
    fn no_text(&self) -> EvalError {
        failed(format!("{} cannot be part of a text", self.type_name()))
    }
}

fn write_display(value: impl std::fmt::Display, out: &mut String) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// Hands the text of a double on.
fn double(value: f64, mut put: impl FnMut(&str)) -> Result<(), EvalError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !value.is_finite() {
        return Err(failed(if value.is_nan() { "a number is NaN" } else { "a number is infinite" }));
    }
    if value.fract() == 0.0 && value.abs() < EXACT && !(value == 0.0 && value.is_sign_negative()) {
        put(itoa::Buffer::new().format(value as i64));
    } else {
        put(ryu::Buffer::new().format_finite(value));
    }
    Ok(())
}

/// Writes a value as JSON. On an error some of it may be there.
pub(in crate::expr) fn write_value(
    value: &Value<'_>,
    out: &mut Vec<u8>,
    allowance: &mut Allowance,
) -> Result<(), EvalError> {
    let start = out.len();
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes()),
        Value::Uint(value) => out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes()),
        Value::Double(value) => double(*value, |text| out.extend_from_slice(text.as_bytes()))?,
        Value::Str(text) => write_string(text, out),
        Value::Json(json) => {
            let raw = json.raw();
            allowance.produce(raw.len())?;
            out.extend_from_slice(raw);
            return Ok(());
        }
        Value::Number(text) => out.extend_from_slice(text.as_bytes()),
        Value::Timestamp(..) | Value::Duration(..) | Value::Ip(_) | Value::Cidr(..) | Value::Type(_) => {
            let mut text = String::new();
            value.text(&mut text)?;
            write_string(&text, out);
        }
        Value::List(list) => {
            out.push(b'[');
            let first = out.len();
            for element in list.iter().filter(|element| !element.is_omitted()) {
                separate(out, first);
                write_value(element, out, allowance)?;
            }
            out.push(b']');
            return allowance.produce(2 + list.len());
        }
        Value::Map(map) => {
            out.push(b'{');
            let first = out.len();
            for (key, value) in map.iter().filter(|(_, value)| !value.is_omitted()) {
                separate(out, first);
                write_key(&key.key()?, out, allowance)?;
                write_value(value, out, allowance)?;
            }
            out.push(b'}');
            return allowance.produce(2);
        }
        Value::Object(object) => {
            out.push(b'{');
            let first = out.len();
            for key in object.keys() {
                if let Some(value) = object.get(&key)?.filter(|value| !value.is_omitted()) {
                    separate(out, first);
                    write_key(&key, out, allowance)?;
                    write_value(&value, out, allowance)?;
                }
            }
            out.push(b'}');
            return allowance.produce(2);
        }
        Value::Optional(Some(inner)) => return write_value(inner, out, allowance),
        Value::Bytes(_) => return Err(failed("bytes cannot be written as JSON")),
        Value::Optional(None) | Value::Omit => return Err(failed("there is no value to write")),
    }
    allowance.produce(out.len() - start)
}

/// Writes a comma unless this is the first element or member, which begins at `first`.
#[inline]
pub(in crate::expr) fn separate(out: &mut Vec<u8>, first: usize) {
    if out.len() > first {
        out.push(b',');
    }
}

/// Writes a key and its colon.
fn write_key(key: &str, out: &mut Vec<u8>, allowance: &mut Allowance) -> Result<(), EvalError> {
    let start = out.len();
    write_string(key, out);
    out.push(b':');
    allowance.produce(out.len() - start + 1)
}
