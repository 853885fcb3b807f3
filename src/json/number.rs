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

/// The text is one that the parser accepted as a number without fraction and exponent.
pub(super) fn integer(text: &[u8]) -> Option<Number<'_>> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
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
    match number {
        None => std::str::from_utf8(text).ok().map(Number::Text),
        some => some,
    }
}

/// The text is one that the parser accepted as a number with a fraction or an exponent.
pub(super) fn fraction(text: &[u8]) -> Option<Number<'_>> {
    std::str::from_utf8(text).ok()?.parse().ok().map(Number::Double)
}
