//! One JSON document model: an index over the received bytes.
//!
//! Nothing is copied when a document is read: a node knows where it starts and ends, so whatever no
//! expression touches is written out byte for byte, numbers included. Duplicate keys, invalid UTF-8
//! and deep nesting are refused when the document is parsed, not when it is read. There is no way to
//! change a document, and no conversion to a tree of owned values.

mod iter;
mod lookup;
mod number;
mod parse;
mod string;
mod tape;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use bytestring::ByteString;

pub use iter::{Items, Members};
pub use number::Number;
pub use parse::{MAX_BYTES, MAX_DEPTH};
pub use string::{write_escaped, write_string};
use tape::{Tag, Tape};

/// A parsed document: the received bytes and an index over them.
pub struct Document {
    /// Checked to be UTF-8 once, so that no reader checks it again.
    text: ByteString,
    tape: Tape,
}

/// A value inside a [`Document`], as cheap to copy as a reference.
#[derive(Clone, Copy)]
pub struct Ref<'a> {
    document: &'a Document,
    node: u32,
}

/// What a [`Ref`] points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// Any number; its text is kept.
    Number,
    /// A string.
    String,
    /// A list.
    List,
    /// A map.
    Map,
}

/// Why bytes are not an acceptable document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset of the first offence.
    pub offset: usize,
    /// What it is, in our own words; never quotes the document.
    pub reason: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)
    }
}

// === impl Document ===

impl Document {
    /// Reads a whole document (RFC 8259). Empty input is an error; callers treat it as null first.
    pub fn parse(bytes: Bytes) -> Result<Self, JsonError> {
        let (text, tape) = parse::parse(bytes)?;
        Ok(Self { text, tape })
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Ref<'_> {
        Ref { document: self, node: 0 }
    }

    /// The bytes it was read from.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.text.as_bytes()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("bytes", &self.text.len()).finish()
    }
}

// === impl Ref ===

impl<'a> Ref<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.tag() {
            Tag::Null => Kind::Null,
            Tag::True | Tag::False => Kind::Bool,
            Tag::Integer | Tag::Fraction => Kind::Number,
            Tag::Plain | Tag::Escaped => Kind::String,
            Tag::List => Kind::List,
            Tag::Map => Kind::Map,
        }
    }

    /// The bytes of this value exactly as received.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.text().as_bytes()
    }

    /// Where it starts in its document: tells it from every value beside it.
    #[must_use]
    pub fn offset(self) -> usize {
        self.document.tape.span(self.node).0
    }

    /// The text of this value exactly as received.
    #[must_use]
    #[inline]
    pub fn text(self) -> &'a str {
        let (_, start, end) = self.document.tape.entry(self.node);
        self.document.text.get(start..end).unwrap_or_default()
    }

    /// The element of a list.
    #[must_use]
    pub fn at(self, index: usize) -> Option<Self> {
        if index >= self.len() { None } else { self.items().nth(index) }
    }

    /// Elements of a list or members of a map; 0 for anything else.
    #[must_use]
    pub fn len(self) -> usize {
        if matches!(self.tag(), Tag::List | Tag::Map) { self.document.tape.count(self.node) } else { 0 }
    }

    /// Members of a map; nothing for anything else.
    #[must_use]
    #[inline]
    pub fn map_len(self) -> Option<usize> {
        (self.tag() == Tag::Map).then(|| self.document.tape.count(self.node))
    }

    /// Whether [`Ref::len`] is 0.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.tag() == Tag::Null
    }

    /// The boolean.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.tag() {
            Tag::True => Some(true),
            Tag::False => Some(false),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub fn as_number(self) -> Option<Number<'a>> {
        match self.tag() {
            Tag::Integer => Some(number::integer(self.text())),
            Tag::Fraction => number::fraction(self.text()),
            _ => None,
        }
    }

    /// The string, unescaped; borrowed when it has no escapes.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        match self.tag() {
            Tag::Plain => Some(Cow::Borrowed(self.inner())),
            Tag::Escaped => Some(Cow::Owned(string::unescape(self.inner()))),
            _ => None,
        }
    }

    /// What is between the quotes of a string that has no escapes: what most comparisons need.
    #[must_use]
    #[inline]
    pub fn plain_str(self) -> Option<&'a str> {
        (self.tag() == Tag::Plain).then(|| self.inner())
    }

    /// How many bytes must be looked at and copied to read it as a string: none unless it has escapes.
    #[must_use]
    #[inline]
    pub fn decoding(self) -> usize {
        if self.tag() == Tag::Escaped { self.raw().len() * 2 } else { 0 }
    }

    /// The elements of a list; nothing for anything else.
    pub fn items(self) -> Items<'a> {
        Items::new(self)
    }

    /// The members of a map in their order; nothing for anything else.
    pub fn members(self) -> Members<'a> {
        Members::new(self)
    }

    #[inline]
    fn inner(self) -> &'a str {
        let (_, start, end) = self.document.tape.entry(self.node);
        self.document.text.get(start + 1..end - 1).unwrap_or_default()
    }

    #[inline]
    fn tag(self) -> Tag {
        self.document.tape.tag(self.node)
    }
}

impl fmt::Debug for Ref<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ref").field("kind", &self.kind()).field("bytes", &self.raw().len()).finish()
    }
}
