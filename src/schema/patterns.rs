//! Patterns in schemas: what they take is counted before they are compiled.

use std::sync::Arc;

use regex_automata::{
    nfa::thompson::{Compiler, Config, WhichCaptures},
    util::syntax,
};
use serde_json::Value;

use super::bounds;

/// The largest pattern once it is compiled, in bytes.
pub(super) const LARGEST: usize = 1024 * 1024;
/// A compiled pattern runs forwards, backwards and, where it is small, in one pass: what that takes as a
/// multiple of the automaton that is measured here.
const MACHINES: usize = 4;

/// What a small pattern takes besides, in bytes.
const FIXED: usize = 4096;

/// Takes the room of every pattern in a schema.
pub(super) fn admit(document: &Value, others: &[(String, Arc<Value>)]) -> Result<(), String> {
    let mut pending = vec![document];
    pending.extend(others.iter().map(|(_, document)| &**document));
    while let Some(value) = pending.pop() {
        match value {
            Value::Array(items) => pending.extend(items),
            Value::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("pattern", Value::String(pattern)) => admit_one(pattern)?,
                        ("patternProperties", Value::Object(patterns)) => {
                            patterns.keys().try_for_each(|pattern| admit_one(pattern))?;
                        }
                        _ => {}
                    }
                    pending.push(value);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn admit_one(pattern: &str) -> Result<(), String> {
    let words =
        || Err(format!("all patterns of the tree together are larger than {} MiB", bounds::PATTERNS >> 20));
    if !bounds::has_room_for_patterns() {
        return words();
    }
    if bounds::take_pattern(FIXED + size(pattern) * MACHINES) { Ok(()) } else { words() }
}

/// What a pattern takes. One that cannot be read takes nothing: whoever compiles it refuses it.
fn size(pattern: &str) -> usize {
    let Ok(tree) = syntax::parse_with(pattern, &syntax::Config::new().nest_limit(64)) else {
        return 0;
    };
    let config = Config::new().nfa_size_limit(Some(LARGEST)).which_captures(WhichCaptures::Implicit);
    let nfa = Compiler::new().configure(config).build_from_hir(&tree);
    nfa.map_or(LARGEST, |nfa| nfa.memory_usage())
}
