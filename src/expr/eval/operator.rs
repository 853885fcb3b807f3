//! Operators between two values.

use std::{borrow::Cow, rc::Rc};

use super::{Evaluated, Machine, Value, compare::is_text, failed};
use crate::{
    expr::{
        EvalError,
        arithmetic::{self, Num},
        ast::Operator,
        op::{Op, OpId},
        time,
    },
    json::Kind,
};

/// Texts up to this many bytes may take room that they do not need yet.
const ROOMY: usize = 4096;

impl<'a> Machine<'a, '_> {
    /// An operator that gives a boolean.
    pub(super) fn compare(&mut self, operator: Operator, left: OpId, right: OpId) -> Result<bool, EvalError> {
        let a = self.eval(left)?;
        // A literal needs no value of its own.
        if let (Operator::Equal | Operator::NotEqual, Value::Json(json), Op::Str(text)) =
            (operator, &a, self.op(right))
        {
            self.step()?;
            self.work(text.len())?;
            return Ok(is_text(*json, text) == (operator == Operator::Equal));
        }
        let b = self.eval(right)?;
        match operator {
            Operator::Equal => self.equal(&a, &b),
            Operator::NotEqual => self.equal(&a, &b).map(|equal| !equal),
            Operator::In => self.within(&a, &b),
            _ => self.ordered(operator, &a, &b),
        }
    }

    /// `+ - * / %`
    pub(super) fn arithmetic(&mut self, operator: Operator, left: OpId, right: OpId) -> Evaluated<'a> {
        let (a, b) = (self.eval(left)?, self.eval(right)?);
        match (Num::of(&a), Num::of(&b)) {
            (Some(a), Some(b)) => arithmetic::compute(operator, a, b),
            _ => match time::compute(operator, &a, &b) {
                Some(moved) => moved,
                None if operator == Operator::Add => self.join(a, b),
                None => Err(refuse(operator, &a, &b)),
            },
        }
    }

    pub(super) fn negate(&mut self, id: OpId) -> Evaluated<'a> {
        let value = self.eval(id)?;
        match Num::of(&value) {
            Some(number) => arithmetic::negate(number),
            None => Err(failed(format!("`-` needs a number, not {}", value.type_name()))),
        }
    }

    /// `+` of strings, bytes and lists.
    fn join(&mut self, a: Value<'a>, b: Value<'a>) -> Evaluated<'a> {
        if let (Some(x), Some(y)) = (a.list_len(), b.list_len()) {
            self.grow(x + y)?;
            let mut list = a.elements().unwrap_or_default();
            list.extend(b.elements().unwrap_or_default());
            return Ok(Value::List(Rc::from(list)));
        }
        if let (Value::Bytes(a), Value::Bytes(b)) = (&a, &b) {
            self.produce(a.len() + b.len())?;
            return Ok(Value::Bytes(Cow::Owned([a.as_ref(), b.as_ref()].concat())));
        }
        let (Some(x), Some(y)) = (a.as_str(), b.as_str()) else {
            return Err(refuse(Operator::Add, &a, &b));
        };
        self.produce(x.len() + y.len())?;
        let joined = match a {
            // In a row of `+` what was joined before is nobody else's, so it only grows.
            Value::Str(Cow::Owned(mut text)) => {
                if text.len() + y.len() > ROOMY {
                    // What is long is copied at its cost rather than given room that nobody counts.
                    self.work(text.len())?;
                    text.reserve_exact(y.len());
                }
                text.push_str(&y);
                text
            }
            _ => {
                // Room for what usually follows in such a row.
                let length = x.len() + y.len();
                let mut text = String::with_capacity(if length > ROOMY { length } else { length * 2 });
                text.push_str(&x);
                text.push_str(&y);
                text
            }
        };
        Ok(Value::Str(Cow::Owned(joined)))
    }

    /// A row of `+` of which one operand is a string, so that all must be.
    pub(super) fn concat(&mut self, parts: &'a [OpId]) -> Evaluated<'a> {
        let mut text = String::with_capacity(64);
        for part in parts {
            let value = self.eval(*part)?;
            let Some(part) = value.as_str() else { return Err(no_string(&value)) };
            self.produce(part.len())?;
            text.push_str(&part);
        }
        if text.len() > ROOMY {
            text.shrink_to_fit();
        }
        Ok(Value::Str(Cow::Owned(text)))
    }

    /// `a in b`
    fn within(&mut self, needle: &Value<'a>, list: &Value<'a>) -> Result<bool, EvalError> {
        match list {
            Value::List(list) => {
                for element in list.iter() {
                    self.step()?;
                    if self.equal(needle, element)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Json(json) => match json.kind() {
                Kind::List => {
                    for element in json.items() {
                        self.step()?;
                        if self.equal(needle, &Value::Json(element))? {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                }
                Kind::Map => {
                    self.work(json.len() * 16)?;
                    Ok(needle.as_str().is_some_and(|key| json.get(&key).is_some()))
                }
                _ => Err(refuse(Operator::In, needle, list)),
            },
            Value::Object(object) => match needle.as_str() {
                Some(key) => Ok(object.get(&key)?.is_some()),
                None => Ok(false),
            },
            Value::Map(map) => {
                for (key, _) in map.iter() {
                    self.step()?;
                    if self.equal(needle, key)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Err(refuse(Operator::In, needle, list)),
        }
    }
}

#[cold]
pub(super) fn no_string(value: &Value<'_>) -> EvalError {
    failed(format!("`+` cannot take a string and {}", value.type_name()))
}

#[cold]
fn refuse(operator: Operator, a: &Value<'_>, b: &Value<'_>) -> EvalError {
    failed(format!("`{}` cannot take {} and {}", operator.symbol(), a.type_name(), b.type_name()))
}
