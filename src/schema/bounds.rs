//! What the patterns and the schemas of one tree may take together, so that no tree of them fills the memory of
//! whoever checks it. What stands in it twice is read and compiled once.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use serde_json::Value;

use super::Schema;

/// What all patterns of a tree may take, in bytes of their automatons.
pub const PATTERNS: usize = 32 * 1024 * 1024;
/// What all schemas of a tree may take, files that were read and what was compiled, in bytes.
pub const SCHEMAS: usize = 48 * 1024 * 1024;
/// What a pattern takes besides its automaton.
const FIXED: usize = 1024;

struct Left {
    patterns: usize,
    schemas: usize,
    /// Files that were read, by path: many routes name the same.
    read: HashMap<String, Arc<Value>>,
    /// What became of schemas, by their texts: many parameters have the same.
    compiled: HashMap<String, Result<Schema, String>>,
}

thread_local! {
    /// What is left while this thread compiles a tree.
    static LEFT: RefCell<Option<Left>> = const { RefCell::new(None) };
}

/// Runs the compilation of a tree, whose patterns and schema files share one bound.
pub fn bounded<T>(compile: impl FnOnce() -> T) -> T {
    let left = Left { patterns: PATTERNS, schemas: SCHEMAS, read: HashMap::new(), compiled: HashMap::new() };
    let around = LEFT.replace(Some(left));
    let result = compile();
    LEFT.set(around);
    result
}

/// Whether there is any room for another pattern.
#[must_use]
pub fn has_room_for_patterns() -> bool {
    LEFT.with_borrow(|left| left.as_ref().is_none_or(|left| left.patterns > 0))
}

/// Takes the room of a pattern's automaton, if there is so much.
#[must_use]
pub fn take_pattern(bytes: usize) -> bool {
    LEFT.with_borrow_mut(|left| left.as_mut().is_none_or(|left| take(&mut left.patterns, bytes + FIXED)))
}

/// Takes the room that a JSON text takes once it is read.
#[must_use]
pub fn take_file(text: &str) -> bool {
    // Once there is none left the text need not be looked at.
    if LEFT.with_borrow(|left| left.as_ref().is_some_and(|left| left.schemas == 0)) {
        return false;
    }
    // A map has a node of its own, whatever is in it; everything else is a value in one.
    let weight = |byte: u8| match byte {
        b'{' => 640,
        b'[' => 64,
        b',' | b':' => 64,
        _ => 1,
    };
    take_schema(text.bytes().map(weight).sum())
}

/// Takes the room of a schema.
#[must_use]
pub fn take_schema(bytes: usize) -> bool {
    LEFT.with_borrow_mut(|left| left.as_mut().is_none_or(|left| take(&mut left.schemas, bytes)))
}

/// What is said when there is no room for a schema.
#[must_use]
pub fn too_many_schemas() -> String {
    format!("all schemas of the tree together take more than {} MiB", SCHEMAS >> 20)
}

/// What became of the same schema before.
#[must_use]
pub fn compiled(text: &str) -> Option<Result<Schema, String>> {
    LEFT.with_borrow(|left| left.as_ref()?.compiled.get(text).cloned())
}

/// Keeps what became of a schema.
pub fn keep_compiled(text: String, schema: &Result<Schema, String>) {
    LEFT.with_borrow_mut(|left| {
        if let Some(left) = left {
            left.compiled.insert(text, schema.clone());
        }
    });
}

/// The file as it was read before.
#[must_use]
pub fn known(path: &str) -> Option<Arc<Value>> {
    LEFT.with_borrow(|left| left.as_ref()?.read.get(path).cloned())
}

/// Keeps a file that was read.
pub fn keep(path: &str, document: &Arc<Value>) {
    LEFT.with_borrow_mut(|left| {
        if let Some(left) = left {
            left.read.insert(path.to_owned(), Arc::clone(document));
        }
    });
}

/// Once it does not suffice there is nothing left: every later one is refused, whatever its size.
fn take(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_one_bound_and_the_next_tree_has_its_own() {
        for _ in 0..2 {
            bounded(|| {
                assert!(take_pattern(PATTERNS - 2 * FIXED));
                assert!(has_room_for_patterns());
                assert!(!take_pattern(1));
                assert!(!has_room_for_patterns());
                assert!(take_file("{}"));
                assert!(!take_file(&"{".repeat(SCHEMAS / 640)));
                assert!(!take_file("{}"));
            });
        }
        assert!(take_pattern(2 * PATTERNS), "outside of a tree there is no bound");
    }
}
