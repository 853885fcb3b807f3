//! `format`: `%s %d %f %e %b %o %x %X %%`, with a precision for `%f` and `%e`.

use std::{borrow::Cow, fmt::Write};

use super::{Evaluated, Machine, Value, argument::elements, argument::text, encode::hex};
use crate::expr::{EvalError, arithmetic::Num, eval::failed};

const MAX_PRECISION: usize = 100;

pub(super) fn format<'a>(
    machine: &mut Machine<'a, '_>,
    pattern: Value<'a>,
    values: Value<'a>,
) -> Evaluated<'a> {
    let pattern = text("format", &pattern)?;
    let mut values = elements(machine, "format", &values)?.into_iter();
    machine.produce(pattern.len())?;
    let mut out = String::with_capacity(pattern.len());
    let mut rest = &*pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let mut precision = None;
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            precision = after[..digits].parse().ok().filter(|precision| *precision <= MAX_PRECISION);
            if precision.is_none() {
                return Err(failed(format!("a precision of `format` is a number up to {MAX_PRECISION}")));
            }
            rest = &after[digits..];
        }
        let Some(clause) = rest.chars().next() else {
            return Err(failed("`format` ends with a `%`; a percent sign is written `%%`"));
        };
        rest = &rest[clause.len_utf8()..];
        let Some(value) = values.next() else {
            return Err(failed("`format` was given fewer values than its text asks for"));
        };
        let start = out.len();
        match (clause, precision) {
            ('s', None) => show(machine, &value, &mut out)?,
            ('d', None) => decimal(&value, &mut out)?,
            ('f' | 'e', precision) => float(clause, precision.unwrap_or(6), &value, &mut out)?,
            ('b' | 'o' | 'x' | 'X', None) => radix(machine, clause, &value, &mut out)?,
            _ => {
                let clause = clause.escape_debug();
                return Err(failed(format!(
                    "`format` does not know `%{clause}`; a percent sign is written `%%`"
                )));
            }
        }
        machine.produce(out.len() - start)?;
    }
    out.push_str(rest);
    Ok(Value::Str(Cow::Owned(out)))
}

#[cold]
fn refuse(clause: char, value: &Value<'_>) -> EvalError {
    failed(format!("`%{clause}` of `format` cannot take {}", value.type_name()))
}

/// The names of the doubles that have no digits.
fn special(value: f64) -> Option<&'static str> {
    match value {
        value if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// Any value, nested ones included; maps in the order of their keys' texts.
fn show<'a>(machine: &mut Machine<'a, '_>, value: &Value<'a>, out: &mut String) -> Result<(), EvalError> {
    if value.is_list() {
        let elements = elements(machine, "format", value)?;
        out.push('[');
        for (index, element) in elements.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            show(machine, element, out)?;
        }
        out.push(']');
        return Ok(());
    }
    if let Some(mut entries) = value.entries()? {
        machine.grow(entries.len())?;
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        out.push('{');
        for (index, (key, value)) in entries.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            machine.produce(key.len())?;
            out.push_str(key);
            out.push_str(": ");
            show(machine, value, out)?;
        }
        out.push('}');
        return Ok(());
    }
    if let Value::Bytes(bytes) = value {
        out.push_str(&String::from_utf8_lossy(bytes));
        return Ok(());
    }
    if value.is_null() {
        out.push_str("null");
        return Ok(());
    }
    if let Some(Num::Double(double)) = Num::of(value)
        && let Some(name) = special(double)
    {
        out.push_str(name);
        return Ok(());
    }
    if value.is_omitted() {
        return Err(refuse('s', value));
    }
    value.text(out)
}

fn decimal(value: &Value<'_>, out: &mut String) -> Result<(), EvalError> {
    match Num::of(value) {
        Some(Num::Double(double)) if special(double).is_some() => {
            out.push_str(special(double).unwrap_or_default());
            Ok(())
        }
        Some(_) => value.text(out),
        None => Err(refuse('d', value)),
    }
}

fn float(clause: char, precision: usize, value: &Value<'_>, out: &mut String) -> Result<(), EvalError> {
    let double = match Num::of(value) {
        Some(Num::Double(double)) => double,
        Some(Num::Int(int)) => int as f64,
        Some(Num::Uint(uint)) => uint as f64,
        Some(Num::Text(text)) => text.parse().unwrap_or(f64::NAN),
        None => return Err(refuse(clause, value)),
    };
    if let Some(name) = special(double) {
        out.push_str(name);
        return Ok(());
    }
    if clause == 'f' {
        // Writing to a String cannot fail.
        let _ = write!(out, "{double:.precision$}");
        return Ok(());
    }
    let text = format!("{double:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
    Ok(())
}

fn radix<'a>(
    machine: &mut Machine<'a, '_>,
    clause: char,
    value: &Value<'a>,
    out: &mut String,
) -> Result<(), EvalError> {
    let (negative, magnitude) = match (Num::of(value), value.as_bool()) {
        (Some(Num::Int(int)), _) => (int < 0, int.unsigned_abs()),
        (Some(Num::Uint(uint)), _) => (false, uint),
        (None, Some(bool)) if clause == 'b' => (false, u64::from(bool)),
        _ => {
            let text = value.as_str();
            let bytes = match (value.as_bytes(), &text) {
                (Some(bytes), _) => bytes,
                (None, Some(text)) => text.as_bytes(),
                (None, None) => return Err(refuse(clause, value)),
            };
            if !matches!(clause, 'x' | 'X') {
                return Err(refuse(clause, value));
            }
            machine.produce(bytes.len() * 2)?;
            let hex = hex(bytes);
            out.push_str(&if clause == 'X' { hex.to_ascii_uppercase() } else { hex });
            return Ok(());
        }
    };
    if negative {
        out.push('-');
    }
    let _ = match clause {
        'b' => write!(out, "{magnitude:b}"),
        'o' => write!(out, "{magnitude:o}"),
        'x' => write!(out, "{magnitude:x}"),
        _ => write!(out, "{magnitude:X}"),
    };
    Ok(())
}
