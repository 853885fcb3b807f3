//! Functions of points and spans of time.

use super::{
    Evaluated, Machine, Value,
    argument::{refuse, text},
};
use crate::expr::{arithmetic::Num, calendar::Field, eval::failed, time, zone::Zone};

pub(super) fn timestamp<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    if let Value::Timestamp(..) = value {
        return Ok(value);
    }
    let made = match Num::of(&value) {
        Some(Num::Int(seconds)) => time::from_seconds(seconds),
        Some(_) => None,
        None => {
            let text = text("timestamp", &value)?;
            machine.work(text.len())?;
            time::parse_timestamp(&text)
        }
    };
    made.ok_or_else(|| failed("`timestamp` needs RFC 3339 or seconds, in the years 1 to 9999"))
}

pub(super) fn duration<'a>(machine: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    if let Value::Duration(..) = value {
        return Ok(value);
    }
    let text = text("duration", &value)?;
    machine.work(text.len())?;
    time::parse_duration(&text).ok_or_else(|| {
        failed("`duration` needs numbers with units of h, m, s, ms, us or ns, such as `1h30m`")
    })
}

/// A field of a value, seen in a zone.
pub(in crate::expr) fn field<'a>(field: Field, value: &Value<'a>, zone: &Zone) -> Evaluated<'a> {
    match value {
        Value::Timestamp(seconds, nanos) => Ok(Value::Int(field.of_timestamp(zone.local(*seconds), *nanos))),
        Value::Duration(seconds, nanos) => match field.of_duration(*seconds, *nanos) {
            Some(field) => Ok(Value::Int(field)),
            None => Err(failed("a duration has hours, minutes, seconds and milliseconds, no dates")),
        },
        other => Err(refuse("a getter of time", "a timestamp or a duration", other)),
    }
}

/// The zone of a name that is known only now.
pub(in crate::expr) fn zone<'a>(
    machine: &mut Machine<'a, '_>,
    name: &Value<'a>,
) -> Result<Zone, crate::expr::EvalError> {
    let name = text("a getter of time", name)?;
    machine.work(64 * 128)?;
    Zone::named(&name).ok_or_else(|| failed("there is no time zone of that name"))
}
