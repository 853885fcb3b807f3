//! Operations that give a value a name, or sort by what is computed of each element.

use std::rc::Rc;

use super::{Evaluated, Machine, Value, failed};
use crate::expr::{
    function,
    op::{Bind, BindKind, OpId},
};

impl<'a> Machine<'a, '_> {
    /// `cel.bind`, `optMap` and `optFlatMap`.
    pub(super) fn bind(&mut self, bind: &'a Bind) -> Evaluated<'a> {
        if bind.kind == BindKind::Value {
            let value = self.eval(bind.value)?;
            self.set(bind.slot, value);
            return self.eval(bind.body);
        }
        let Some(value) = self.optional(bind.value)? else { return Ok(Value::Optional(None)) };
        self.set(bind.slot, value);
        let result = self.eval(bind.body)?;
        match (bind.kind, result) {
            (BindKind::Map, result) => Ok(Value::Optional(Some(Rc::new(result)))),
            (_, result @ Value::Optional(_)) => Ok(result),
            (_, other) => Err(failed(format!(
                "`optFlatMap` needs an expression that gives an optional, not {}",
                other.type_name()
            ))),
        }
    }

    pub(super) fn sort_by(&mut self, list: OpId, slot: u16, key: OpId) -> Evaluated<'a> {
        let list = self.eval(list)?;
        let elements = function::elements(self, "sortBy", &list)?;
        let mut keys = Vec::with_capacity(elements.len());
        for element in &elements {
            self.set(slot, element.clone());
            keys.push(self.eval(key)?);
        }
        function::sort_by_keys(self, "sortBy", elements, keys)
    }
}
