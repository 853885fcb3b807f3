//! What a schema takes once it is compiled: an estimate from what it reaches, itself and by references.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;

/// What a keyword takes, in bytes.
const KEYWORD: usize = 480;

/// The weight of a schema. `others` are the files that it may refer to.
pub(super) fn of(document: &Value, others: &[(String, Arc<Value>)]) -> usize {
    let (mut weight, mut seen) = (KEYWORD, HashSet::new());
    // Each with the document that its references without a file are in.
    let mut pending = vec![(document, document)];
    while let Some((value, within)) = pending.pop() {
        match value {
            Value::Array(items) => pending.extend(items.iter().map(|item| (item, within))),
            Value::Object(members) if seen.insert(std::ptr::from_ref(value)) => {
                weight += KEYWORD * members.len();
                for (name, value) in members {
                    if let ("$ref" | "$dynamicRef", Value::String(target)) = (name.as_str(), value) {
                        pending.extend(targets(target, within, others));
                    }
                    pending.push((value, within));
                }
            }
            _ => {}
        }
    }
    weight
}

/// What a reference may lead to. Files are told apart by their last names, which takes too much rather than
/// too little.
fn targets<'v>(
    target: &str,
    within: &'v Value,
    others: &'v [(String, Arc<Value>)],
) -> Vec<(&'v Value, &'v Value)> {
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_it = |other: &&(String, Arc<Value>)| other.0.rsplit('/').next() == Some(name);
    let files: Vec<&Value> = if path.is_empty() {
        vec![within]
    } else {
        others.iter().filter(is_it).map(|(_, document)| &**document).collect()
    };
    // An anchor may be anywhere.
    let inside = |file: &'v Value| (file.pointer(fragment).unwrap_or(file), file);
    files.into_iter().map(inside).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_reached_counts_and_each_part_once() {
        let parts: serde_json::Map<_, _> =
            (0..1000).map(|n| (format!("p{n}"), json!({"type": "string", "maxLength": n}))).collect();
        let others = [("routes/u/common.json".to_owned(), Arc::new(json!({"$defs": parts})))];
        let one = json!({"$ref": "common.json#/$defs/p7"});
        assert!(of(&one, &others) < 10 * KEYWORD);
        let all = json!({"allOf": [{"$ref": "common.json"}, {"$ref": "common.json"}]});
        let weight = of(&all, &others);
        assert!((3000 * KEYWORD..3020 * KEYWORD).contains(&weight), "{weight}");
        let circle = json!({"properties": {"next": {"$ref": "#"}}});
        assert_eq!(of(&circle, &[]), 4 * KEYWORD);
    }
}
