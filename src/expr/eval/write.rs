//! Evaluation that writes JSON as it goes: lists and maps that only the answer needs are never made.

use super::{Machine, Value};
use crate::expr::{
    EvalError,
    op::{LoopKind, MapLiteral, Op, OpId},
    value::{separate, write_key, write_value},
};

impl<'a> Machine<'a, '_> {
    /// Evaluates and writes. `Ok(false)` and nothing written when it is omitted; on an error some of
    /// it may be there.
    pub(in crate::expr) fn write(&mut self, id: OpId, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        match self.op(id) {
            Op::Map(literal) if literal.distinct => {
                self.step()?;
                self.write_map(literal, out)?;
                Ok(true)
            }
            Op::List(elements) => {
                self.step()?;
                out.push(b'[');
                let first = out.len();
                for (optional, element) in elements {
                    let start = out.len();
                    separate(out, first);
                    if !self.write_part(*element, *optional, out)? {
                        out.truncate(start);
                    }
                }
                out.push(b']');
                self.produce(2 + elements.len())?;
                Ok(true)
            }
            Op::Loop(over) if over.kind == LoopKind::Map => {
                self.step()?;
                out.push(b'[');
                let first = out.len();
                self.each(over.range, &mut |machine, value| {
                    machine.set(over.slot, value);
                    if let Some(condition) = over.condition
                        && !machine.condition(condition)?
                    {
                        return Ok(true);
                    }
                    let start = out.len();
                    separate(out, first);
                    if machine.write(over.body, out)? {
                        machine.produce(1)?;
                    } else {
                        out.truncate(start);
                    }
                    Ok(true)
                })?;
                out.push(b']');
                self.produce(2)?;
                Ok(true)
            }
            Op::Loop(over) if over.kind == LoopKind::Filter => {
                self.step()?;
                out.push(b'[');
                let first = out.len();
                self.pipe(over, &mut |machine, value| {
                    if let Some(value) = value.present() {
                        separate(out, first);
                        machine.write_value(&value, out)?;
                    }
                    Ok(true)
                })?;
                out.push(b']');
                self.produce(2)?;
                Ok(true)
            }
            Op::If(condition, then, otherwise) => {
                self.step()?;
                let taken = if self.condition(*condition)? { then } else { otherwise };
                self.write(*taken, out)
            }
            _ => match self.leaf(id)? {
                Some(value) => {
                    self.write_value(&value, out)?;
                    Ok(true)
                }
                None => Ok(false),
            },
        }
    }

    fn write_map(&mut self, literal: &'a MapLiteral, out: &mut Vec<u8>) -> Result<(), EvalError> {
        out.push(b'{');
        let first = out.len();
        for (optional, key, value) in &literal.entries {
            let start = out.len();
            separate(out, first);
            if let Op::Str(key) = self.op(*key) {
                write_key(key, out, &mut self.allowance)?;
            }
            if !self.write_part(*value, *optional, out)? {
                out.truncate(start);
            }
        }
        out.push(b'}');
        self.produce(2)
    }

    /// An element or a member's value. After `?` an optional is needed, else anything will do.
    fn write_part(&mut self, id: OpId, optional: bool, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        if !optional {
            return self.write(id, out);
        }
        match self.optional(id)?.and_then(Value::present) {
            Some(value) => {
                self.write_value(&value, out)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    pub(in crate::expr) fn write_value(
        &mut self,
        value: &Value<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), EvalError> {
        write_value(value, out, &mut self.allowance)
    }
}
