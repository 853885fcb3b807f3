//! Bytes → index, in one pass and without recursion.
//!
//! UTF-8 is checked first over the whole input, which is fast for ASCII and lets the rest look for
//! ASCII bytes only. What the parser must remember of an open container stands in the index itself,
//! so nesting costs no stack and no second allocation.

use std::{borrow::Cow, collections::HashSet, str::Utf8Error};

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    JsonError,
    string::{self, hex4},
    tape::{Tag, Tape},
};
use crate::background;

/// The deepest nesting a document may have.
pub const MAX_DEPTH: usize = 128;

/// The largest document that the index can describe.
pub const MAX_BYTES: usize = (1 << 28) - 1;

/// The most values and keys of a document, lists and maps counted twice: the index takes 8 bytes for each.
pub const MAX_NODES: usize = 1 << 23;

/// Why a document is refused that has more of them than it may.
pub const TOO_MANY_VALUES: &str = "the document has too many values";

/// Maps up to this many members compare keys as they come; larger ones are checked at their end.
const FEW: u32 = 24;

/// The note of a map whose keys are checked at its end.
const LATER: u32 = u32::MAX;

const NO_PARENT: u32 = u32::MAX;

pub(super) fn parse(bytes: Bytes, nodes: usize) -> Result<(ByteString, Tape), JsonError> {
    if bytes.len() > MAX_BYTES {
        return Err(JsonError { offset: MAX_BYTES, reason: "the document is too large" });
    }
    let text = ByteString::try_from(bytes).map_err(|error: Utf8Error| JsonError {
        offset: error.valid_up_to(),
        reason: "the text is not valid UTF-8",
    })?;
    let mut parser = Parser {
        bytes: text.as_bytes(),
        at: 0,
        tape: Tape::for_bytes(text.len(), nodes),
        nodes: nodes as u32,
        breath: BREATH,
    };
    parser.document()?;
    let tape = parser.tape;
    Ok((text, tape))
}

/// Bytes after which a thread behind the workers looks whether one of them waits.
const BREATH: usize = 2 * 1024;

struct Parser<'b> {
    bytes: &'b [u8],
    at: usize,
    tape: Tape,
    /// How many entries the index may have.
    nodes: u32,
    /// Where others are let go first next.
    breath: usize,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<(), JsonError> {
        // The open container: its entry, its tag, how many elements it has so far.
        let (mut node, mut in_map, mut count) = (NO_PARENT, false, 0u32);
        let mut depth = 0usize;
        loop {
            let start = self.at;
            if start >= self.breath {
                self.breath = start + BREATH;
                background::pause();
            }
            if self.tape.end() > self.nodes {
                return self.fail(TOO_MANY_VALUES);
            }
            match self.skip_space() {
                b'"' => self.string()?,
                open @ (b'{' | b'[') => {
                    if depth == MAX_DEPTH {
                        return self.fail("the nesting is too deep");
                    }
                    depth += 1;
                    let is_map = open == b'{';
                    node = self.tape.open(if is_map { Tag::Map } else { Tag::List }, self.at, node, count);
                    (in_map, count) = (is_map, 0);
                    self.at += 1;
                    let close = if is_map { b'}' } else { b']' };
                    if self.skip_space() != close {
                        if is_map {
                            self.key(node, 0)?;
                        }
                        continue;
                    }
                    self.at += 1;
                    depth -= 1;
                    (node, count) = self.tape.close(node, self.at, 0);
                    in_map = node != NO_PARENT && self.tape.tag(node) == Tag::Map;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word(b"true", Tag::True)?,
                b'f' => self.word(b"false", Tag::False)?,
                b'n' => self.word(b"null", Tag::Null)?,
                _ if start == 0 && self.at == self.bytes.len() => return self.fail("the document is empty"),
                _ => return self.fail("a value was expected"),
            }
            // A value has ended; so may any number of containers around it.
            loop {
                if node == NO_PARENT {
                    self.skip_space();
                    return if self.at == self.bytes.len() {
                        Ok(())
                    } else {
                        self.fail("there is more after the document")
                    };
                }
                count += 1;
                match (self.skip_space(), in_map) {
                    (b',', true) => {
                        self.at += 1;
                        self.key(node, count)?;
                        break;
                    }
                    (b',', false) => {
                        self.at += 1;
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        if in_map && self.tape.note(node) == LATER {
                            self.check_keys(node, count)?;
                        }
                        self.at += 1;
                        depth -= 1;
                        (node, count) = self.tape.close(node, self.at, count);
                        in_map = node != NO_PARENT && self.tape.tag(node) == Tag::Map;
                    }
                    (_, true) => return self.fail("a comma or a closing brace was expected"),
                    (_, false) => return self.fail("a comma or a closing bracket was expected"),
                }
            }
        }
    }

    /// Moves to the next byte that is no white space and returns it, 0 at the end.
    #[inline]
    fn skip_space(&mut self) -> u8 {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return *byte,
                None => return 0,
            }
        }
    }

    /// Reads a key and its colon. `count` keys of the map stand before it.
    fn key(&mut self, map: u32, count: u32) -> Result<(), JsonError> {
        if self.skip_space() != b'"' {
            return self.fail("a key in quotes was expected");
        }
        let key = self.tape.end();
        self.string()?;
        let note = self.tape.note(map);
        if note != LATER {
            if count >= FEW || self.tape.tag(key) == Tag::Escaped {
                self.tape.set_note(map, LATER);
            } else {
                let bytes = self.bytes;
                let (start, end) = self.tape.span(key);
                let text = &bytes[start + 1..end - 1];
                let bit = 1 << hash(text);
                if note & bit != 0 && self.has_key(map, key, text) {
                    self.at = start;
                    return self.fail("a key stands twice in one map");
                }
                self.tape.set_note(map, note | bit);
            }
        }
        if self.skip_space() != b':' {
            return self.fail("a colon was expected");
        }
        self.at += 1;
        Ok(())
    }

    /// Whether one of the keys before `end` is this text. None of them has escapes.
    fn has_key(&self, map: u32, end: u32, text: &[u8]) -> bool {
        let mut node = map + 2;
        while node < end {
            let (start, close) = self.tape.span(node);
            if &self.bytes[start + 1..close - 1] == text {
                return true;
            }
            node = self.tape.next(node + 1);
        }
        false
    }

    /// Checks the keys of a large map, or of one with escapes, for repetition.
    fn check_keys(&mut self, map: u32, count: u32) -> Result<(), JsonError> {
        let mut seen: HashSet<Cow<'_, str>> = HashSet::with_capacity(count as usize);
        let mut node = map + 2;
        while node < self.tape.end() {
            let (start, close) = self.tape.span(node);
            let text = std::str::from_utf8(&self.bytes[start + 1..close - 1]).unwrap_or_default();
            let escaped = self.tape.tag(node) == Tag::Escaped;
            if !seen.insert(if escaped { Cow::Owned(string::unescape(text)) } else { Cow::Borrowed(text) }) {
                return Err(JsonError { offset: start, reason: "a key stands twice in one map" });
            }
            node = self.tape.next(node + 1);
        }
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        let mut at = string::scan(self.bytes, start + 1);
        let mut tag = Tag::Plain;
        loop {
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    self.tape.scalar(tag, start, at + 1);
                    return Ok(());
                }
                Some(b'\\') => {
                    tag = Tag::Escaped;
                    at = string::scan(self.bytes, self.escape(at)?);
                }
                Some(_) => {
                    self.at = at;
                    return self.fail("a control character in a string must be escaped");
                }
                None => {
                    self.at = at;
                    return self.fail("a string is not closed");
                }
            }
        }
    }

    /// Checks the escape at `at`; gives the position after it.
    fn escape(&mut self, at: usize) -> Result<usize, JsonError> {
        self.at = at;
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => match self.unit(at + 2) {
                Some(0xd800..0xdc00) => {
                    let follows =
                        self.bytes.get(at + 6) == Some(&b'\\') && self.bytes.get(at + 7) == Some(&b'u');
                    match self.unit(at + 8) {
                        Some(0xdc00..0xe000) if follows => Ok(at + 12),
                        _ => self.fail("half of a surrogate pair stands alone"),
                    }
                }
                Some(0xdc00..0xe000) => self.fail("half of a surrogate pair stands alone"),
                Some(_) => Ok(at + 6),
                None => self.fail("an escape needs four hexadecimal digits"),
            },
            _ => self.fail("there is no such escape"),
        }
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().all(u8::is_ascii_hexdigit).then(|| hex4(digits))
    }

    #[inline]
    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.bytes[start] == b'-' {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail("a digit was expected"),
        }
        let mut tag = Tag::Integer;
        if self.bytes.get(self.at) == Some(&b'.') {
            tag = Tag::Fraction;
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            tag = Tag::Fraction;
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        self.tape.scalar(tag, start, self.at);
        Ok(())
    }

    #[inline]
    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.digits();
        if self.at == start { self.fail("a digit was expected") } else { Ok(()) }
    }

    #[inline]
    fn word(&mut self, word: &[u8], tag: Tag) -> Result<(), JsonError> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word) {
            return self.fail("a value was expected");
        }
        self.tape.scalar(tag, self.at, end);
        self.at = end;
        Ok(())
    }

    #[cold]
    fn fail<T>(&self, reason: &'static str) -> Result<T, JsonError> {
        Err(JsonError { offset: self.at, reason })
    }
}

/// Spreads the keys of a small map over 32 bits; equal keys fall on the same. (A map of few keys does not
/// set all, which would be `LATER`.)
#[inline]
fn hash(text: &[u8]) -> u32 {
    let ends = match text {
        [first, .., last] => u32::from(*first) << 8 | u32::from(*last),
        [only] => u32::from(*only),
        [] => 0,
    };
    let middle = text.get(text.len() / 2).copied().map_or(0, u32::from);
    (ends ^ (text.len() as u32) << 16 ^ middle << 20).wrapping_mul(0x9e37_79b1) >> 27
}
