//! Equality and order. Values of different types are unequal; only some types have an order.

use std::cmp::Ordering;

use super::{Machine, Value, failed};
use crate::{
    expr::{EvalError, arithmetic::Num, ast::Operator},
    json::{Kind, Ref},
};

impl<'a> Machine<'a, '_> {
    /// Whether two values are equal. Recursion follows their nesting, which documents and expressions bound.
    pub(in crate::expr) fn equal(&mut self, a: &Value<'a>, b: &Value<'a>) -> Result<bool, EvalError> {
        match (a, b) {
            (Value::Json(json), Value::Str(text)) | (Value::Str(text), Value::Json(json)) => {
                self.work(text.len().max(json.decoding()))?;
                return Ok(is_text(*json, text));
            }
            (Value::Str(a), Value::Str(b)) => {
                self.work(a.len().min(b.len()))?;
                return Ok(a == b);
            }
            (Value::Json(a), Value::Json(b)) => return self.equal_json(*a, *b),
            (Value::Optional(a), Value::Optional(b)) => {
                return match (a, b) {
                    (None, None) => Ok(true),
                    (Some(a), Some(b)) => self.equal(a, b),
                    _ => Ok(false),
                };
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                self.work(a.len().min(b.len()))?;
                return Ok(a == b);
            }
            (Value::Timestamp(a, c), Value::Timestamp(b, d)) => return Ok((a, c) == (b, d)),
            (Value::Duration(a, c), Value::Duration(b, d)) => return Ok((a, c) == (b, d)),
            (Value::Omit, Value::Omit) => return Ok(true),
            (Value::Type(a), Value::Type(b)) => return Ok(a == b),
            // IPv4 inside of IPv6 is the same address.
            (Value::Ip(a), Value::Ip(b)) => return Ok(a.to_canonical() == b.to_canonical()),
            (Value::Cidr(a, c), Value::Cidr(b, d)) => return Ok((a, c) == (b, d)),
            _ => {}
        }
        if let (Some(a), Some(b)) = (Num::of(a), Num::of(b)) {
            return Ok(a.compare(b) == Some(Ordering::Equal));
        }
        if let (Some(a), Some(b)) = (a.as_bool(), b.as_bool()) {
            return Ok(a == b);
        }
        if a.is_list() && b.is_list() {
            return self.equal_lists(a, b);
        }
        if a.is_map() && b.is_map() {
            return self.equal_maps(a, b);
        }
        Ok(a.is_null() && b.is_null())
    }

    fn equal_json(&mut self, a: Ref<'a>, b: Ref<'a>) -> Result<bool, EvalError> {
        self.work(a.raw().len().min(b.raw().len()) + a.decoding() + b.decoding())?;
        if a.raw() == b.raw() {
            return Ok(true);
        }
        match (a.kind(), b.kind()) {
            (Kind::Number, Kind::Number) => {
                let (a, b) = (Value::Json(a), Value::Json(b));
                let (a, b) = (Num::of(&a), Num::of(&b));
                Ok(a.zip(b).is_some_and(|(a, b)| a.compare(b) == Some(Ordering::Equal)))
            }
            (Kind::String, Kind::String) => {
                // Without escapes equal strings have equal bytes.
                Ok((a.plain_str().is_none() || b.plain_str().is_none()) && a.as_str() == b.as_str())
            }
            (Kind::List, Kind::List) => self.equal_lists(&Value::Json(a), &Value::Json(b)),
            (Kind::Map, Kind::Map) => self.equal_maps(&Value::Json(a), &Value::Json(b)),
            _ => Ok(false),
        }
    }

    fn equal_lists(&mut self, a: &Value<'a>, b: &Value<'a>) -> Result<bool, EvalError> {
        let (Some(len), Some(other)) = (a.list_len(), b.list_len()) else { return Ok(false) };
        if len != other {
            return Ok(false);
        }
        self.allowance.steps(len as u64 / 4 + 1)?;
        let (Some(a), Some(b)) = (a.elements(), b.elements()) else { return Ok(false) };
        for (a, b) in a.iter().zip(&b) {
            if !self.equal(a, b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_maps(&mut self, a: &Value<'a>, b: &Value<'a>) -> Result<bool, EvalError> {
        if let (Value::Json(a), Value::Json(b)) = (a, b)
            && a.len() != b.len()
        {
            return Ok(false);
        }
        for side in [a, b] {
            let len = side.as_json().map_or(0, Ref::len);
            self.allowance.steps(len as u64 / 4 + 1)?;
        }
        let (Some(a), Some(b)) = (a.entries()?, b.entries()?) else { return Ok(false) };
        if a.len() != b.len() {
            return Ok(false);
        }
        let mut by_key = None;
        for (index, (key, value)) in a.iter().enumerate() {
            let same_place = b.get(index).filter(|(other, _)| other == key).map(|(_, value)| value);
            let found = match same_place {
                Some(other) => Some(other),
                None => {
                    let by_key = by_key.get_or_insert_with(|| {
                        b.iter()
                            .map(|(key, value)| (key.as_ref(), value))
                            .collect::<std::collections::HashMap<_, _>>()
                    });
                    by_key.get(key.as_ref()).copied()
                }
            };
            match found {
                Some(other) if self.equal(value, other)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// `< <= > >=`
    pub(super) fn ordered(
        &mut self,
        operator: Operator,
        a: &Value<'a>,
        b: &Value<'a>,
    ) -> Result<bool, EvalError> {
        let order = match (a, b) {
            (Value::Timestamp(a, c), Value::Timestamp(b, d)) => Some((a, c).cmp(&(b, d))),
            (Value::Duration(a, c), Value::Duration(b, d)) => Some((a, c).cmp(&(b, d))),
            (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            _ => match (Num::of(a), Num::of(b)) {
                (Some(Num::Text(_)), Some(_)) | (Some(_), Some(Num::Text(_))) => {
                    return Err(failed("integers beyond 64 bits can be compared for equality only"));
                }
                // NaN has no order: every comparison with it is false.
                (Some(a), Some(b)) => match a.compare(b) {
                    Some(order) => Some(order),
                    None => return Ok(false),
                },
                _ => match (a.as_str(), b.as_str(), a.as_bool(), b.as_bool()) {
                    (Some(a), Some(b), _, _) => {
                        self.work(a.len().min(b.len()))?;
                        Some(a.cmp(&b))
                    }
                    (_, _, Some(a), Some(b)) => Some(a.cmp(&b)),
                    _ => None,
                },
            },
        };
        let Some(order) = order else {
            let symbol = operator.symbol();
            return Err(failed(format!("`{symbol}` cannot compare {} and {}", a.type_name(), b.type_name())));
        };
        Ok(match operator {
            Operator::Less => order.is_lt(),
            Operator::LessEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            _ => order.is_ge(),
        })
    }
}

/// Whether a part of a document is this text.
#[inline]
pub(super) fn is_text(json: Ref<'_>, text: &str) -> bool {
    match json.plain_str() {
        Some(plain) => plain == text,
        None => json.as_str().as_deref() == Some(text),
    }
}
