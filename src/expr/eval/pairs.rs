//! Macros with two variables: over the indexes and elements of a list or the keys and values of a map.

use std::{borrow::Cow, collections::HashSet, rc::Rc};

use super::{Evaluated, Machine, Value, failed};
use crate::{
    expr::{
        EvalError,
        op::{Pairs, PairsKind},
    },
    json::Kind,
};

impl<'a> Machine<'a, '_> {
    pub(super) fn pairs(&mut self, over: &'a Pairs) -> Evaluated<'a> {
        let range = self.eval(over.range)?;
        let mut turns = Turns::new(over.kind);
        match &range {
            Value::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    if !self.turn(over, &mut turns, Value::Int(index as i64), value.clone())? {
                        break;
                    }
                }
            }
            Value::Json(json) if json.kind() == Kind::List => {
                for (index, value) in json.items().enumerate() {
                    if !self.turn(over, &mut turns, Value::Int(index as i64), Value::Json(value))? {
                        break;
                    }
                }
            }
            Value::Json(json) if json.kind() == Kind::Map => {
                for (key, value) in json.member_refs() {
                    if !self.turn(over, &mut turns, Value::Json(key), Value::Json(value))? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.iter() {
                    if !self.turn(over, &mut turns, key.clone(), value.clone())? {
                        break;
                    }
                }
            }
            Value::Object(object) => {
                for key in object.keys() {
                    let Some(value) = object.get(&key)? else { continue };
                    if !self.turn(over, &mut turns, Value::Str(key), value)? {
                        break;
                    }
                }
            }
            other => return Err(failed(format!("a macro needs a list or a map, not {}", other.type_name()))),
        }
        turns.finish()
    }

    /// One turn. False ends the loop.
    fn turn(
        &mut self,
        over: &'a Pairs,
        turns: &mut Turns<'a>,
        first: Value<'a>,
        second: Value<'a>,
    ) -> Result<bool, EvalError> {
        self.step()?;
        let key = if over.kind == PairsKind::TransformMap { Some(first.clone()) } else { None };
        self.set(over.slot, first);
        self.set(over.slot + 1, second);
        if let Some(condition) = over.condition
            && !self.condition(condition)?
        {
            return Ok(true);
        }
        match over.kind {
            // An element that decides wins over errors of others.
            PairsKind::All | PairsKind::Exists => match self.condition(over.body) {
                Ok(value) => {
                    turns.decided = value == (over.kind == PairsKind::Exists);
                    return Ok(!turns.decided);
                }
                Err(EvalError::Budget) => return Err(EvalError::Budget),
                Err(error) => {
                    turns.first_error.get_or_insert(error);
                }
            },
            PairsKind::ExistsOne => turns.found += usize::from(self.condition(over.body)?),
            PairsKind::TransformList => {
                let value = self.eval(over.body)?;
                self.produce(size_of::<Value<'a>>())?;
                turns.list.push(value);
            }
            PairsKind::TransformMap => {
                let value = self.eval(over.body)?;
                self.produce(2 * size_of::<Value<'a>>())?;
                turns.map.extend(key.map(|key| (key, value)));
            }
            PairsKind::TransformMapEntry => {
                let made = self.eval(over.body)?;
                let length = match &made {
                    Value::Map(map) => map.len(),
                    Value::Json(json) => json.len(),
                    _ => 0,
                };
                self.grow(2 * length)?;
                let Some(entries) = made.entries()? else {
                    let kind = made.type_name();
                    return Err(failed(format!(
                        "`transformMapEntry` needs an expression that gives a map, not {kind}"
                    )));
                };
                for (key, value) in entries {
                    if !turns.keys.insert(key.clone()) {
                        return Err(failed("`transformMapEntry` gave the same key twice"));
                    }
                    turns.map.push((Value::Str(key), value));
                }
            }
        }
        Ok(true)
    }
}

/// What the turns so far came to.
struct Turns<'a> {
    kind: PairsKind,
    decided: bool,
    first_error: Option<EvalError>,
    found: usize,
    list: Vec<Value<'a>>,
    map: Vec<(Value<'a>, Value<'a>)>,
    keys: HashSet<Cow<'a, str>>,
}

impl<'a> Turns<'a> {
    fn new(kind: PairsKind) -> Self {
        Self {
            kind,
            decided: false,
            first_error: None,
            found: 0,
            list: Vec::new(),
            map: Vec::new(),
            keys: HashSet::new(),
        }
    }

    fn finish(self) -> Evaluated<'a> {
        match (self.kind, self.first_error) {
            (PairsKind::All | PairsKind::Exists, Some(error)) if !self.decided => Err(error),
            (PairsKind::All, _) => Ok(Value::Bool(!self.decided)),
            (PairsKind::Exists, _) => Ok(Value::Bool(self.decided)),
            (PairsKind::ExistsOne, _) => Ok(Value::Bool(self.found == 1)),
            (PairsKind::TransformList, _) => Ok(Value::List(Rc::from(self.list))),
            (PairsKind::TransformMap | PairsKind::TransformMapEntry, _) => Ok(Value::Map(Rc::from(self.map))),
        }
    }
}
