//! Points and spans of time: their text (RFC 3339, `3.5s`), their range, their arithmetic.
//!
//! A point lies in the years 1 to 9999; a span has at most 2^63 nanoseconds, as in the reference
//! implementation of CEL.

use std::{borrow::Cow, fmt::Write};

use super::{
    EvalError, Value,
    ast::Operator,
    calendar::{date, days_in, days_to},
};

const NANOS: i128 = 1_000_000_000;
/// 0001-01-01T00:00:00Z
const FIRST: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z
const LAST: i64 = 253_402_300_799;

/// The point so many nanoseconds after 1970-01-01T00:00:00Z, if it is in range.
fn point(nanos: i128) -> Option<Value<'static>> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
    (FIRST..=LAST).contains(&seconds).then(|| Value::Timestamp(seconds, nanos.rem_euclid(NANOS) as u32))
}

/// The span of so many nanoseconds, if it is in range.
fn span(nanos: i128) -> Option<Value<'static>> {
    i64::try_from(nanos).ok()?;
    Some(Value::Duration((nanos / NANOS) as i64, (nanos % NANOS) as i32))
}

/// A point by whole seconds.
pub(super) fn from_seconds(seconds: i64) -> Option<Value<'static>> {
    point(i128::from(seconds) * NANOS)
}

/// `+` and `-` where a point or a span takes part; `None` for anything else.
pub(super) fn compute(
    operator: Operator,
    a: &Value<'_>,
    b: &Value<'_>,
) -> Option<Result<Value<'static>, EvalError>> {
    use Value::{Duration, Timestamp};
    let of_point = |seconds: i64, nanos: u32| i128::from(seconds) * NANOS + i128::from(nanos);
    let of_span = |seconds: i64, nanos: i32| i128::from(seconds) * NANOS + i128::from(nanos);
    let result = match (operator, a, b) {
        (Operator::Add, Timestamp(s, n), Duration(t, m))
        | (Operator::Add, Duration(t, m), Timestamp(s, n)) => point(of_point(*s, *n) + of_span(*t, *m)),
        (Operator::Subtract, Timestamp(s, n), Duration(t, m)) => point(of_point(*s, *n) - of_span(*t, *m)),
        (Operator::Subtract, Timestamp(s, n), Timestamp(t, m)) => span(of_point(*s, *n) - of_point(*t, *m)),
        (Operator::Add, Duration(s, n), Duration(t, m)) => span(of_span(*s, *n) + of_span(*t, *m)),
        (Operator::Subtract, Duration(s, n), Duration(t, m)) => span(of_span(*s, *n) - of_span(*t, *m)),
        _ => return None,
    };
    let out_of_range = EvalError::Failed(Cow::Borrowed("the result is out of the range of time"));
    Some(result.ok_or(out_of_range))
}

/// Reads RFC 3339: a `T`, and `Z` or an offset.
pub(super) fn parse_timestamp(text: &str) -> Option<Value<'static>> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let bytes = text.as_bytes();
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0;
    if is(at, b".") {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        nanos = number(at + 1, at + 1 + digits)? * 10i64.pow(9 - digits as u32);
        at += 1 + digits;
    }
    let offset = match text.get(at..)? {
        "Z" | "z" => 0,
        rest => offset(rest, true)?,
    };
    let seconds =
        days_to(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - i64::from(offset);
    point(i128::from(seconds) * NANOS + i128::from(nanos))
}

/// Reads an offset such as `+02:00` in seconds; without its sign unless that is required.
pub(super) fn offset(text: &str, signed: bool) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ if signed => return None,
        _ => (1, text),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two = |digits: &str| {
        let is_two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_two { digits.parse::<i32>().ok() } else { None }
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Reads a span such as `1h30m`, `-2.5s`, `300ms`: decimal numbers with units of h, m, s, ms, us, ns.
pub(super) fn parse_duration(text: &str) -> Option<Value<'static>> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return span(0);
    }
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let digits = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit: i128 = match &after[..digits] {
            "h" => 3_600 * NANOS,
            "m" => 60 * NANOS,
            "s" => NANOS,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        rest = &after[digits..];
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(i128::from(whole) * unit)?;
        // What is below a nanosecond is cut off.
        let fraction = &fraction[..fraction.len().min(15)];
        if !fraction.is_empty() {
            total += fraction.parse::<i128>().ok()? * unit / 10i128.pow(fraction.len() as u32);
        }
    }
    span(if negative { -total } else { total })
}

/// Writes a point in time as RFC 3339 in UTC; the fraction without trailing zeros.
pub(super) fn write_timestamp(seconds: i64, nanos: u32, out: &mut String) {
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let rest = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    // Writing to a String cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    write_fraction(nanos, out);
    out.push('Z');
}

/// Writes a span of time in seconds; the fraction without trailing zeros.
pub(super) fn write_duration(seconds: i64, nanos: i32, out: &mut String) {
    if seconds < 0 || nanos < 0 {
        out.push('-');
    }
    let _ = write!(out, "{}", seconds.unsigned_abs());
    write_fraction(nanos.unsigned_abs(), out);
    out.push('s');
}

fn write_fraction(nanos: u32, out: &mut String) {
    if nanos > 0 {
        let digits = format!("{nanos:09}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}
