//! Strings: finding their end, undoing escapes, writing them.

/// A byte of ones in every lane of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// The offset of the first quote, backslash or control character in eight bytes, 8 if there is none.
#[inline]
fn special(chunk: [u8; 8]) -> usize {
    let word = u64::from_le_bytes(chunk);
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    // A borrow can only make a false hit above a true one, so the lowest hit is exact.
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let hits = (control | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c))) & HIGHS;
    (hits.trailing_zeros() / 8) as usize
}

/// The first position at or after `at` that holds a quote, a backslash or a control character, or the end.
#[inline]
pub(super) fn scan(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let offset = special(*chunk);
        at += offset;
        if offset < 8 {
            return at;
        }
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

/// Undoes the escapes of a string that the parser accepted.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        // Escapes often stand side by side, so a search is not worth its start.
        let from = at;
        while bytes.get(at).is_some_and(|byte| *byte != b'\\') {
            at += 1;
        }
        out.push_str(text.get(from..at).unwrap_or_default());
        let Some(code) = bytes.get(at + 1) else { return out };
        at += 2;
        match code {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let mut point = hex4(bytes.get(at..).unwrap_or_default());
                at += 4;
                if (0xd800..0xdc00).contains(&point) {
                    let low = hex4(bytes.get(at + 2..).unwrap_or_default());
                    point = 0x10000 + ((point - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                    at += 6;
                }
                out.push(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            other => out.push(char::from(*other)),
        }
    }
}

/// Four hexadecimal digits, 0 if they are not there.
pub(super) fn hex4(bytes: &[u8]) -> u32 {
    let digits = bytes.get(..4).unwrap_or_default();
    digits.iter().fold(0, |sum, digit| sum * 16 + char::from(*digit).to_digit(16).unwrap_or(0))
}

/// Writes a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Writes what stands between the quotes of a JSON string.
pub fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = scan(bytes, from);
        out.extend_from_slice(&bytes[from..at]);
        let Some(byte) = bytes.get(at) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        from = at + 1;
    }
}
