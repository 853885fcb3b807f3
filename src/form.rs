//! Parameters of a query or a form, decoded: one reading for matching and for expressions.

use std::borrow::Cow;

/// Name and value of every parameter of `application/x-www-form-urlencoded` text, in order; `+` is a space.
pub fn pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn parameters_are_decoded_in_order() {
        let found: Vec<_> = pairs("a=1&b=x+y%26&&c&=d&a=%C3%A9").collect();
        let expected = [("a", "1"), ("b", "x y&"), ("c", ""), ("", "d"), ("a", "é")];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
