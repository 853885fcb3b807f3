//! Functions of lists.

use std::{cmp::Ordering, collections::HashSet, rc::Rc};

use super::{
    Evaluated, Machine, Value,
    argument::{elements, refuse, whole},
};
use crate::expr::{EvalError, arithmetic::Num, eval::failed};

fn made(list: Vec<Value<'_>>) -> Evaluated<'_> {
    Ok(Value::List(Rc::from(list)))
}

pub(super) fn slice<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    let [list, start, end] = arguments.as_slice() else {
        return Err(failed("`slice` takes 2 arguments"));
    };
    let Some(length) = list.list_len() else { return Err(refuse("slice", "a list", list)) };
    let position = |value: &Value<'a>| Ok::<_, EvalError>(usize::try_from(whole("slice", value)?).ok());
    let (Some(start), Some(end)) = (position(start)?, position(end)?) else {
        return Err(failed("`slice` was given a negative position"));
    };
    if start > end || end > length {
        return Err(failed(format!("`slice` was given {start} to {end} of a list of {length}")));
    }
    let mut list = elements(machine, "slice", list)?;
    list.truncate(end);
    list.drain(..start);
    made(list)
}

/// Without the elements that are equal to one before them.
pub(super) fn distinct<'a>(machine: &mut Machine<'a, '_>, list: Value<'a>) -> Evaluated<'a> {
    let list = elements(machine, "distinct", &list)?;
    let (mut texts, mut numbers) = (HashSet::new(), HashSet::new());
    let mut others: Vec<&Value<'a>> = Vec::new();
    let mut kept = Vec::with_capacity(list.len());
    for value in &list {
        kept.push(if let Some(text) = value.as_str() {
            machine.work(text.len())?;
            texts.insert(text)
        } else if let Some(Num::Int(int)) = Num::of(value).map(whole_number) {
            numbers.insert(int)
        } else {
            let mut new = true;
            for other in &others {
                // A step, as it is compared.
                machine.work(128)?;
                new &= !machine.equal(other, value)?;
            }
            if new {
                others.push(value);
            }
            new
        });
    }
    drop((texts, others));
    made(list.into_iter().zip(kept).filter_map(|(value, kept)| kept.then_some(value)).collect())
}

/// A number as an int where it is one, as equality does not tell 1, 1u and 1.0 apart.
fn whole_number(number: Num<'_>) -> Num<'_> {
    match number {
        Num::Uint(uint) => i64::try_from(uint).map_or(number, Num::Int),
        Num::Double(double) if double.fract() == 0.0 && double.abs() < 9e15 => Num::Int(double as i64),
        number => number,
    }
}

pub(super) fn flatten<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    let [list, rest @ ..] = arguments.as_slice() else { return made(Vec::new()) };
    let depth = rest.first().map_or(Ok(1), |depth| whole("flatten", depth))?;
    if depth < 0 {
        return Err(failed("`flatten` takes no negative depth"));
    }
    let mut flat = elements(machine, "flatten", list)?;
    // Values nest no deeper than documents and expressions do, so this ends.
    for _ in 0..depth {
        let mut next = Vec::with_capacity(flat.len());
        let mut more = false;
        for value in flat {
            if value.is_list() {
                more = true;
                next.extend(elements(machine, "flatten", &value)?);
            } else {
                next.push(value);
            }
        }
        flat = next;
        if !more {
            break;
        }
    }
    made(flat)
}

pub(super) fn range<'a>(machine: &mut Machine<'a, '_>, count: Value<'a>) -> Evaluated<'a> {
    let count = whole("lists.range", &count)?;
    machine.grow(usize::try_from(count).unwrap_or(0))?;
    made((0..count).map(Value::Int).collect())
}

pub(super) fn first<'a>(machine: &mut Machine<'a, '_>, list: Value<'a>) -> Evaluated<'a> {
    end(machine, "first", &list, |_| 0)
}

pub(super) fn last<'a>(machine: &mut Machine<'a, '_>, list: Value<'a>) -> Evaluated<'a> {
    end(machine, "last", &list, |length| length - 1)
}

fn end<'a>(
    machine: &mut Machine<'a, '_>,
    name: &str,
    list: &Value<'a>,
    position: fn(usize) -> usize,
) -> Evaluated<'a> {
    let Some(length) = list.list_len() else { return Err(refuse(name, "a list", list)) };
    if length == 0 {
        return Ok(Value::Optional(None));
    }
    let found = match list {
        Value::List(list) => list.get(position(length)).cloned(),
        Value::Json(json) => {
            machine.work(position(length) * 16)?;
            json.at(position(length)).map(Value::Json)
        }
        _ => None,
    };
    Ok(Value::Optional(found.map(Rc::new)))
}

pub(super) fn sort<'a>(machine: &mut Machine<'a, '_>, list: Value<'a>) -> Evaluated<'a> {
    let keys = elements(machine, "sort", &list)?;
    let list = elements(machine, "sort", &list)?;
    sort_by_keys(machine, "sort", list, keys)
}

/// Sorts values by their keys, which must all be of one kind that has an order. Equal keys keep the
/// order of the list.
pub(in crate::expr) fn sort_by_keys<'a>(
    machine: &mut Machine<'a, '_>,
    name: &str,
    list: Vec<Value<'a>>,
    keys: Vec<Value<'a>>,
) -> Evaluated<'a> {
    // All of it is charged before, as a comparison that could fail would not be an order.
    let turns = list.len() * (list.len().max(2).ilog2() as usize + 1);
    machine.grow(turns / 4)?;
    let kind = keys.first().and_then(order_kind);
    let mut bytes = 0;
    for key in &keys {
        if order_kind(key).is_none() || order_kind(key) != kind {
            let first = keys.first().map_or("nothing", Value::type_name);
            return Err(failed(format!("`{name}` cannot order {first} and {}", key.type_name())));
        }
        bytes += key.as_str().map_or(0, |text| text.len());
    }
    machine.work(bytes.saturating_mul(turns / list.len().max(1)))?;
    let mut pairs: Vec<(Value<'a>, Value<'a>)> = keys.into_iter().zip(list).collect();
    pairs.sort_by(|(a, _), (b, _)| order(a, b));
    made(pairs.into_iter().map(|(_, value)| value).collect())
}

/// The kinds of values that have an order among themselves.
fn order_kind(value: &Value<'_>) -> Option<u8> {
    match value {
        Value::Bytes(_) => return Some(0),
        Value::Timestamp(..) => return Some(1),
        Value::Duration(..) => return Some(2),
        _ => {}
    }
    match Num::of(value) {
        Some(Num::Text(_)) => None,
        Some(_) => Some(3),
        None if value.as_bool().is_some() => Some(4),
        None => value.as_str().map(|_| 5),
    }
}

/// The order of two values of one kind; NaN comes first.
fn order(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Timestamp(a, c), Value::Timestamp(b, d)) => (a, c).cmp(&(b, d)),
        (Value::Duration(a, c), Value::Duration(b, d)) => (a, c).cmp(&(b, d)),
        _ => match (Num::of(a), Num::of(b)) {
            (Some(x), Some(y)) => {
                let is_nan = |number: Num<'_>| matches!(number, Num::Double(double) if double.is_nan());
                x.compare(y).unwrap_or_else(|| is_nan(y).cmp(&is_nan(x)))
            }
            _ => match (a.as_bool(), b.as_bool()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_str().cmp(&b.as_str()),
            },
        },
    }
}
