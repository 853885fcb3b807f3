//! The canonical path: one form, computed once, used for matching, policies and forwarding.
//!
//! RFC 3986 §6.2.2: unreserved characters are decoded, dot segments resolved (`..` above the root is
//! dropped), other percent-encodings stay as spelt, empty segments stay. What no path may hold but user
//! agents send as it is, such as `|`, is percent-encoded. What servers disagree about is refused: an encoded
//! `/`, `\` or NUL, a raw `\`, a bad percent, raw non-ASCII and controls.

use std::borrow::Cow;

/// Gives the canonical form of a path that starts with `/`, or says why there is none.
pub fn canonical(path: &str) -> Result<Cow<'_, str>, &'static str> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err("the path does not start with `/`");
    }
    let mut plain = true;
    let mut previous = 0;
    for byte in bytes {
        match byte {
            b'\\' => return Err("the path has a backslash"),
            0..=0x20 | 0x7f.. => return Err("the path has a character that must be percent-encoded"),
            b'%' => plain = false,
            byte if is_stray(*byte) => plain = false,
            // Only a segment that begins with a dot can be a dot segment.
            b'.' if previous == b'/' => plain = false,
            _ => {}
        }
        previous = *byte;
    }
    if plain {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode_unreserved(bytes)?;
    Ok(Cow::Owned(resolve_dots(&decoded)))
}

/// What of a query goes on: as it came, but for characters that no query holds and user agents send as they are
/// (RFC 3986 §3.4), which are percent-encoded. Percents stay as they are: many clients send bare ones, and
/// nothing is matched by a query that was decoded differently behind us.
pub fn canonical_query(query: &str) -> Result<Cow<'_, str>, &'static str> {
    let mut strays = 0;
    for byte in query.bytes() {
        match byte {
            0..=0x20 | 0x7f.. => return Err("the query has a character that must be percent-encoded"),
            byte => strays += usize::from(is_stray(byte) || byte == b'\\'),
        }
    }
    if strays == 0 {
        return Ok(Cow::Borrowed(query));
    }
    let mut out = String::with_capacity(query.len() + 2 * strays);
    for byte in query.bytes() {
        if is_stray(byte) || byte == b'\\' { encode(&mut out, byte) } else { out.push(char::from(byte)) }
    }
    Ok(Cow::Owned(out))
}

fn encode(out: &mut String, byte: u8) {
    let digit = |digit: u8| char::from(b"0123456789ABCDEF"[usize::from(digit)]);
    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

/// Neither of RFC 3986 §3.3 nor refused.
const fn is_stray(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}')
}

fn decode_unreserved(bytes: &[u8]) -> Result<String, &'static str> {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            if is_stray(*first) {
                encode(&mut out, *first);
            } else {
                out.push(char::from(*first));
            }
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else { return Err("the path has a bad percent-encoding") };
        let (Some(high_digit), Some(low_digit)) = (hex(*high), hex(*low)) else {
            return Err("the path has a bad percent-encoding");
        };
        match high_digit << 4 | low_digit {
            b'/' | b'\\' | 0 => return Err("the path has an encoded slash, backslash or NUL"),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            _ => out.extend(['%', char::from(*high), char::from(*low)]),
        }
        rest = tail;
    }
    Ok(out)
}

/// Resolves `.` and `..`; `..` above the root is dropped.
pub(super) fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A dot segment at the end leaves the slash before it.
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in kept {
        out.push('/');
        out.push_str(segment);
    }
    out
}

/// A hexadecimal digit's value.
pub(super) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
