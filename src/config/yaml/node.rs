//! The tree that a document becomes: values with their places and their bytes in the file.

use std::sync::Arc;

use crate::diagnostic::Place;

/// A value and where it stands. Equality ignores the place.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A value of a document with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it starts.
    pub place: Place,
    /// Its bytes in the file, which give the place of any offset inside a scalar.
    pub source: Source,
}

/// The bytes of a node in its file. Those of an alias are its anchor's.
#[derive(Clone, Debug)]
pub struct Source {
    /// The whole file.
    pub text: Arc<str>,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// 1-based line of the first byte.
    pub(super) line: u32,
    /// 1-based column of the first byte.
    pub(super) column: u32,
    /// How a scalar is written.
    pub(super) style: Style,
}

/// How a node is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
    Collection,
}

/// What a node holds. YAML 1.2 core schema.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~` or nothing
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as its text, which is a JSON number unless it is `.inf` or `.nan`.
    Number(String),
    /// Any other scalar, unescaped and unfolded.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map in file order; keys are strings.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// Whether it is a scalar written in quotes or as a block.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        !matches!(self.source.style, Style::Plain | Style::Collection)
    }

    /// An empty text at a place, standing in for one that is missing.
    pub(in crate::config) fn empty_text(place: Place) -> Self {
        let (line, column) = (place.line, place.column);
        let source = Source { text: "".into(), start: 0, end: 0, line, column, style: Style::Collection };
        Self { value: Value::Text(String::new()), place, source }
    }

    /// The value of `key`, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => None,
        }
    }
}
