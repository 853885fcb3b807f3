//! A scalar's text → its literal parts and its `${…}`.

use super::literal;

/// A piece of a scalar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Literal text, `$${` already undone.
    Literal(String),
    /// The text between `${` and `}`.
    Expression {
        /// Byte offset of the source in the scalar.
        offset: usize,
        /// The source as it stands there.
        source: String,
    },
}

/// A `${` without its `}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitError {
    /// Byte offset of the `${`.
    pub offset: usize,
}

/// Splits a scalar. One that is exactly one `${…}`, white space around it aside, gives that
/// expression alone; one without any gives at most one literal.
pub fn split(text: &str) -> Result<Vec<Piece>, SplitError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        literal.push_str(&text[at..at + found]);
        at += found;
        let rest = &text[at..];
        if rest.starts_with("$${") {
            literal.push_str("${");
            at += 3;
        } else if let Some(source) = rest.strip_prefix("${") {
            let length = expression_length(source).ok_or(SplitError { offset: at })?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Expression { offset: at + 2, source: source[..length].to_owned() });
            at += length + 3;
        } else {
            literal.push('$');
            at += 1;
        }
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    let blank = |piece: &Piece| matches!(piece, Piece::Literal(text) if text.trim().is_empty());
    let expressions = pieces.iter().filter(|piece| matches!(piece, Piece::Expression { .. })).count();
    if expressions == 1 && pieces.iter().filter(|piece| blank(piece)).count() + 1 == pieces.len() {
        pieces.retain(|piece| !blank(piece));
    }
    Ok(pieces)
}

/// How far the closing brace is, strings, comments and nested braces respected.
fn expression_length(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    let (mut at, mut depth) = (0usize, 0usize);
    let mut in_word = false;
    while let Some(byte) = bytes.get(at) {
        // The prefix of a string is one only where a word begins.
        let prefix = if in_word { None } else { literal::string_prefix(&source[at..]) };
        in_word = byte.is_ascii_alphanumeric() || *byte == b'_';
        match byte {
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'{' => depth += 1,
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += source[at..].find('\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' | b'\'' => {
                at += string_length(&source[at..], false)?;
                continue;
            }
            _ => {
                if let Some(prefix) = prefix {
                    let raw = source[at..at + prefix].contains(['r', 'R']);
                    at += prefix + string_length(&source[at + prefix..], raw)?;
                    in_word = false;
                    continue;
                }
                if !byte.is_ascii() {
                    at += source[at..].chars().next().map_or(1, char::len_utf8);
                    continue;
                }
            }
        }
        at += 1;
    }
    None
}

/// How long the string literal is that begins here with its quote. One that breaks off at the end of
/// its line ends there: what is wrong with it is for the parser to say.
fn string_length(source: &str, raw: bool) -> Option<usize> {
    let quote = literal::opening_quote(source);
    let bytes = source.as_bytes();
    let mut at = quote.len();
    while at < bytes.len() {
        if bytes[at..].starts_with(quote.as_bytes()) {
            return Some(at + quote.len());
        }
        match bytes[at] {
            b'\\' if !raw => at += 2,
            b'\n' if quote.len() == 1 => return Some(at),
            _ => at += 1,
        }
    }
    None
}
