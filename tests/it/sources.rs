//! Reads this package's own files, for tests about them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The package's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below `src`: its path relative to `src`, with `/`, and its text.
pub(crate) fn rust_files() -> Vec<(String, String)> {
    let source = root().join("src");
    let mut files: Vec<(String, String)> = files_below(&source)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path.strip_prefix(&source).unwrap().to_str().unwrap().replace('\\', "/");
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() > 30, "the sources are not where they are looked for");
    files
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// Whether a file is all tests.
pub(crate) fn is_tests(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

/// The text without its test module and without comments.
pub(crate) fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end]
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The files that a page shows: yaml blocks, which start with a comment of their path, and json blocks that do.
pub(crate) fn shown(name: &str, page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut kind = None;
    let mut block = String::new();
    for line in page.split_inclusive('\n') {
        match (kind, line.trim_end()) {
            (None, "```yaml") => kind = Some("yaml"),
            (None, "```json") => kind = Some("json"),
            (Some(is), "```") => {
                let (first, rest) = block.split_once('\n').unwrap_or((&block, ""));
                match (is, first.strip_prefix("# ")) {
                    // A spec that wants no file of this name says so by an empty one.
                    (_, Some(path)) if rest.is_empty() => found.push((path.to_owned(), String::new())),
                    // With the comment, so that lines are those of the block.
                    ("yaml", Some(path)) => found.push((path.to_owned(), block.clone())),
                    (_, Some(path)) => found.push((path.to_owned(), rest.to_owned())),
                    ("yaml", None) => panic!("{name}: a yaml block starts with its path:\n{block}"),
                    (_, None) => {}
                }
                (kind, block) = (None, String::new());
            }
            (Some(_), _) => block.push_str(line),
            (None, _) => {}
        }
    }
    assert!(kind.is_none(), "{name}: a block has no end");
    found
}
