//! The math extension, and the exact decimal functions `sum` and `round`.
//!
//! What the extension defines for doubles only takes integers too: the number 10 of a document and the
//! number 9.5 beside it differ in nothing that its author knows of.

use std::cmp::Ordering;

use super::{
    Evaluated, Machine, Value,
    argument::{elements, refuse, whole},
};
use crate::expr::{
    EvalError,
    arithmetic::Num,
    decimal::{Decimal, is_integer},
    eval::failed,
};

fn number<'v>(name: &str, value: &'v Value<'_>) -> Result<Num<'v>, EvalError> {
    match Num::of(value) {
        Some(Num::Text(_)) => Err(failed("there is no arithmetic with integers beyond 64 bits")),
        Some(number) => Ok(number),
        None => Err(refuse(name, "a number", value)),
    }
}

pub(super) fn greatest<'a>(machine: &mut Machine<'a, '_>, values: Vec<Value<'a>>) -> Evaluated<'a> {
    extreme(machine, "math.greatest", values, Ordering::Greater)
}

pub(super) fn least<'a>(machine: &mut Machine<'a, '_>, values: Vec<Value<'a>>) -> Evaluated<'a> {
    extreme(machine, "math.least", values, Ordering::Less)
}

fn extreme<'a>(
    machine: &mut Machine<'a, '_>,
    name: &str,
    mut values: Vec<Value<'a>>,
    wanted: Ordering,
) -> Evaluated<'a> {
    if let [list] = values.as_slice()
        && list.is_list()
    {
        values = elements(machine, name, list)?;
    }
    let mut values = values.into_iter();
    let Some(mut best) = values.next() else { return Err(failed(format!("`{name}` was given no number"))) };
    number(name, &best)?;
    for value in values {
        if number(name, &value)?.compare(number(name, &best)?) == Some(wanted) {
            best = value;
        }
    }
    Ok(best)
}

/// What makes a double whole; integers are.
fn whole_by<'a>(name: &str, value: Value<'a>, make: fn(f64) -> f64) -> Evaluated<'a> {
    match number(name, &value)? {
        Num::Double(double) => Ok(Value::Double(make(double))),
        _ => Ok(value),
    }
}

pub(super) fn ceil<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    whole_by("math.ceil", value, f64::ceil)
}

pub(super) fn floor<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    whole_by("math.floor", value, f64::floor)
}

pub(super) fn round_half_up<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    whole_by("math.round", value, f64::round)
}

pub(super) fn trunc<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    whole_by("math.trunc", value, f64::trunc)
}

pub(super) fn abs<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    match number("math.abs", &value)? {
        Num::Int(int) => match int.checked_abs() {
            Some(int) => Ok(Value::Int(int)),
            None => Err(failed("the result of an integer operation is beyond 64 bits")),
        },
        Num::Double(double) => Ok(Value::Double(double.abs())),
        _ => Ok(value),
    }
}

pub(super) fn sign<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    Ok(match number("math.sign", &value)? {
        Num::Int(int) => Value::Int(int.signum()),
        Num::Uint(uint) => Value::Uint(uint.min(1)),
        Num::Double(double) if double == 0.0 || double.is_nan() => Value::Double(double),
        Num::Double(double) => Value::Double(double.signum()),
        Num::Text(_) => value,
    })
}

pub(super) fn sqrt<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    Ok(Value::Double(
        match number("math.sqrt", &value)? {
            Num::Int(int) => int as f64,
            Num::Uint(uint) => uint as f64,
            Num::Double(double) => double,
            Num::Text(_) => f64::NAN,
        }
        .sqrt(),
    ))
}

fn double_is<'a>(name: &str, value: &Value<'a>, holds: fn(f64) -> bool, of_integers: bool) -> Evaluated<'a> {
    Ok(Value::Bool(match number(name, value)? {
        Num::Double(double) => holds(double),
        _ => of_integers,
    }))
}

pub(super) fn is_nan<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    double_is("math.isNaN", &value, f64::is_nan, false)
}

pub(super) fn is_inf<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    double_is("math.isInf", &value, f64::is_infinite, false)
}

pub(super) fn is_finite<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    double_is("math.isFinite", &value, f64::is_finite, true)
}

/// Two integers of one kind; an int that is not negative goes with a uint.
fn bitwise<'a>(name: &str, a: &Value<'a>, b: &Value<'a>, signed: fn(i64, i64) -> i64) -> Evaluated<'a> {
    let refuse = |value| refuse(name, "two integers", value);
    let (Some(x), Some(y)) = (Num::of(a), Num::of(b)) else { return Err(refuse(a)) };
    Ok(match (x, y) {
        (Num::Int(x), Num::Int(y)) => Value::Int(signed(x, y)),
        (Num::Uint(x), Num::Uint(y)) => Value::Uint(signed(x.cast_signed(), y.cast_signed()).cast_unsigned()),
        // Data does not tell int from uint: a large integer is a uint, a small one an int.
        (Num::Uint(x), Num::Int(y)) if y >= 0 => Value::Uint(signed(x.cast_signed(), y).cast_unsigned()),
        (Num::Int(x), Num::Uint(y)) if x >= 0 => Value::Uint(signed(x, y.cast_signed()).cast_unsigned()),
        _ => return Err(refuse(a)),
    })
}

pub(super) fn bit_and<'a>(_: &mut Machine<'a, '_>, a: Value<'a>, b: Value<'a>) -> Evaluated<'a> {
    bitwise("math.bitAnd", &a, &b, |a, b| a & b)
}

pub(super) fn bit_or<'a>(_: &mut Machine<'a, '_>, a: Value<'a>, b: Value<'a>) -> Evaluated<'a> {
    bitwise("math.bitOr", &a, &b, |a, b| a | b)
}

pub(super) fn bit_xor<'a>(_: &mut Machine<'a, '_>, a: Value<'a>, b: Value<'a>) -> Evaluated<'a> {
    bitwise("math.bitXor", &a, &b, |a, b| a ^ b)
}

pub(super) fn bit_not<'a>(_: &mut Machine<'a, '_>, value: Value<'a>) -> Evaluated<'a> {
    match Num::of(&value) {
        Some(Num::Int(int)) => Ok(Value::Int(!int)),
        Some(Num::Uint(uint)) => Ok(Value::Uint(!uint)),
        _ => Err(refuse("math.bitNot", "an integer", &value)),
    }
}

/// How far to shift; 64 and more leave nothing.
fn distance(name: &str, value: &Value<'_>) -> Result<u32, EvalError> {
    let by = match Num::of(value) {
        Some(Num::Int(by)) => by,
        Some(Num::Uint(by)) => i64::try_from(by).unwrap_or(i64::MAX),
        _ => return Err(refuse(name, "an integer", value)),
    };
    if by < 0 {
        return Err(failed(format!("`{name}` cannot shift by a negative number")));
    }
    Ok(u32::try_from(by).unwrap_or(u32::MAX))
}

pub(super) fn shift_left<'a>(_: &mut Machine<'a, '_>, value: Value<'a>, by: Value<'a>) -> Evaluated<'a> {
    let by = distance("math.bitShiftLeft", &by)?;
    match Num::of(&value) {
        Some(Num::Int(int)) => Ok(Value::Int(int.checked_shl(by).unwrap_or(0))),
        Some(Num::Uint(uint)) => Ok(Value::Uint(uint.checked_shl(by).unwrap_or(0))),
        _ => Err(refuse("math.bitShiftLeft", "an integer", &value)),
    }
}

/// Zeros come in from the left, for an int as well.
pub(super) fn shift_right<'a>(_: &mut Machine<'a, '_>, value: Value<'a>, by: Value<'a>) -> Evaluated<'a> {
    let by = distance("math.bitShiftRight", &by)?;
    match Num::of(&value) {
        Some(Num::Int(int)) => Ok(Value::Int(int.cast_unsigned().checked_shr(by).unwrap_or(0).cast_signed())),
        Some(Num::Uint(uint)) => Ok(Value::Uint(uint.checked_shr(by).unwrap_or(0))),
        _ => Err(refuse("math.bitShiftRight", "an integer", &value)),
    }
}

/// The exact sum of a list.
pub(super) fn sum<'a>(machine: &mut Machine<'a, '_>, list: Value<'a>) -> Evaluated<'a> {
    let (mut total, mut integer) = (Decimal::ZERO, true);
    let mut beyond: Option<f64> = None;
    for value in elements(machine, "sum", &list)?.into_iter().filter(|value| !value.is_omitted()) {
        integer &= is_integer(&value);
        match (Decimal::of(&value), &value) {
            (Some(decimal), _) => match total.plus(decimal) {
                Some(sum) => total = sum,
                None => return Err(failed("a sum is exact to 38 digits, and this one has more")),
            },
            (None, Value::Double(double)) if !double.is_finite() => {
                beyond = Some(beyond.unwrap_or(0.0) + double);
            }
            _ if Num::of(&value).is_some() => {
                return Err(failed("a sum is exact to 38 digits, and one of its numbers has more"));
            }
            _ => {
                return Err(failed(format!(
                    "`sum` needs a list of numbers, and {} is in it",
                    value.type_name()
                )));
            }
        }
    }
    Ok(beyond.map_or_else(|| total.value(integer), Value::Double))
}

/// Rounded to a number of decimal places, a half to the even neighbour.
pub(super) fn round<'a>(_: &mut Machine<'a, '_>, value: Value<'a>, places: Value<'a>) -> Evaluated<'a> {
    let places = whole("round", &places)?;
    let Some(places) = i32::try_from(places).ok().filter(|places| (-38..=38).contains(places)) else {
        return Err(failed("`round` takes -38 to 38 places"));
    };
    match (Decimal::of(&value), &value) {
        (Some(decimal), _) => Ok(decimal.round(places).value(is_integer(&value))),
        (None, Value::Double(_)) => Ok(value),
        _ if Num::of(&value).is_some() => Err(failed("`round` takes numbers of at most 38 digits")),
        _ => Err(refuse("round", "a number", &value)),
    }
}
