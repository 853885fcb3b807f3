//! Numbers: what operators do with int64, uint64 and float64, mixed ones included.
//!
//! Data has no types of its own, so mixed operands are computed with rather than refused, which is
//! more than CEL allows: int and uint exactly, anything with a double as doubles.

use std::{borrow::Cow, cmp::Ordering};

use super::{EvalError, Value, ast::Operator, eval::failed};
use crate::json::Number;

/// A number of any origin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Num<'a> {
    Int(i64),
    Uint(u64),
    Double(f64),
    /// An integer beyond 64 bits.
    Text(&'a str),
}

impl<'a> Num<'a> {
    #[inline]
    pub(super) fn of(value: &'a Value<'_>) -> Option<Self> {
        match value {
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Uint(value) => Some(Self::Uint(*value)),
            Value::Double(value) => Some(Self::Double(*value)),
            Value::Json(json) => json.as_number().map(|number| match number {
                Number::Int(value) => Self::Int(value),
                Number::Uint(value) => Self::Uint(value),
                Number::Double(value) => Self::Double(value),
                Number::Text(text) => Self::Text(text),
            }),
            // Arithmetic with a fraction is that of doubles; an integer beyond 64 bits has none.
            Value::Number(text) if text.contains(['.', 'e', 'E']) => text.parse().ok().map(Self::Double),
            Value::Number(text) => Some(Self::Text(text)),
            _ => None,
        }
    }

    pub(super) fn is_zero(self) -> bool {
        match self {
            Self::Int(value) => value == 0,
            Self::Uint(value) => value == 0,
            Self::Double(value) => value == 0.0,
            Self::Text(_) => false,
        }
    }

    /// As an index of a list: a whole number that is not negative.
    pub(super) fn index(self) -> Option<usize> {
        match self {
            Self::Int(value) => usize::try_from(value).ok(),
            Self::Uint(value) => usize::try_from(value).ok(),
            Self::Double(value) => {
                (value.fract() == 0.0 && (0.0..4_294_967_296.0).contains(&value)).then_some(value as usize)
            }
            Self::Text(_) => None,
        }
    }

    fn integer(self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(value)),
            Self::Uint(value) => Some(i128::from(value)),
            Self::Double(_) | Self::Text(_) => None,
        }
    }

    fn double(self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(value as f64),
            Self::Uint(value) => Some(value as f64),
            Self::Double(value) => Some(value),
            Self::Text(_) => None,
        }
    }

    /// How two numbers compare, exactly. None for NaN, and for integers beyond 64 bits unless they
    /// are the same text.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b),
            (Self::Text(a), Self::Text(b)) => (a == b).then_some(Ordering::Equal),
            (Self::Double(a), b) => b.integer().and_then(|b| with_double(b, a)).map(Ordering::reverse),
            (a, Self::Double(b)) => a.integer().and_then(|a| with_double(a, b)),
            (a, b) => Some(a.integer()?.cmp(&b.integer()?)),
        }
    }
}

fn with_double(integer: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Both lie within i128 or the cast saturates, which keeps the order.
    let whole = double.trunc() as i128;
    Some(integer.cmp(&whole).then_with(|| 0.0.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal)))
}

/// `+ - * / %` of two numbers.
pub(super) fn compute(operator: Operator, a: Num<'_>, b: Num<'_>) -> Result<Value<'static>, EvalError> {
    use Operator::{Add, Divide, Multiply, Remainder, Subtract};
    if let (Num::Text(_), _) | (_, Num::Text(_)) = (a, b) {
        return Err(failed("there is no arithmetic with integers beyond 64 bits"));
    }
    let kinds = (a, b);
    if let (Some(a), Some(b)) = (a.integer(), b.integer()) {
        if matches!(operator, Divide | Remainder) && b == 0 {
            return Err(failed(if operator == Divide {
                "division by zero"
            } else {
                "remainder of a division by zero"
            }));
        }
        // Operands have at most 64 bits, so nothing of this overflows 128.
        let exact = match operator {
            Add => a + b,
            Subtract => a - b,
            Multiply => a * b,
            Divide => a / b,
            Remainder => a % b,
            _ => return Err(failed("the operator is not arithmetic")),
        };
        return match kinds {
            (Num::Int(_), Num::Int(_)) => i64::try_from(exact).map(Value::Int),
            (Num::Uint(_), Num::Uint(_)) => u64::try_from(exact).map(Value::Uint),
            _ => i64::try_from(exact).map(Value::Int).or_else(|_| u64::try_from(exact).map(Value::Uint)),
        }
        .map_err(|_| overflow());
    }
    let (Some(a), Some(b)) = (a.double(), b.double()) else {
        return Err(failed("there is no arithmetic with integers beyond 64 bits"));
    };
    Ok(Value::Double(match operator {
        Add => a + b,
        Subtract => a - b,
        Multiply => a * b,
        Divide => a / b,
        _ => return Err(failed("`%` needs integers")),
    }))
}

fn overflow() -> EvalError {
    EvalError::Failed(Cow::Borrowed("the result of an integer operation is beyond 64 bits"))
}

/// `-x`
pub(super) fn negate(value: Num<'_>) -> Result<Value<'static>, EvalError> {
    match value {
        Num::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(overflow),
        Num::Uint(_) => Err(failed("`-` needs an int or a double, and this is a uint")),
        Num::Double(value) => Ok(Value::Double(-value)),
        Num::Text(_) => Err(failed("there is no arithmetic with integers beyond 64 bits")),
    }
}
