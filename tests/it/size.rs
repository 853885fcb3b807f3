//! Files stay small enough to be read in one go.

use crate::sources::{is_tests, rust_files};

const LONGEST: usize = 600;
const MEDIAN: usize = 150;
const MAIN: usize = 40;

#[test]
fn no_source_file_is_longer_than_the_rule_allows() {
    let long: Vec<String> = rust_files()
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(name, lines)| format!("src/{name}: {lines}"))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines:\n  {}", long.join("\n  "));
}

#[test]
fn the_median_source_file_is_short() {
    let mut lines: Vec<usize> = rust_files()
        .iter()
        .filter(|(name, _)| !is_tests(name))
        .map(|(_, text)| text.lines().count())
        .collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median <= MEDIAN, "the median file has {median} lines");
}

#[test]
fn the_binary_only_hands_over() {
    let files = rust_files();
    let (_, main) = files.iter().find(|(name, _)| name == "main.rs").unwrap();
    assert!(main.lines().count() <= MAIN);
}
