//! Functions of lists and maps.

use std::{borrow::Cow, collections::HashMap, rc::Rc};

use super::{
    Evaluated, Machine, Value,
    argument::{elements, refuse, text},
};
use crate::{
    expr::{EvalError, eval::failed},
    json::Kind,
};

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

/// The elements of a list by the text of one of their fields; of two with the same, the later.
pub(super) fn key_by<'a>(machine: &mut Machine<'a, '_>, list: Value<'a>, field: Value<'a>) -> Evaluated<'a> {
    let groups = group(machine, "keyBy", &list, &field)?;
    let members = groups.into_iter().filter_map(|(key, mut values)| Some((key, values.pop()?)));
    Ok(Value::Map(members.collect()))
}

/// The elements of a list by the text of one of their fields, each a list in its order.
pub(super) fn group_by<'a>(
    machine: &mut Machine<'a, '_>,
    list: Value<'a>,
    field: Value<'a>,
) -> Evaluated<'a> {
    let groups = group(machine, "groupBy", &list, &field)?;
    Ok(Value::Map(groups.into_iter().map(|(key, values)| (key, Value::List(Rc::from(values)))).collect()))
}

type Groups<'a> = Vec<(Value<'a>, Vec<Value<'a>>)>;

fn group<'a>(
    machine: &mut Machine<'a, '_>,
    name: &str,
    list: &Value<'a>,
    field: &Value<'a>,
) -> Result<Groups<'a>, EvalError> {
    let field = text(name, field)?;
    let mut groups: Groups<'a> = Vec::new();
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
    for element in elements(machine, name, list)? {
        let absent = || failed(format!("`{name}` needs the field `{field}` in every element"));
        let key = match &element {
            Value::Json(json) if json.kind() == Kind::Map => {
                machine.work(json.len() * 16)?;
                json.get(&field).map(Value::Json).ok_or_else(absent)?
            }
            Value::Object(object) => object.get(&field)?.ok_or_else(absent)?,
            Value::Map(map) => {
                machine.work(map.len() * 16)?;
                let found = map.iter().find(|(key, _)| key.as_str().as_deref() == Some(&*field));
                found.map(|(_, value)| value.clone()).ok_or_else(absent)?
            }
            other => return Err(refuse(name, "a list of maps", other)),
        };
        let key = key.key().map_err(|_| failed(format!("`{name}` cannot make {} a key", key.type_name())))?;
        machine.produce(key.len())?;
        let place = *places.entry(key.clone()).or_insert_with(|| {
            groups.push((Value::Str(key), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(element);
    }
    Ok(groups)
}
