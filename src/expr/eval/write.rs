//! Evaluation that writes JSON as it goes: lists and maps that only the answer needs are never made.

use std::borrow::Cow;

use super::{Machine, Value, chain::Found, operator::no_string};
use crate::{
    expr::{
        EvalError,
        op::{LoopKind, MapLiteral, Op, OpId},
        value::{separate, write_value},
    },
    json::{Ref, write_escaped},
};

impl<'a> Machine<'a, '_> {
    /// Evaluates and writes. `Ok(false)` and nothing written when it is omitted; on an error some of
    /// it may be there.
    pub(in crate::expr) fn write(&mut self, id: OpId, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        match self.op(id) {
            Op::Chain(chain) => {
                self.step()?;
                match self.chain(chain)? {
                    Found::Plain(Value::Json(json)) => self.copy(json, out).map(|()| true),
                    Found::Plain(value) | Found::Optional(Some(value)) => self.write_leaf(value, out),
                    Found::Optional(None) => Ok(false),
                }
            }
            Op::Concat(parts) => {
                self.step()?;
                self.write_concat(parts, out)?;
                Ok(true)
            }
            Op::Map(MapLiteral { entries, keys: Some(keys) }) => {
                self.step()?;
                self.write_map(entries, keys, out)?;
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
            _ => {
                let value = self.eval(id)?;
                self.write_leaf(value, out)
            }
        }
    }

    fn write_leaf(&mut self, value: Value<'a>, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        match value.present() {
            Some(value) => {
                self.write_value(&value, out)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Copies a part of a document as it was received.
    #[inline]
    fn copy(&mut self, json: Ref<'a>, out: &mut Vec<u8>) -> Result<(), EvalError> {
        let raw = json.raw();
        self.produce(raw.len())?;
        out.extend_from_slice(raw);
        Ok(())
    }

    /// A row of `+` that gives a string, each part straight to where it belongs.
    fn write_concat(&mut self, parts: &'a [OpId], out: &mut Vec<u8>) -> Result<(), EvalError> {
        out.push(b'"');
        for part in parts {
            let value = match self.op(*part) {
                Op::Str(text) => {
                    self.step()?;
                    Value::Str(Cow::Borrowed(text))
                }
                _ => self.eval(*part)?,
            };
            // Without escapes it is in its document what it is here.
            if let Value::Json(json) = &value
                && let Some(text) = json.plain_str()
            {
                self.produce(text.len())?;
                out.extend_from_slice(text.as_bytes());
                continue;
            }
            let Some(text) = value.as_str() else { return Err(no_string(&value)) };
            let start = out.len();
            self.produce(text.len())?;
            write_escaped(&text, out);
            self.produce(out.len() - start - text.len())?;
        }
        out.push(b'"');
        self.produce(2)
    }

    fn write_map(
        &mut self,
        entries: &'a [(bool, OpId, OpId)],
        keys: &[Box<[u8]>],
        out: &mut Vec<u8>,
    ) -> Result<(), EvalError> {
        out.push(b'{');
        let first = out.len();
        for ((optional, _, value), key) in entries.iter().zip(keys) {
            let start = out.len();
            separate(out, first);
            self.produce(key.len() + 1)?;
            out.extend_from_slice(key);
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
