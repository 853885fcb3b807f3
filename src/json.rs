//! One JSON document model: an index over the received bytes.
//!
//! Nothing is copied when a document is read: a node knows where it starts and ends, so whatever no
//! expression touches is written out byte for byte, numbers included. Duplicate keys, invalid UTF-8
//! and deep nesting are refused when the document is parsed, not when it is read.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

/// The deepest nesting a document may have.
pub const MAX_DEPTH: usize = 128;

/// A parsed document: the received bytes and an index over them.
pub struct Document {
    bytes: Bytes,
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

impl Document {
    /// Reads a whole document (RFC 8259). Empty input is an error; callers treat it as null first.
    pub fn parse(bytes: Bytes) -> Result<Self, JsonError> {
        let _ = bytes;
        todo!()
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Ref<'_> {
        todo!()
    }

    /// The bytes it was read from.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl<'a> Ref<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        let _ = (self.document, self.node);
        todo!()
    }
    /// The bytes of this value exactly as received.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        todo!()
    }
    /// The member of a map.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Ref<'a>> {
        let _ = key;
        todo!()
    }
    /// The element of a list.
    #[must_use]
    pub fn at(self, index: usize) -> Option<Ref<'a>> {
        let _ = index;
        todo!()
    }
    /// Elements of a list or members of a map; 0 for anything else.
    #[must_use]
    pub fn len(self) -> usize {
        todo!()
    }
    /// The string, unescaped; borrowed when it has no escapes.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        todo!()
    }
    /// The elements of a list; nothing for anything else.
    pub fn items(self) -> impl Iterator<Item = Ref<'a>> {
        std::iter::empty()
    }
    /// The members of a map in their order; nothing for anything else.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Ref<'a>)> {
        std::iter::empty()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("bytes", &self.bytes.len()).finish()
    }
}

/// Writes a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    let _ = (text, out);
    todo!()
}
