//! What a number's text means to arithmetic. The text itself is always kept.

/// A number of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number<'a> {
    /// An integer within int64.
    Int(i64),
    /// An integer above int64 and within uint64.
    Uint(u64),
    /// An integer beyond both, as its text: it can be forwarded and compared, not computed with.
    Text(&'a str),
    /// Anything with a fraction or an exponent. Infinite when it is beyond float64.
    Double(f64),
}

/// Powers of ten that a double holds exactly, as many as [`fraction`] needs.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The text is one that the parser accepted as a number without fraction and exponent.
pub(super) fn integer(text: &str) -> Number<'_> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    // 19 digits never overflow u64; 20 may.
    let value = if digits.len() <= 19 {
        Some(digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    } else if digits.len() == 20 {
        digits.iter().try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
    } else {
        None
    };
    let number = match (value, negative) {
        (Some(value), false) => Some(i64::try_from(value).map_or(Number::Uint(value), Number::Int)),
        (Some(value), true) => 0i64.checked_sub_unsigned(value).map(Number::Int),
        (None, _) => None,
    };
    number.unwrap_or(Number::Text(text))
}

/// The text is one that the parser accepted as a number with a fraction or an exponent.
pub(super) fn fraction(text: &str) -> Option<Number<'_>> {
    match short(text) {
        Some(value) => Some(Number::Double(value)),
        None => text.parse().ok().map(Number::Double),
    }
}

/// A price and the like: up to 15 digits and no exponent. The digits and the power of ten are both exact
/// doubles, so that dividing them rounds once and as it should (W. D. Clinger, "How to read floating point
/// numbers accurately", 1990).
fn short(text: &str) -> Option<f64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    if digits.len() > 16 {
        return None;
    }
    let (mut value, mut after) = (0u64, None);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte - b'0');
                after = after.map(|count: usize| count + 1);
            }
            b'.' => after = Some(0),
            _ => return None,
        }
    }
    let value = value as f64 / POWERS.get(after?)?;
    Some(if negative { -value } else { value })
}
