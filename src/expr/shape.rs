//! Structural shaping: trees of literals and expressions that write JSON.

mod merge;

use super::{EvalError, Frame, Program, Reference, Slot, Text, Value, eval::failed, value::separate};
use crate::json::write_string;

/// Structural shaping: a tree of literals and expressions that writes JSON.
#[derive(Debug)]
pub enum Shape {
    /// JSON text without any expression below it.
    Literal(Vec<u8>),
    /// A scalar with expressions.
    Text(Text),
    /// A list; omitted elements are dropped.
    List(Vec<Self>),
    /// A map in the order of the file; omitted members are dropped. Keys are literal.
    Map(Vec<(String, Self)>),
    /// `{$each, $as, $where, $yield}`; `$as` is the innermost local of `condition` and `yields`.
    Each {
        /// The list.
        list: Program,
        /// `$where`
        condition: Option<Program>,
        /// `$yield`
        yields: Box<Self>,
    },
    /// `{$if, $then, $else}`
    If {
        /// `$if`
        condition: Program,
        /// `$then`
        then: Box<Self>,
        /// `$else`; without it the place is dropped.
        otherwise: Option<Box<Self>>,
    },
    /// `{$merge: [...]}`: shallow, later wins.
    Merge(Vec<Self>),
}

impl Shape {
    /// Writes JSON. `Ok(false)` and nothing written when it is omitted; nothing is written on an error either.
    pub fn write<'a>(&'a self, frame: &Frame<'a, '_>, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        let start = out.len();
        let result = self.put(frame, out);
        if !matches!(result, Ok(true)) {
            out.truncate(start);
        }
        result
    }

    fn put<'a>(&'a self, frame: &Frame<'a, '_>, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        match self {
            Self::Literal(json) => {
                frame.meter.take_bytes(json.len() as u64)?;
                out.extend_from_slice(json);
                Ok(true)
            }
            Self::Text(text) => text.write(frame, out),
            Self::List(elements) => {
                out.push(b'[');
                let first = out.len();
                for element in elements {
                    element.put_after_comma(frame, out, first)?;
                }
                out.push(b']');
                frame.meter.take_bytes(2 + elements.len() as u64)?;
                Ok(true)
            }
            Self::Map(members) => {
                out.push(b'{');
                let first = out.len();
                let mut keys = 2;
                for (key, shape) in members {
                    let start = out.len();
                    separate(out, first);
                    write_string(key, out);
                    out.push(b':');
                    let written = out.len() - start;
                    if shape.put(frame, out)? {
                        keys += written;
                    } else {
                        out.truncate(start);
                    }
                }
                out.push(b'}');
                frame.meter.take_bytes(keys as u64)?;
                Ok(true)
            }
            Self::Each { list, condition, yields } => {
                let Some(list) = list.leaf(frame)? else { return Ok(false) };
                out.push(b'[');
                each(&list, condition.as_ref(), yields, frame, out)?;
                out.push(b']');
                frame.meter.take_bytes(2)?;
                Ok(true)
            }
            Self::If { condition, then, otherwise } => {
                if condition.test(frame)? {
                    then.put(frame, out)
                } else {
                    otherwise.as_ref().map_or(Ok(false), |otherwise| otherwise.put(frame, out))
                }
            }
            Self::Merge(parts) => merge::write(parts, frame, out).map(|()| true),
        }
    }

    /// Writes an element with the comma before it, or neither.
    fn put_after_comma<'a>(
        &'a self,
        frame: &Frame<'a, '_>,
        out: &mut Vec<u8>,
        first: usize,
    ) -> Result<(), EvalError> {
        let start = out.len();
        separate(out, first);
        if !self.put(frame, out)? {
            out.truncate(start);
        }
        Ok(())
    }

    /// Every slot it may read.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        self.programs(&mut |program| found.extend_from_slice(program.references()));
        found
    }

    /// Visits every expression in it, in the order of the file.
    pub fn programs<'a>(&'a self, visit: &mut dyn FnMut(&'a Program)) {
        match self {
            Self::Literal(_) => {}
            Self::Text(text) => text.programs().for_each(visit),
            Self::List(shapes) | Self::Merge(shapes) => shapes.iter().for_each(|shape| shape.programs(visit)),
            Self::Map(members) => members.iter().for_each(|(_, shape)| shape.programs(visit)),
            Self::Each { list, condition, yields } => {
                visit(list);
                condition.iter().for_each(&mut *visit);
                yields.programs(visit);
            }
            Self::If { condition, then, otherwise } => {
                visit(condition);
                then.programs(visit);
                otherwise.iter().for_each(|otherwise| otherwise.programs(visit));
            }
        }
    }

    /// If it is one expression that is one slot, that slot.
    #[must_use]
    pub fn as_slot(&self) -> Option<Slot> {
        match self {
            Self::Text(Text::One(program)) => program.as_slot(),
            _ => None,
        }
    }

    /// If it is one expression that is a received body, its slot: the bytes may be forwarded untouched.
    #[must_use]
    pub fn as_body(&self) -> Option<Slot> {
        match self {
            Self::Text(Text::One(program)) => program.as_body(),
            _ => None,
        }
    }
}

fn each<'a>(
    list: &Value<'a>,
    condition: Option<&'a Program>,
    yields: &'a Shape,
    frame: &Frame<'a, '_>,
    out: &mut Vec<u8>,
) -> Result<(), EvalError> {
    let first = out.len();
    // The locals around it and, last, the element.
    let mut locals = Vec::with_capacity(frame.locals.len() + 1);
    locals.extend_from_slice(frame.locals);
    locals.push(Value::Null);
    let mut turns = 0u64;
    let mut turn = |element: Value<'a>| {
        frame.meter.take_fuel(1)?;
        turns += 1;
        if let Some(last) = locals.last_mut() {
            *last = element;
        }
        // Loops nest less deep than this wraps.
        let turn = frame.turn.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(turns);
        let inner = Frame { data: frame.data, meter: frame.meter, locals: &locals, turn };
        if let Some(condition) = condition
            && !condition.test(&inner)?
        {
            return Ok(());
        }
        frame.meter.take_bytes(1)?;
        yields.put_after_comma(&inner, out, first)
    };
    match list {
        Value::List(list) => list.iter().cloned().try_for_each(turn),
        Value::Json(json) if list.is_list() => json.items().map(Value::Json).try_for_each(&mut turn),
        other => Err(failed(format!("`$each` needs a list, not {}", other.type_name()))),
    }
}
