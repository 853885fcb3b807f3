//! `{$merge: [a, b]}`: members of all parts, later ones win, each key where it first stood.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use bytes::Bytes;

use super::{Shape, failed, separate};
use crate::{
    expr::{EvalError, Frame},
    json::{Document, Kind, write_string},
};

/// Members found so far; their values stand in `text`.
#[derive(Default)]
struct Members<'a> {
    text: Vec<u8>,
    order: Vec<(Cow<'a, str>, Range<usize>)>,
    places: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Members<'a> {
    /// The text from `start` on is the value of this member.
    fn put(&mut self, key: Cow<'a, str>, start: usize) {
        let value = start..self.text.len();
        match self.places.get(&key) {
            Some(place) => self.order[*place].1 = value,
            None => {
                self.places.insert(key.clone(), self.order.len());
                self.order.push((key, value));
            }
        }
    }
}

pub(super) fn write<'a>(
    parts: &'a [Shape],
    frame: &Frame<'a, '_>,
    out: &mut Vec<u8>,
) -> Result<(), EvalError> {
    let mut members = Members::default();
    for part in parts {
        collect(part, frame, &mut members)?;
    }
    frame.meter.take_fuel(members.order.len() as u64)?;
    let before = out.len();
    out.push(b'{');
    let first = out.len();
    for (key, value) in members.order {
        separate(out, first);
        write_string(&key, out);
        out.push(b':');
        out.extend_from_slice(&members.text[value]);
    }
    out.push(b'}');
    frame.meter.take_bytes((out.len() - before) as u64)
}

fn collect<'a>(part: &'a Shape, frame: &Frame<'a, '_>, members: &mut Members<'a>) -> Result<(), EvalError> {
    match part {
        Shape::Map(shapes) => {
            for (key, shape) in shapes {
                let start = members.text.len();
                if shape.write(frame, &mut members.text)? {
                    members.put(Cow::Borrowed(key), start);
                }
            }
            Ok(())
        }
        Shape::If { condition, then, otherwise } => {
            let taken = if condition.test(frame)? { Some(then) } else { otherwise.as_ref() };
            taken.map_or(Ok(()), |taken| collect(taken, frame, members))
        }
        Shape::Text(text) => {
            let Some(value) = text.eval(frame)?.present() else { return Ok(()) };
            let Some(entries) = value.entries()? else { return Err(refuse(value.type_name())) };
            for (key, value) in entries {
                if !value.is_omitted() {
                    let start = members.text.len();
                    value.write_json(&mut members.text, frame.meter)?;
                    members.put(key, start);
                }
            }
            Ok(())
        }
        Shape::Literal(_) | Shape::List(_) | Shape::Each { .. } | Shape::Merge(_) => {
            let mut json = Vec::new();
            if !part.write(frame, &mut json)? {
                return Ok(());
            }
            let document =
                Document::parse(Bytes::from(json)).map_err(|_| failed("a part of `$merge` is no JSON"))?;
            let root = document.root();
            if root.kind() != Kind::Map {
                return Err(refuse("something else"));
            }
            for (key, value) in root.members() {
                let start = members.text.len();
                members.text.extend_from_slice(value.raw());
                members.put(Cow::Owned(key.into_owned()), start);
            }
            Ok(())
        }
    }
}

fn refuse(found: &str) -> EvalError {
    failed(format!("`$merge` needs maps, not {found}"))
}
