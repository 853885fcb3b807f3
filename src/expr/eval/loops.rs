//! Macros over lists and the keys of maps.
//!
//! A `filter` or `map` whose result another one takes up is not made into a list: its elements go on
//! one by one. That changes nothing but which of two errors is met first.

use std::rc::Rc;

use super::{Evaluated, Machine, Value, failed};
use crate::{
    expr::{
        EvalError,
        op::{Loop, LoopKind, Op, OpId},
    },
    json::Kind,
};

/// Whether a loop goes on.
pub(super) type GoesOn = Result<bool, EvalError>;

impl<'a> Machine<'a, '_> {
    pub(super) fn run_loop(&mut self, over: &'a Loop) -> Evaluated<'a> {
        match over.kind {
            LoopKind::Filter | LoopKind::Map => {
                let mut list = Vec::new();
                self.pipe(over, &mut |machine, value| {
                    machine.produce(size_of::<Value<'a>>())?;
                    list.push(value);
                    Ok(true)
                })?;
                Ok(Value::List(Rc::from(list)))
            }
            LoopKind::All => self.quantify(over, false).map(Value::Bool),
            LoopKind::Exists => self.quantify(over, true).map(Value::Bool),
            LoopKind::ExistsOne => {
                let mut found = 0usize;
                self.each(over.range, &mut |machine, value| {
                    machine.set(over.slot, value);
                    found += usize::from(machine.condition(over.body)?);
                    Ok(true)
                })?;
                Ok(Value::Bool(found == 1))
            }
        }
    }

    /// `all` and `exists`: an element that decides wins over errors of others.
    fn quantify(&mut self, over: &'a Loop, decides: bool) -> Result<bool, EvalError> {
        let (mut decided, mut first_error) = (false, None);
        let range = self.eval(over.range)?;
        self.each_of(range, &mut |machine, value| {
            machine.set(over.slot, value);
            match machine.condition(over.body) {
                Ok(value) => decided = value == decides,
                Err(EvalError::Budget) => return Err(EvalError::Budget),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
            Ok(!decided)
        })?;
        match first_error {
            Some(error) if !decided => Err(error),
            _ => Ok(decided == decides),
        }
    }

    /// Hands the elements of a `filter` or `map` on.
    pub(super) fn pipe(
        &mut self,
        over: &'a Loop,
        next: &mut dyn FnMut(&mut Self, Value<'a>) -> GoesOn,
    ) -> Result<(), EvalError> {
        self.each(over.range, &mut |machine, value| {
            if over.kind == LoopKind::Filter {
                machine.set(over.slot, value.copy());
                return if machine.condition(over.body)? { next(machine, value) } else { Ok(true) };
            }
            machine.set(over.slot, value);
            if let Some(condition) = over.condition
                && !machine.condition(condition)?
            {
                return Ok(true);
            }
            let value = machine.eval(over.body)?;
            next(machine, value)
        })
    }

    /// Hands every element of a range on.
    pub(super) fn each(
        &mut self,
        range: OpId,
        next: &mut dyn FnMut(&mut Self, Value<'a>) -> GoesOn,
    ) -> Result<(), EvalError> {
        if let Op::Loop(inner) = self.op(range)
            && matches!(inner.kind, LoopKind::Filter | LoopKind::Map)
        {
            return self.pipe(inner, next);
        }
        let range = self.eval(range)?;
        self.each_of(range, next)
    }

    fn each_of(
        &mut self,
        range: Value<'a>,
        next: &mut dyn FnMut(&mut Self, Value<'a>) -> GoesOn,
    ) -> Result<(), EvalError> {
        match range {
            Value::List(list) => self.turns(list.iter().cloned(), next),
            Value::Json(json) if json.kind() == Kind::List => self.turns(json.items().map(Value::Json), next),
            Value::Json(json) if json.kind() == Kind::Map => {
                self.turns(json.member_refs().map(|(key, _)| Value::Json(key)), next)
            }
            Value::Map(map) => self.turns(map.iter().map(|(key, _)| key.clone()), next),
            Value::Object(object) => self.turns(object.keys().into_iter().map(Value::Str), next),
            other => Err(failed(format!("a macro needs a list or a map, not {}", other.type_name()))),
        }
    }

    fn turns(
        &mut self,
        values: impl Iterator<Item = Value<'a>>,
        next: &mut dyn FnMut(&mut Self, Value<'a>) -> GoesOn,
    ) -> Result<(), EvalError> {
        for value in values {
            self.step()?;
            if !next(self, value)? {
                break;
            }
        }
        Ok(())
    }

    /// Gives a macro's variable its value.
    pub(super) fn set(&mut self, slot: u16, value: Value<'a>) {
        let slot = usize::from(slot);
        if self.variables.len() <= slot {
            self.variables.resize(slot + 1, Value::Null);
        }
        self.variables[slot] = value;
    }
}
