//! Functions of lists and maps.

use std::{borrow::Cow, collections::HashMap, rc::Rc};

use super::{Evaluated, Machine, Value};
use crate::{expr::eval::failed, json::Kind};

pub(super) fn size<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let size = match &value {
        Value::Bytes(bytes) => Some(bytes.len()),
        Value::List(list) => Some(list.len()),
        Value::Map(map) => Some(map.len()),
        Value::Object(object) => Some(object.keys().len()),
        Value::Json(json) if matches!(json.kind(), Kind::List | Kind::Map) => Some(json.len()),
        other => match other.as_str() {
            Some(text) => {
                machine.work(text.len())?;
                Some(text.chars().count())
            }
            None => None,
        },
    };
    match size {
        Some(size) => Ok(Value::Int(size as i64)),
        None => {
            Err(failed(format!("`size` needs a string, bytes, a list or a map, not {}", value.type_name())))
        }
    }
}

/// Members of all maps, later ones win, each key where it first stood.
pub(super) fn merge<'a>(machine: &mut Machine<'a, '_>, maps: Vec<Value<'a>>) -> Evaluated<'a> {
    let mut merged: Vec<(Value<'a>, Value<'a>)> = Vec::new();
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
    for map in maps {
        let Some(members) = map.entries()? else {
            return Err(failed(format!("`merge` needs maps, not {}", map.type_name())));
        };
        machine.grow(members.len())?;
        for (key, value) in members {
            if value.is_omitted() {
                continue;
            }
            match places.get(&key) {
                Some(place) => merged[*place].1 = value,
                None => {
                    places.insert(key.clone(), merged.len());
                    merged.push((Value::Str(key), value));
                }
            }
        }
    }
    Ok(Value::Map(Rc::from(merged)))
}
