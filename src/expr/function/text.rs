//! Functions of strings. Positions count characters (code points).

use std::{borrow::Cow, rc::Rc};

use super::{
    Evaluated, Machine, Value,
    argument::{elements, refuse, scalar, text, whole},
};
use crate::expr::{EvalError, eval::failed, pattern::Pattern};

fn made<'a>(text: impl Into<String>) -> Evaluated<'a> {
    Ok(Value::Str(Cow::Owned(text.into())))
}

fn test<'a>(
    machine: &mut Machine<'a, '_>,
    name: &'static str,
    whole: &Value<'a>,
    part: &Value<'a>,
    holds: fn(&str, &str) -> bool,
) -> Evaluated<'a> {
    let (Some(text), Some(part)) = (whole.as_str(), part.as_str()) else {
        return Err(failed(format!(
            "`{name}` needs two strings, not {} and {}",
            whole.type_name(),
            part.type_name()
        )));
    };
    machine.work(text.len())?;
    Ok::<_, EvalError>(Value::Bool(holds(&text, &part)))
}

pub(super) fn contains<'a>(machine: &mut Machine<'a, '_>, text: Value<'a>, part: Value<'a>) -> Evaluated<'a> {
    test(machine, "contains", &text, &part, |text, part| text.contains(part))
}

pub(super) fn starts_with<'a>(
    machine: &mut Machine<'a, '_>,
    text: Value<'a>,
    part: Value<'a>,
) -> Evaluated<'a> {
    test(machine, "startsWith", &text, &part, |text, part| text.starts_with(part))
}

pub(super) fn ends_with<'a>(
    machine: &mut Machine<'a, '_>,
    text: Value<'a>,
    part: Value<'a>,
) -> Evaluated<'a> {
    test(machine, "endsWith", &text, &part, |text, part| text.ends_with(part))
}

/// A pattern that is known only now: compiling it costs.
pub(super) fn matches<'a>(
    machine: &mut Machine<'a, '_>,
    value: Value<'a>,
    pattern: Value<'a>,
) -> Evaluated<'a> {
    const COMPILE: usize = 2_000 * 128;
    let (text, pattern) = (text("matches", &value)?, text("matches", &pattern)?);
    machine.work(COMPILE + pattern.len() * 2_048)?;
    let pattern = Pattern::new(&pattern).map_err(|refused| failed(refused.to_string()))?;
    pattern.is_in(&text, |bytes| machine.work(bytes)).map(Value::Bool)
}

/// The byte at which the character of this position starts; the end is a position too.
fn byte_of(text: &str, position: i64) -> Option<usize> {
    let position = usize::try_from(position).ok()?;
    let starts = text.char_indices().map(|(at, _)| at);
    starts.chain([text.len()]).nth(position)
}

fn outside(name: &str, position: i64) -> EvalError {
    failed(format!("`{name}` was given the position {position}, which is outside of the string"))
}

pub(super) fn char_at<'a>(
    machine: &mut Machine<'a, '_>,
    value: Value<'a>,
    position: Value<'a>,
) -> Evaluated<'a> {
    let (text, position) = (text("charAt", &value)?, whole("charAt", &position)?);
    machine.work(text.len())?;
    let at = byte_of(&text, position).ok_or_else(|| outside("charAt", position))?;
    made(text[at..].chars().next().map(String::from).unwrap_or_default())
}

pub(super) fn index_of<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    find(machine, "indexOf", &arguments)
}

pub(super) fn last_index_of<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    find(machine, "lastIndexOf", &arguments)
}

fn find<'a>(machine: &mut Machine<'a, '_>, name: &str, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let [value, part, rest @ ..] = arguments else { return Ok(Value::Int(-1)) };
    let (text, part) = (text(name, value)?, text(name, part)?);
    machine.work(text.len() * 2)?;
    let from = match rest.first() {
        Some(position) => {
            let position = whole(name, position)?;
            Some(byte_of(&text, position).ok_or_else(|| outside(name, position))?)
        }
        None => None,
    };
    let found = if name == "indexOf" {
        let from = from.unwrap_or(0);
        text[from..].find(&*part).map(|at| from + at)
    } else {
        // An occurrence may begin at the position at the latest.
        let end = from.map_or(text.len(), |from| text.floor_char_boundary(from.saturating_add(part.len())));
        text[..end].rfind(&*part)
    };
    Ok(Value::Int(found.map_or(-1, |at| text[..at].chars().count() as i64)))
}

pub(super) fn lower<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let text = text("lowerAscii", &value)?;
    machine.produce(text.len())?;
    made(text.to_ascii_lowercase())
}

pub(super) fn upper<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let text = text("upperAscii", &value)?;
    machine.produce(text.len())?;
    made(text.to_ascii_uppercase())
}

pub(super) fn trim<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let text = text("trim", &value)?;
    machine.produce(text.len())?;
    made(text.trim())
}

pub(super) fn reverse<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    if value.is_list() {
        let mut list = elements(machine, "reverse", &value)?;
        list.reverse();
        return Ok(Value::List(Rc::from(list)));
    }
    let Some(text) = value.as_str() else { return Err(refuse("reverse", "a string or a list", &value)) };
    machine.produce(text.len())?;
    made(text.chars().rev().collect::<String>())
}

/// The count that a limit means: none for a negative one.
fn limit(name: &str, value: Option<&Value<'_>>) -> Result<usize, EvalError> {
    let limit = value.map_or(Ok(-1), |value| whole(name, value))?;
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

pub(super) fn replace<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    let [value, old, new, rest @ ..] = arguments.as_slice() else {
        return Err(failed("`replace` takes 2 or 3 arguments"));
    };
    let (text, old, new) = (text("replace", value)?, text("replace", old)?, text("replace", new)?);
    let limit = limit("replace", rest.first())?;
    machine.work(text.len())?;
    let count = text.matches(&*old).take(limit).count();
    machine.produce(text.len() + count.saturating_mul(new.len()))?;
    made(text.replacen(&*old, &new, count))
}

pub(super) fn split<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    let [value, separator, rest @ ..] = arguments.as_slice() else {
        return Err(failed("`split` takes 1 or 2 arguments"));
    };
    let (text, separator) = (text("split", value)?, text("split", separator)?);
    let limit = limit("split", rest.first())?;
    if limit == 0 {
        return Ok(Value::List(Rc::default()));
    }
    machine.work(text.len())?;
    let cuts = if separator.is_empty() {
        text.chars().count().saturating_sub(1)
    } else {
        text.matches(&*separator).count()
    };
    machine.grow(cuts.min(limit - 1) + 1)?;
    machine.produce(text.len())?;
    let mut parts: Vec<Value<'a>> = Vec::new();
    let mut left = &*text;
    while parts.len() + 1 < limit {
        let cut = if separator.is_empty() {
            left.chars().next().map(char::len_utf8).filter(|length| *length < left.len()).map(|at| (at, at))
        } else {
            left.find(&*separator).map(|at| (at, at + separator.len()))
        };
        let Some((end, next)) = cut else { break };
        parts.push(Value::Str(Cow::Owned(left[..end].to_owned())));
        left = &left[next..];
    }
    if !(separator.is_empty() && text.is_empty()) {
        parts.push(Value::Str(Cow::Owned(left.to_owned())));
    }
    Ok(Value::List(Rc::from(parts)))
}

pub(super) fn substring<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    let [value, start, rest @ ..] = arguments.as_slice() else {
        return Err(failed("`substring` takes 1 or 2 arguments"));
    };
    let (text, start) = (text("substring", value)?, whole("substring", start)?);
    machine.work(text.len())?;
    let from = byte_of(&text, start).ok_or_else(|| outside("substring", start))?;
    let to = match rest.first() {
        Some(end) => {
            let end = whole("substring", end)?;
            byte_of(&text, end).ok_or_else(|| outside("substring", end))?
        }
        None => text.len(),
    };
    let Some(part) = text.get(from..to) else {
        return Err(failed("`substring` was given an end before its start"));
    };
    machine.produce(part.len())?;
    made(part)
}

pub(super) fn join<'a>(machine: &mut Machine<'a, '_>, arguments: Vec<Value<'a>>) -> Evaluated<'a> {
    let [list, rest @ ..] = arguments.as_slice() else { return made("") };
    let list = elements(machine, "join", list)?;
    let separator = rest.first().map_or(Ok(Cow::Borrowed("")), |separator| text("join", separator))?;
    let mut joined = String::new();
    for (index, element) in list.iter().filter(|element| !element.is_omitted()).enumerate() {
        let part = scalar("join", element)?;
        machine.produce(part.len() + separator.len())?;
        if index > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&part);
    }
    made(joined)
}

pub(super) fn quote<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    let text = text("strings.quote", &value)?;
    machine.produce(text.len() * 2 + 2)?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    made(quoted)
}
