//! Operators between two values.

use std::{borrow::Cow, rc::Rc};

use super::{Evaluated, Machine, Value, failed};
use crate::{
    expr::{
        EvalError,
        arithmetic::{self, Num},
        ast::Operator,
        op::OpId,
        time,
    },
    json::Kind,
};

impl<'a> Machine<'a, '_> {
    pub(super) fn binary(&mut self, operator: Operator, left: OpId, right: OpId) -> Evaluated<'a> {
        let (a, b) = (self.eval(left)?, self.eval(right)?);
        match operator {
            Operator::Equal => self.equal(&a, &b).map(Value::Bool),
            Operator::NotEqual => self.equal(&a, &b).map(|equal| Value::Bool(!equal)),
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                self.ordered(operator, &a, &b).map(Value::Bool)
            }
            Operator::In => self.within(&a, &b).map(Value::Bool),
            _ => match (Num::of(&a), Num::of(&b)) {
                (Some(a), Some(b)) => arithmetic::compute(operator, a, b),
                _ => match time::compute(operator, &a, &b) {
                    Some(moved) => moved,
                    None if operator == Operator::Add => self.join(a, b),
                    None => Err(refuse(operator, &a, &b)),
                },
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
                text.push_str(&y);
                text
            }
            _ => {
                // Room for what usually follows in such a row.
                let mut text = String::with_capacity((x.len() + y.len()) * 2);
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
            let Some(part) = value.as_str() else {
                return Err(failed(format!("`+` cannot take a string and {}", value.type_name())));
            };
            self.produce(part.len())?;
            text.push_str(&part);
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
fn refuse(operator: Operator, a: &Value<'_>, b: &Value<'_>) -> EvalError {
    failed(format!("`{}` cannot take {} and {}", operator.symbol(), a.type_name(), b.type_name()))
}
