//! Optionals and omission.

use std::rc::Rc;

use super::{Evaluated, Machine, Value};
use crate::{expr::eval::failed, json::Kind};

pub(super) fn omit<'a>(_: &mut Machine<'a, '_>) -> Evaluated<'a> {
    Ok(Value::Omit)
}

pub(super) fn of<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    Ok(Value::Optional(Some(Rc::new(value))))
}

pub(super) fn none<'a>(_: &mut Machine<'a, '_>) -> Evaluated<'a> {
    Ok(Value::Optional(None))
}

pub(super) fn of_non_zero_value<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    use crate::expr::arithmetic::Num;
    let zero = match &value {
        Value::Null | Value::Omit | Value::Optional(None) => true,
        Value::Bool(value) => !value,
        Value::Str(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Timestamp(seconds, nanos) => *seconds == 0 && *nanos == 0,
        Value::Duration(seconds, nanos) => *seconds == 0 && *nanos == 0,
        Value::Object(_) | Value::Optional(Some(_)) | Value::Ip(_) | Value::Cidr(..) | Value::Type(_) => {
            false
        }
        Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Number(_) | Value::Json(_) => match &value
        {
            Value::Json(json) => match json.kind() {
                Kind::Null => true,
                Kind::Bool => json.as_bool() == Some(false),
                Kind::String => json.raw().len() == 2,
                Kind::List | Kind::Map => json.is_empty(),
                Kind::Number => Num::of(&value).is_some_and(Num::is_zero),
            },
            _ => Num::of(&value).is_some_and(Num::is_zero),
        },
    };
    if zero { none(machine) } else { of(machine, value) }
}

pub(super) fn has_value<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    match value {
        Value::Optional(inner) => Ok(Value::Bool(inner.is_some())),
        other => Err(failed(format!("`hasValue` needs an optional, not {}", other.type_name()))),
    }
}

pub(super) fn value<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    match value {
        Value::Optional(Some(inner)) => Ok(Value::clone(&inner)),
        Value::Optional(None) => Err(failed("`value` was called on an optional that has none")),
        other => Err(failed(format!("`value` needs an optional, not {}", other.type_name()))),
    }
}

/// What is inside the optionals of a list, without those that have nothing.
pub(super) fn unwrap<'a>(machine: &mut Machine<'a, '_>, list: Value<'a>) -> Evaluated<'a> {
    let mut values = Vec::new();
    for element in super::argument::elements(machine, "optional.unwrap", &list)? {
        match element {
            Value::Optional(inner) => values.extend(inner.map(Rc::unwrap_or_clone)),
            other => return Err(super::argument::refuse("optional.unwrap", "a list of optionals", &other)),
        }
    }
    Ok(Value::List(Rc::from(values)))
}
