//! A variable's value, kept with its type.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    expr::{EvalError, Frame, Shape, Value},
    json::Document,
};

/// What an evaluation gave, owned.
#[derive(Debug)]
pub(super) enum Var {
    Omitted,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Str(String),
    Bytes(Bytes),
    Timestamp(i64, u32),
    Duration(i64, i32),
    Document(Document),
}

impl Var {
    pub(super) fn eval<'a>(shape: &'a Shape, frame: &Frame<'a, '_>) -> Result<Self, EvalError> {
        let mut out = Vec::new();
        let written = match shape {
            Shape::Text(text) => match text.eval(frame)?.present().unwrap_or(Value::Omit) {
                Value::Bool(value) => return Ok(Self::Bool(value)),
                Value::Int(value) => return Ok(Self::Int(value)),
                Value::Uint(value) => return Ok(Self::Uint(value)),
                Value::Double(value) => return Ok(Self::Double(value)),
                Value::Str(value) => return Ok(Self::Str(value.into_owned())),
                Value::Bytes(value) => return Ok(Self::Bytes(Bytes::from(value.into_owned()))),
                Value::Timestamp(seconds, nanos) => return Ok(Self::Timestamp(seconds, nanos)),
                Value::Duration(seconds, nanos) => return Ok(Self::Duration(seconds, nanos)),
                Value::Omit => false,
                value => {
                    value.write_json(&mut out, frame.meter)?;
                    true
                }
            },
            shape => shape.write(frame, &mut out)?,
        };
        if !written {
            return Ok(Self::Omitted);
        }
        frame.meter.take_work(out.len() * 4)?;
        Ok(Self::Document(made(out)?))
    }

    pub(super) fn value(&self) -> Option<Value<'_>> {
        Some(match self {
            Self::Omitted => return None,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Str(value) => Value::Str(Cow::Borrowed(value)),
            Self::Bytes(value) => Value::Bytes(Cow::Borrowed(value)),
            Self::Timestamp(seconds, nanos) => Value::Timestamp(*seconds, *nanos),
            Self::Duration(seconds, nanos) => Value::Duration(*seconds, *nanos),
            Self::Document(document) => Value::Json(document.root()),
        })
    }
}

/// A document out of JSON that an evaluation wrote. What it wrote can still nest too deeply or, made by
/// `merge` of a map with computed keys, name a key twice.
pub(super) fn made(json: Vec<u8>) -> Result<Document, EvalError> {
    Document::parse(Bytes::from(json)).map_err(|error| EvalError::Failed(Cow::Borrowed(error.reason)))
}
