//! Exact decimal numbers of up to 38 digits: what `sum` and `round` compute with.
//!
//! Money written as `0.1` has no exact double. The text of a JSON number has, and the shortest text of
//! a double is what its author meant.

use std::rc::Rc;

use super::{Value, arithmetic::Num};
use crate::json::Kind;

/// `digits × 10^-scale`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: i128,
    scale: i32,
}

/// 10^38: what has fewer digits is below.
const LIMIT: i128 = 10i128.pow(38);
/// An exponent beyond this cannot be within 38 digits of anything but itself.
const MAX_SCALE: i32 = 400;

impl Decimal {
    pub(super) const ZERO: Self = Self { digits: 0, scale: 0 };

    /// The number, if it is finite and has at most 38 digits.
    pub(super) fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Int(value) => Some(Self { digits: i128::from(*value), scale: 0 }),
            Value::Uint(value) => Some(Self { digits: i128::from(*value), scale: 0 }),
            Value::Number(text) => Self::parse(text),
            Value::Double(value) if value.is_finite() => {
                Self::parse(ryu::Buffer::new().format_finite(*value))
            }
            Value::Json(json) if json.kind() == Kind::Number => {
                Self::parse(std::str::from_utf8(json.raw()).ok()?)
            }
            _ => None,
        }
    }

    /// Reads a JSON number.
    fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let fraction = fraction.trim_end_matches('0');
        let mut digits = 0i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            digits = digits.checked_mul(10)?.checked_add(i128::from(digit.checked_sub(b'0')?))?;
            if digits >= LIMIT {
                return None;
            }
        }
        if digits == 0 {
            return Some(Self::ZERO);
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let decimal = Self { digits: if negative { -digits } else { digits }, scale };
        (scale.abs() <= MAX_SCALE).then(|| decimal.trim())
    }

    /// Without zeros at the end of a fraction.
    fn trim(mut self) -> Self {
        while self.scale > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    /// The same number with this many digits behind the point, which are not fewer than it has.
    fn widen(self, scale: i32) -> Option<i128> {
        if self.digits == 0 {
            return Some(0);
        }
        let by = u32::try_from(scale.checked_sub(self.scale)?).ok()?;
        self.digits.checked_mul(10i128.checked_pow(by)?).filter(|digits| digits.abs() < LIMIT)
    }

    /// The exact sum, if it has at most 38 digits.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let scale = match (self.digits, other.digits) {
            (0, _) => return Some(other),
            (_, 0) => return Some(self),
            _ => self.scale.max(other.scale),
        };
        let digits = self.widen(scale)?.checked_add(other.widen(scale)?)?;
        (digits.abs() < LIMIT).then(|| Self { digits, scale }.trim())
    }

    /// Rounded to this many digits behind the point, a half to the even neighbour.
    pub(super) fn round(self, places: i32) -> Self {
        let Some(by) = self.scale.checked_sub(places).filter(|by| *by > 0) else { return self };
        let Some(unit) = u32::try_from(by).ok().and_then(|by| 10i128.checked_pow(by)) else {
            return Self::ZERO;
        };
        let (quotient, rest) = (self.digits.div_euclid(unit), self.digits.rem_euclid(unit));
        let up = match (rest * 2).cmp(&unit) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => quotient % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        let digits = quotient + i128::from(up);
        if digits == 0 { Self::ZERO } else { Self { digits, scale: places }.trim() }
    }

    /// As a value: an integer where it is one and all operands were, else a double where that holds it
    /// exactly as it would be written, else its text.
    pub(super) fn value(self, integer: bool) -> Value<'static> {
        if integer && let Some(digits) = self.widen(0) {
            let int = i64::try_from(digits).map(Value::Int);
            if let Ok(value) = int.or_else(|_| u64::try_from(digits).map(Value::Uint)) {
                return value;
            }
            return Value::Number(Rc::from(digits.to_string()));
        }
        let text = self.text();
        match text.parse::<f64>().map(Value::Double) {
            Ok(value) if Self::of(&value).is_some_and(|held| held.shortest() == self.shortest()) => value,
            _ => Value::Number(Rc::from(text)),
        }
    }

    /// Without any zeros at the end: the one form that equal numbers share.
    fn shortest(mut self) -> Self {
        while self.digits != 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    fn text(self) -> String {
        if self.scale <= 0 {
            return match self.widen(0) {
                Some(digits) => digits.to_string(),
                None => format!("{}e{}", self.digits, -self.scale),
            };
        }
        let digits = self.digits.unsigned_abs().to_string();
        let scale = self.scale as usize;
        let sign = if self.digits < 0 { "-" } else { "" };
        if scale > 60 {
            return format!("{sign}{digits}e-{scale}");
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        format!("{sign}{whole}.{fraction}")
    }
}

/// Whether a number is an integer of any size.
pub(super) fn is_integer(value: &Value<'_>) -> bool {
    matches!(Num::of(value), Some(Num::Int(_) | Num::Uint(_) | Num::Text(_)))
}
