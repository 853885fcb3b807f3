//! Functions of strings.

use super::{Evaluated, Machine, Value};
use crate::expr::{EvalError, eval::failed};

fn test<'a>(
    machine: &mut Machine<'a, '_>,
    name: &'static str,
    text: &Value<'a>,
    part: &Value<'a>,
    holds: fn(&str, &str) -> bool,
) -> Evaluated<'a> {
    let (Some(text), Some(part)) = (text.as_str(), part.as_str()) else {
        return Err(failed(format!(
            "`{name}` needs two strings, not {} and {}",
            text.type_name(),
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
