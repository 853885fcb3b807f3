//! `tests/sentences.md`: what the format says of composition, and which specs and tests hold it.

use std::{collections::BTreeSet, fs};

use crate::sources::{files_below, root};

/// Folders of specs whose every spec holds a sentence.
const FOLDERS: [&str; 9] =
    ["composition", "execution", "matching", "plan", "problems", "proxy", "request", "shaping", "testing"];

/// The lines with a sentence, and what each names.
fn sentences() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(root().join("tests/sentences.md")).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix("- "));
    let split = lines.map(|line| {
        let (sentence, names) = line.rsplit_once(": ").unwrap_or_else(|| panic!("{line} has no `: `"));
        let names = names.split(", ").map(|name| name.trim_matches('`').to_owned());
        (sentence.to_owned(), names.collect())
    });
    split.collect()
}

/// The names of all functions that the test harness runs.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["src", "tests"] {
        for path in files_below(&root().join(folder)) {
            if path.extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            for (at, _) in text.match_indices("#[test]").chain(text.match_indices("#[tokio::test")) {
                let rest = text[at..].split_once("fn ").map_or("", |(_, rest)| rest);
                found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
        }
    }
    found
}

#[test]
fn every_sentence_of_the_format_has_what_holds_it() {
    let tests = tests();
    let sentences = sentences();
    assert!(sentences.len() > 100, "{} sentences", sentences.len());
    let mut missing = Vec::new();
    for (sentence, names) in &sentences {
        assert!(!names.is_empty(), "nothing holds: {sentence}");
        for name in names {
            let there = match name.contains('/') {
                true => root().join("tests/specs").join(format!("{name}.md")).is_file(),
                false => tests.contains(name),
            };
            if !there {
                missing.push(format!("{name}: {sentence}"));
            }
        }
    }
    assert!(missing.is_empty(), "not there any more:\n{}", missing.join("\n"));
}

#[test]
fn every_spec_of_these_rules_holds_a_sentence() {
    let named: BTreeSet<String> = sentences().into_iter().flat_map(|(_, names)| names).collect();
    let specs = root().join("tests/specs");
    for folder in FOLDERS {
        for path in files_below(&specs.join(folder)) {
            let name = path.strip_prefix(&specs).unwrap().with_extension("");
            let name = name.to_str().unwrap();
            assert!(named.contains(name), "`{name}` is on no line of tests/sentences.md");
        }
    }
}
