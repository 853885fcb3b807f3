//! Reading the arguments of functions: the value as a type, or a message that names the function.

use std::borrow::Cow;

use super::{Machine, Value};
use crate::expr::{EvalError, eval::failed};

/// A function that was called with what it cannot take.
#[cold]
pub(super) fn refuse(name: &str, needed: &str, value: &Value<'_>) -> EvalError {
    failed(format!("`{name}` needs {needed}, not {}", value.type_name()))
}

pub(super) fn text<'v>(name: &str, value: &'v Value<'_>) -> Result<Cow<'v, str>, EvalError> {
    value.as_str().ok_or_else(|| refuse(name, "a string", value))
}

/// A whole number within int64.
pub(super) fn whole(name: &str, value: &Value<'_>) -> Result<i64, EvalError> {
    value.as_i64().ok_or_else(|| refuse(name, "a whole number", value))
}

/// The elements of a list as a list of one's own, charged for before it is made.
pub(in crate::expr) fn elements<'a>(
    machine: &mut Machine<'a, '_>,
    name: &str,
    value: &Value<'a>,
) -> Result<Vec<Value<'a>>, EvalError> {
    let Some(length) = value.list_len() else { return Err(refuse(name, "a list", value)) };
    machine.grow(length)?;
    if let Value::List(list) = value {
        // Texts that were computed are copied; all else is shared.
        let owned = |value: &Value<'a>| match value {
            Value::Str(Cow::Owned(text)) => text.len(),
            Value::Bytes(Cow::Owned(bytes)) => bytes.len(),
            _ => 0,
        };
        machine.produce(list.iter().map(owned).sum())?;
    }
    Ok(value.elements().unwrap_or_default())
}

/// A string, or what concatenation makes of a scalar.
pub(super) fn scalar<'v>(name: &str, value: &'v Value<'_>) -> Result<Cow<'v, str>, EvalError> {
    if let Some(text) = value.as_str() {
        return Ok(text);
    }
    let mut text = String::new();
    match value.text(&mut text) {
        Ok(()) => Ok(Cow::Owned(text)),
        Err(_) => Err(refuse(name, "a string, a number or a boolean", value)),
    }
}

/// The bytes of bytes or of a string.
pub(super) fn octets<'v>(name: &str, value: &'v Value<'_>) -> Result<Cow<'v, [u8]>, EvalError> {
    if let Value::Bytes(bytes) = value {
        return Ok(Cow::Borrowed(bytes));
    }
    match value.as_str() {
        Some(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        Some(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
        None => Err(refuse(name, "a string or bytes", value)),
    }
}
