//! Classes of bytes in HTTP/1 (RFC 9110 §5.6.2, §5.5, RFC 9112 §3.2).

const TOKEN: u8 = 1;
const FIELD: u8 = 2;
const PATH: u8 = 4;
const QUERY: u8 = 8;

/// What a token may have besides letters and digits.
const MARKS: &[u8] = b"!#$%&'*+-.^_`|~";

/// What each byte may be part of.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() {
            class |= TOKEN;
        }
        if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
            class |= FIELD;
        }
        // RFC 3986 and the few more that user agents send unencoded (WHATWG URL); no `#`, no `\`-like
        // judgement here: the canonical path is admission's.
        if matches!(byte, 0x21..=0x7e) && !matches!(byte, b'#' | b'<' | b'>') {
            if !matches!(byte, b'?' | b'`') {
                class |= PATH;
            }
            if byte != b'"' {
                class |= QUERY;
            }
        }
        classes[at] = class;
        at += 1;
    }
    let mut mark = 0;
    while mark < MARKS.len() {
        classes[MARKS[mark] as usize] |= TOKEN;
        mark += 1;
    }
    classes
}

fn is(byte: u8, class: u8) -> bool {
    CLASS[usize::from(byte)] & class != 0
}

fn run(bytes: &[u8], class: u8) -> usize {
    bytes.iter().position(|byte| !is(*byte, class)).unwrap_or(bytes.len())
}

/// `tchar`.
#[must_use]
pub fn is_token(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// What a field's value may have: visible characters, `obs-text`, space and tab.
#[must_use]
pub fn is_field(byte: u8) -> bool {
    is(byte, FIELD)
}

/// How many bytes of a token these begin with.
#[must_use]
pub fn token(bytes: &[u8]) -> usize {
    run(bytes, TOKEN)
}

/// How many bytes of an origin-form target these begin with.
#[must_use]
pub fn origin_form(bytes: &[u8]) -> usize {
    let path = run(bytes, PATH);
    match bytes.get(path) {
        Some(b'?') => path + 1 + run(&bytes[path + 1..], QUERY),
        _ => path,
    }
}

/// How many visible ASCII characters these begin with.
#[must_use]
pub fn visible(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(bytes.len())
}

/// How many bytes of a field's value these begin with. Values are most of a head, and a token most of its value: many
/// bytes at a time, then eight.
#[must_use]
pub fn value(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    // Without an end in between, so that it is one comparison for all of them.
    let plain = blocks.iter().take_while(|block| {
        !block.iter().fold(false, |control, byte| control | (*byte < b' ') | (*byte == 0x7f))
    });
    let at = plain.count() * 32;
    at + short_value(&bytes[at..])
}

fn short_value(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, _) = bytes.as_chunks::<8>();
    let plain = words.iter().take_while(|word| {
        let word = u64::from_ne_bytes(**word);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let delete = (word ^ (ONES * 0x7f)).wrapping_sub(ONES) & !(word ^ (ONES * 0x7f));
        (control | delete) & HIGH == 0
    });
    let at = plain.count() * 8;
    at + run(&bytes[at..], FIELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_at_a_time_is_the_same_as_one_at_a_time() {
        for byte in 0..=255 {
            for at in 0..80 {
                let mut bytes = [b'a'; 80];
                bytes[at] = byte;
                assert_eq!(value(&bytes), run(&bytes, FIELD), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn the_codec_takes_every_target_that_passes() {
        for byte in 0..=255u8 {
            for target in [[b'/', byte, b'a', b'?'], [b'/', b'?', byte, b'a']] {
                if origin_form(&target) == target.len() {
                    let uri = http::Uri::try_from(&target[..]);
                    assert!(uri.is_ok_and(|uri| uri.to_string().as_bytes() == target), "{target:?}");
                }
            }
        }
    }
}
