//! Where findings go while compiling, with the bounds that keep any tree within seconds and memory.

use std::{collections::HashSet, sync::Arc};

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, Severity, nearest};

/// Findings of one document beyond this many say nothing new.
const PER_DOCUMENT: usize = 500;
/// Findings of a tree beyond this many are read by nobody.
const PER_TREE: usize = 20_000;
/// What "did you mean" may cost over a whole tree: a name looked at is 1, a name compared 32.
const EFFORT: usize = 5_000_000;

/// The findings of a tree so far.
pub(super) struct Findings {
    diagnostics: Diagnostics,
    /// Where the front end found an error: what is wrong there follows from it.
    known: HashSet<(Arc<str>, u32, u32)>,
    document: [usize; 2],
    tree: [usize; 2],
    effort: usize,
}

impl Findings {
    pub(super) fn new(diagnostics: Diagnostics) -> Self {
        let errors = diagnostics.items().iter().filter(|finding| finding.severity == Severity::Error);
        let known = errors.map(|finding| position(&finding.place)).collect();
        Self { diagnostics, known, document: [0; 2], tree: [0; 2], effort: EFFORT }
    }

    /// Another document starts: its findings are counted anew.
    pub(super) const fn next_document(&mut self) {
        self.document = [0; 2];
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if self.known.contains(&position(&diagnostic.place)) {
            return;
        }
        // Counted per severity, so that warnings never displace an error.
        let kind = usize::from(diagnostic.severity == Severity::Warning);
        if self.document[kind] < PER_DOCUMENT && self.tree[kind] < PER_TREE {
            self.document[kind] += 1;
            self.tree[kind] += 1;
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether no other error of this document would be kept, so that none need be looked for.
    pub(super) const fn is_full(&self) -> bool {
        self.document[0] >= PER_DOCUMENT || self.tree[0] >= PER_TREE
    }

    /// A finding without help.
    pub(super) fn error(&mut self, code: Code, place: &Place, message: impl Into<String>) {
        self.push(Diagnostic::new(code, place.clone(), message));
    }

    /// A finding that says what to do.
    pub(super) fn advise(
        &mut self,
        code: Code,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::new(code, place.clone(), message).help(help));
    }

    /// "did you mean", while comparing is affordable: a tree full of wrong names is not compared in full.
    pub(super) fn nearest<'a>(
        &mut self,
        wrong: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Option<String> {
        let like = |name: &&str| name.len().abs_diff(wrong.len()) <= wrong.len() / 3 + 1;
        let left = &mut self.effort;
        let near = known.into_iter().take_while(|name| {
            *left = left.saturating_sub(if like(name) { 32 } else { 1 });
            *left > 0
        });
        nearest(wrong, near.filter(like)).map(|name| format!("did you mean `{name}`?"))
    }

    /// Whether something stops the tree already.
    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.has_errors()
    }

    pub(super) fn finish(mut self) -> Diagnostics {
        self.diagnostics.finish();
        self.diagnostics
    }
}

fn position(place: &Place) -> (Arc<str>, u32, u32) {
    (Arc::clone(&place.file), place.line, place.column)
}
