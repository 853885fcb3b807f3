//! The only file that names the YAML crate: text in, a tree with the place of every key and value out.

use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Place};

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

/// The bytes of a node in its file.
#[derive(Clone, Debug)]
pub struct Source {
    /// The whole file.
    pub text: Arc<str>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// What a node holds. YAML 1.2 core schema.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~` or nothing
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as its text.
    Number(String),
    /// Any other scalar, unescaped and unfolded.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map in file order; keys are strings.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// The place of byte `offset` of this scalar's *value*, for every YAML style: plain, quoted with
    /// escapes, folded, literal. `width` is in characters.
    #[must_use]
    pub fn place_at(&self, offset: usize, width: usize) -> Place {
        let _ = (offset, width);
        todo!()
    }
}

/// Reads every document of a file. Syntax errors become findings.
pub fn parse(file: &Arc<str>, text: &Arc<str>, findings: &mut Diagnostics) -> Vec<Node> {
    let _ = (file, text, findings);
    todo!()
}
