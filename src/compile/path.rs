//! Path patterns of routes and operations, and the literal text of any path.
//!
//! Literals take the canonical form in which requests are compared: unreserved characters decoded,
//! other percent-encodings in upper case. What could never match, or would climb, is a fault here.

use std::collections::HashSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::plan::{PathPattern, Segment};

/// Everything but unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ENCODED_REST: &AsciiSet = &ENCODED.remove(b'/');

/// No request line that is longer is accepted by default, so a longer pattern is a mistake.
const MAX_BYTES: usize = 8 * 1024;

/// What is wrong with a path, and where in it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) len: usize,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// A piece of an operation's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Capture(Capture),
}

/// `{name}` or `{name...}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capture {
    pub(super) name: String,
    pub(super) rest: bool,
}

/// A route's pattern. The captures are what could be read of them, even if the pattern has faults.
pub(super) fn pattern(text: &str) -> (Result<PathPattern, Vec<Fault>>, Vec<Capture>) {
    let (parsed, mut faults) = parse(text);
    let mut captures = Vec::new();
    let mut segments = Vec::with_capacity(parsed.len());
    for (offset, pieces) in parsed {
        for piece in &pieces {
            if let Piece::Capture(capture) = piece {
                captures.push(capture.clone());
            }
        }
        let mut pieces = pieces.into_iter();
        segments.push(match (pieces.next(), pieces.next()) {
            (None, _) => Segment::Literal(String::new()),
            (Some(Piece::Literal(text)), None) => Segment::Literal(text),
            (Some(Piece::Capture(Capture { name, rest: false })), None) => Segment::Capture(name),
            (Some(Piece::Capture(Capture { name, rest: true })), None) => Segment::Rest(name),
            (Some(_), Some(_)) => {
                faults.push(Fault {
                    offset,
                    len: text[offset..].find('/').unwrap_or(text.len() - offset),
                    message: "a capture is a whole segment".to_owned(),
                    help: Some("write `/{name}/`, and take the value apart in an expression"),
                });
                continue;
            }
        });
    }
    if faults.is_empty() {
        (Ok(PathPattern { text: text.to_owned(), segments }), captures)
    } else {
        (Err(faults), captures)
    }
}

/// An operation's path, slashes among the literals.
pub(super) fn template(text: &str) -> Result<Vec<Piece>, Vec<Fault>> {
    let (parsed, faults) = parse(text);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut all: Vec<Piece> = Vec::new();
    for (_, pieces) in parsed {
        for piece in std::iter::once(Piece::Literal("/".to_owned())).chain(pieces) {
            match (all.last_mut(), piece) {
                (Some(Piece::Literal(before)), Piece::Literal(text)) => before.push_str(&text),
                (_, piece) => all.push(piece),
            }
        }
    }
    Ok(all)
}

/// Segments with their offsets.
fn parse(text: &str) -> (Vec<(usize, Vec<Piece>)>, Vec<Fault>) {
    if text.len() > MAX_BYTES {
        let message = format!("a path has at most {MAX_BYTES} bytes");
        return (Vec::new(), vec![Fault { offset: 0, len: 1, message, help: None }]);
    }
    let mut faults = Vec::new();
    let Some(inner) = text.strip_prefix('/') else {
        return (Vec::new(), vec![no_slash()]);
    };
    let mut names = HashSet::new();
    let mut segments = Vec::new();
    let mut offset = 1;
    for segment in inner.split('/') {
        let pieces = pieces(segment, offset, &mut faults);
        for piece in &pieces {
            let Piece::Capture(Capture { name, rest }) = piece else { continue };
            let fault = if !names.insert(name.clone()) {
                format!("`{name}` is captured twice")
            } else if *rest && (offset + segment.len() < text.len() || pieces.len() > 1) {
                format!("`{{{name}...}}` takes all that is left, so it is the last segment")
            } else {
                continue;
            };
            faults.push(Fault { offset, len: segment.len(), message: fault, help: None });
        }
        segments.push((offset, pieces));
        offset += segment.len() + 1;
    }
    (segments, faults)
}

/// Literals and captures of one segment.
fn pieces(segment: &str, offset: usize, faults: &mut Vec<Fault>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < segment.len() {
        let rest = &segment[at..];
        if let Some(inner) = rest.strip_prefix('{') {
            let Some(end) = inner.find('}') else {
                let message = "a `{` has no closing `}`".to_owned();
                faults.push(Fault { offset: offset + at, len: 1, message, help: None });
                break;
            };
            let name = &inner[..end];
            let (name, is_rest) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
            if is_name(name) {
                pieces.push(Piece::Capture(Capture { name: name.to_owned(), rest: is_rest }));
            } else {
                faults.push(Fault {
                    offset: offset + at,
                    len: end + 2,
                    message: format!("`{{{}}}` is not a capture", &inner[..end]),
                    help: Some("a capture is `{name}` or, as the last segment, `{name...}`"),
                });
            }
            at += end + 2;
        } else {
            let end = rest.find('{').unwrap_or(rest.len());
            match canonical(&rest[..end], true) {
                Ok(text) => pieces.push(Piece::Literal(text)),
                Err(fault) => faults.push(Fault { offset: offset + at + fault.offset, ..fault }),
            }
            at += end;
        }
    }
    if let [Piece::Literal(text)] = pieces.as_slice()
        && is_dots(text)
    {
        faults.push(dots(offset, segment.len()));
    }
    pieces
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// `.` and `..` are resolved before anything is compared.
pub(super) fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

pub(super) fn dots(offset: usize, len: usize) -> Fault {
    Fault {
        offset,
        len,
        message: "`.` and `..` are no segments".to_owned(),
        help: Some("write the path that it resolves to"),
    }
}

pub(super) fn no_slash() -> Fault {
    let message = "a path starts with `/`".to_owned();
    Fault { offset: 0, len: 1, message, help: None }
}

/// Literal text in canonical form. `matched`: it is compared with requests, which cannot hold every encoding.
pub(super) fn canonical(text: &str, matched: bool) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((offset, c)) = chars.next() {
        let fault = |len, message: String, help| Err(Fault { offset, len, message, help });
        match c {
            '%' => {
                let digits = text.get(offset + 1..offset + 3);
                let byte = digits
                    .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let (Some(digits), Some(byte)) = (digits, byte) else {
                    let help = Some("a literal `%` is written `%25`");
                    return fault(1, "a `%` without two hexadecimal digits".to_owned(), help);
                };
                if matched && matches!(byte, b'/' | b'\\' | 0) {
                    return fault(3, format!("no request with `%{digits}` in its path is accepted"), None);
                }
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    out.push(char::from(byte));
                } else {
                    out.push('%');
                    out.push_str(&digits.to_ascii_uppercase());
                }
                chars.nth(1);
            }
            '?' => {
                return fault(1, "a path holds no query".to_owned(), Some("write parameters under `query`"));
            }
            '#' => return fault(1, "a path holds no fragment".to_owned(), None),
            '{' | '}' => {
                let help = "captures such as `{id}` stand in `match.path` and in `operations`; a value is put in by `${ … }`";
                return fault(1, format!("`{c}` does not stand in a path"), Some(help));
            }
            '/' | ':' | '@' | '-' | '.' | '_' | '~' | '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+'
            | ',' | ';' | '=' => out.push(c),
            c if c.is_ascii_alphanumeric() => out.push(c),
            c if c.is_ascii() => {
                let help = "write it percent-encoded";
                return fault(1, format!("{c:?} does not stand in a path"), Some(help));
            }
            c => out.extend(utf8_percent_encode(c.encode_utf8(&mut [0; 4]), ENCODED)),
        }
    }
    Ok(out)
}

/// A value that fills one segment, or all that is left of a path with `rest`. Refused as at request time.
pub(super) fn filled(value: &str, rest: bool) -> Option<String> {
    let refused = if rest { value.split('/').any(is_dots) } else { value.is_empty() || is_dots(value) };
    (!refused).then(|| part(value, rest))
}

/// A part of such a value.
pub(super) fn part(value: &str, rest: bool) -> String {
    utf8_percent_encode(value, if rest { ENCODED_REST } else { ENCODED }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (usize, usize) {
        let (Err(faults), _) = pattern(text) else { panic!("{text} is accepted") };
        (faults[0].offset, faults[0].len)
    }

    #[test]
    fn reads_literals_captures_and_a_rest() {
        let (Ok(pattern), captures) = pattern("/a/{id}/{rest...}") else { panic!() };
        assert_eq!(
            pattern.segments,
            [Segment::Literal("a".into()), Segment::Capture("id".into()), Segment::Rest("rest".into())]
        );
        assert_eq!(captures.iter().map(|capture| capture.rest).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn the_root_and_a_trailing_slash_are_empty_segments() {
        let segments = |text| pattern(text).0.expect("valid").segments;
        assert_eq!(segments("/"), [Segment::Literal(String::new())]);
        assert_eq!(segments("/a/"), [Segment::Literal("a".into()), Segment::Literal(String::new())]);
    }

    #[test]
    fn literals_take_the_form_in_which_requests_are_compared() {
        let segments = |text| pattern(text).0.expect("valid").segments;
        assert_eq!(segments("/%41%7e%20x"), [Segment::Literal("A~%20x".into())]);
        assert_eq!(segments("/straße"), [Segment::Literal("stra%C3%9Fe".into())]);
    }

    #[test]
    fn faults_point_at_the_segment() {
        assert_eq!(fault("a"), (0, 1));
        assert_eq!(fault("/a/x{id}"), (3, 5));
        assert_eq!(fault("/{rest...}/a"), (1, 9));
        assert_eq!(fault("/{a}/{a}"), (5, 3));
        assert_eq!(fault("/a/../b"), (3, 2));
        assert_eq!(fault("/a/%2e"), (3, 3));
        assert_eq!(fault("/a%2Fb"), (2, 3));
        assert_eq!(fault("/a%zz"), (2, 1));
        assert_eq!(fault("/a?b=c"), (2, 1));
        assert_eq!(fault("/{"), (1, 1));
        assert_eq!(fault("/{}"), (1, 2));
        assert_eq!(fault("/a b"), (2, 1));
    }

    #[test]
    fn an_operation_may_capture_a_part_of_a_segment() {
        let id = Piece::Capture(Capture { name: "id".into(), rest: false });
        let literal = |text: &str| Piece::Literal(text.to_owned());
        assert_eq!(template("/a/b/{id}.json").expect("valid"), [literal("/a/b/"), id, literal(".json")]);
    }

    #[test]
    fn a_filled_value_cannot_climb() {
        assert_eq!(filled("a/b", false).as_deref(), Some("a%2Fb"));
        assert_eq!(filled("a b/c", true).as_deref(), Some("a%20b/c"));
        assert_eq!(filled("..", false), None);
        assert_eq!(filled("", false), None);
        assert_eq!(filled("a/../b", true), None);
        assert_eq!(filled("", true).as_deref(), Some(""));
    }
}
