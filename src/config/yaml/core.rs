//! What a plain scalar means: the core schema of YAML 1.2, with numbers kept as text.
//!
//! Numbers that JSON writes otherwise are rewritten (`.5`, `+1`, `0x1F`). `.inf` and `.nan` have no JSON
//! at all: they stay numbers with their own text, which no reader of a number accepts.
//! A number with a leading zero stays text, because it is a code (`007`, `01234`) and not a count.

use super::Value;

/// The value of a plain scalar.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN" | ".NAN" => {
            Value::Number(text.to_owned())
        }
        _ => number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

/// The value of a scalar with an explicit tag of the core schema, if the text fits it.
pub(super) fn tagged(text: &str, core: Option<&str>, non_specific: bool) -> Option<Value> {
    if non_specific {
        return Some(Value::Text(text.to_owned()));
    }
    let value = resolve(text);
    match (core?, &value) {
        ("str", _) => Some(Value::Text(text.to_owned())),
        ("null", Value::Null) | ("bool", Value::Bool(_)) | ("float", Value::Number(_)) => Some(value),
        ("int", Value::Number(number)) if !number.contains(['.', 'e', 'E']) => Some(value),
        _ => None,
    }
}

/// The JSON text of a number, the very same where JSON can write it so.
fn number(text: &str) -> Option<String> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        b'0'..=b'9' | b'.' => (false, text),
        _ => return None,
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            let valid = !text.starts_with(['+', '-']) && digits.chars().all(|c| c.is_digit(radix));
            return u128::from_str_radix(digits, radix).ok().filter(|_| valid).map(|n| n.to_string());
        }
    }
    let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &unsigned[whole..];
    let fraction = rest.strip_prefix('.').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let exponent = &rest[fraction.map_or(0, |digits| digits + 1)..];
    if whole + fraction.unwrap_or(0) == 0 || !is_exponent(exponent) || whole > 1 && unsigned.starts_with('0')
    {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let zero = if whole == 0 { "0" } else { "" };
    let digits = &unsigned[..unsigned.len() - exponent.len()];
    let end = if fraction == Some(0) { "0" } else { "" };
    Some(format!("{sign}{zero}{digits}{end}{exponent}"))
}

fn is_exponent(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['e', 'E']) else { return text.is_empty() };
    let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match resolve(text) {
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => format!("bool {flag}"),
            Value::Number(number) => format!("number {number}"),
            Value::Text(text) => format!("text {text}"),
            Value::List(_) | Value::Map(_) => "collection".to_owned(),
        }
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        assert_eq!(["true", "False", "TRUE"].map(shown), ["bool true", "bool false", "bool true"]);
        assert_eq!(["yes", "on", "no", "y"].map(shown), ["text yes", "text on", "text no", "text y"]);
    }

    #[test]
    fn numbers_keep_their_text() {
        for text in
            ["0", "-0", "1.20", "9007199254740993", "1e400", "-1.5E-3", "123456789012345678901234567890"]
        {
            assert_eq!(shown(text), format!("number {text}"));
        }
    }

    #[test]
    fn numbers_that_json_writes_otherwise_are_rewritten() {
        let given = ["+1", ".5", "-.5", "5.", "5.e3", "0x1F", "0o17"];
        let wanted = ["1", "0.5", "-0.5", "5.0", "5.0e3", "31", "15"];
        assert_eq!(given.map(shown), wanted.map(|text| format!("number {text}")));
    }

    #[test]
    fn what_only_looks_like_a_number_is_text() {
        for text in [
            "007",
            "-01",
            "1_000",
            ".infinity",
            "nan",
            "-",
            "+",
            ".",
            "1e",
            "1.2.3",
            "0x",
            "-0x1",
            "12a",
            "2s",
        ] {
            assert_eq!(shown(text), format!("text {text}"));
        }
    }
}
