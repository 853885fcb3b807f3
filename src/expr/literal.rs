//! String and bytes literals: prefixes, quotes, escapes.

/// What a literal holds.
#[derive(Debug, PartialEq)]
pub(super) enum Text {
    Str(String),
    Bytes(Vec<u8>),
}

/// Why a literal is none, relative to its start.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) offset: usize,
    pub(super) len: usize,
    pub(super) message: &'static str,
}

/// How long the `r`, `b`, `rb` or `br` is before the quote with which a literal begins here.
pub(super) fn string_prefix(source: &str) -> Option<usize> {
    let quote = |at: usize| matches!(source.as_bytes().get(at), Some(b'"' | b'\''));
    let letter =
        |at: usize, letter: u8| source.as_bytes().get(at).is_some_and(|b| b.eq_ignore_ascii_case(&letter));
    if (letter(0, b'r') || letter(0, b'b')) && quote(1) {
        return Some(1);
    }
    let two = (letter(0, b'r') && letter(1, b'b')) || (letter(0, b'b') && letter(1, b'r'));
    (two && quote(2)).then_some(2)
}

/// The quote that opens a literal here: one character or three.
pub(super) fn opening_quote(source: &str) -> &str {
    let one = source.get(..1).unwrap_or_default();
    match source.get(..3) {
        Some(three @ ("\"\"\"" | "'''")) => three,
        _ => one,
    }
}

/// Reads the literal at the start of `source`; gives it and its length.
pub(super) fn string(source: &str, prefix: usize) -> Result<(Text, usize), Broken> {
    let raw = source[..prefix].contains(['r', 'R']);
    let as_bytes = source[..prefix].contains(['b', 'B']);
    let quote = opening_quote(&source[prefix..]);
    let multiline = quote.len() == 3;
    let mut out = Vec::new();
    let mut at = prefix + quote.len();
    loop {
        let rest = &source[at..];
        let Some(c) = rest.chars().next() else {
            return Err(Broken { offset: 0, len: prefix + quote.len(), message: "a string is not closed" });
        };
        if rest.starts_with(quote) {
            at += quote.len();
            break;
        }
        match c {
            '\n' | '\r' if !multiline => {
                return Err(Broken {
                    offset: 0,
                    len: at,
                    message: "a string ends with its line; use three quotes",
                });
            }
            '\\' if !raw => {
                let broken = |(len, message)| Broken { offset: at, len, message };
                at += escape(rest, as_bytes, &mut out).map_err(broken)?;
            }
            _ => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                at += c.len_utf8();
            }
        }
    }
    if as_bytes {
        return Ok((Text::Bytes(out), at));
    }
    // Escapes of strings write whole characters, so this holds.
    let text = String::from_utf8(out).map_err(|_| Broken {
        offset: 0,
        len: at,
        message: "the string is not text",
    })?;
    Ok((Text::Str(text), at))
}

/// Writes what the escape at the start of `rest` means; gives its length.
fn escape(rest: &str, as_bytes: bool, out: &mut Vec<u8>) -> Result<usize, (usize, &'static str)> {
    let code = rest.as_bytes().get(1).copied().unwrap_or_default();
    let (digits, radix, from) = match code {
        b'x' | b'X' => (2, 16, 2),
        b'u' => (4, 16, 2),
        b'U' => (8, 16, 2),
        b'0'..=b'3' => (3, 8, 1),
        _ => {
            let byte = match code {
                b'a' => 7,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                b'\\' | b'?' | b'"' | b'\'' | b'`' => code,
                _ => return Err((1, "there is no such escape; write `\\\\` for a backslash")),
            };
            out.push(byte);
            return Ok(2);
        }
    };
    let end = from + digits;
    let text = rest.get(from..end).filter(|text| text.chars().all(|c| c.is_digit(radix)));
    let Some(value) = text.and_then(|text| u32::from_str_radix(text, radix).ok()) else {
        return Err((2, "an escape lacks digits"));
    };
    if as_bytes {
        if matches!(code, b'u' | b'U') {
            return Err((end, "bytes take `\\x` and octal escapes only"));
        }
        out.push(u8::try_from(value).unwrap_or_default());
        return Ok(end);
    }
    let Some(c) = char::from_u32(value) else {
        return Err((end, "the escape names no character"));
    };
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(end)
}
