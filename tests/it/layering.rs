//! The architecture's rules, read from the sources: imports go down the list of modules in `lib.rs`, and
//! a few words belong to one file each.

use crate::sources::{code, is_tests, root, rust_files};

/// The top-level modules in the order of their declaration.
fn layers() -> Vec<String> {
    let library = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let layers: Vec<String> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .filter_map(|rest| rest.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert!(layers.len() > 10, "the modules of lib.rs were not found");
    layers
}

/// The modules that a file names through `crate::`, or through as many `super::` as lead there.
fn imports(name: &str, text: &str) -> Vec<String> {
    let to_the_root = "super::".repeat(name.split('/').count());
    let mut found = Vec::new();
    for prefix in ["crate::", &to_the_root] {
        for (at, _) in text.match_indices(prefix) {
            // `super::super::x` holds `super::x`, which is another place.
            if !text[..at].ends_with("::") {
                found.extend(first_names(&text[at + prefix.len()..]));
            }
        }
    }
    found
}

/// The names right after a path's prefix: one, or those of a `{…}` group.
fn first_names(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut names = vec![word(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(word(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    // What follows a trailing comma is no name.
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn a_module_imports_only_from_those_declared_above_it() {
    let layers = layers();
    let position = |module: &str| layers.iter().position(|layer| layer == module);
    let mut upward = Vec::new();
    for (name, text) in rust_files() {
        let module = name.split('/').next().unwrap().trim_end_matches(".rs");
        if matches!(module, "lib" | "main") || is_tests(&name) {
            continue;
        }
        let own = position(module).unwrap_or_else(|| panic!("src/{name} is in no module of lib.rs"));
        for import in imports(&name, &code(&text)) {
            if position(&import).is_some_and(|other| other > own) {
                upward.push(format!("src/{name} imports `{import}`, which lib.rs declares below `{module}`"));
            }
        }
    }
    upward.dedup();
    assert!(upward.is_empty(), "imports go up:\n  {}", upward.join("\n  "));
}

#[test]
fn an_upward_import_would_be_seen() {
    let text = "use crate::{\n    body::Body,\n    plan::{Plan, Route},\n    server,\n};\nlet x = crate::cli::run();";
    assert_eq!(imports("id.rs", text), ["body", "plan", "server", "cli"]);
    assert_eq!(imports("config/yaml.rs", "use super::super::plan::Plan; use super::tree;"), ["plan"]);
}

/// Fails for every file of code, outside of tests, that has the word and is not allowed to.
fn only(word: &str, allowed: impl Fn(&str) -> bool) {
    let mut others = Vec::new();
    for (name, text) in rust_files() {
        if allowed(&name) || is_tests(&name) {
            continue;
        }
        for (number, line) in code(&text).lines().enumerate() {
            let mut places = line.match_indices(word);
            // A word of its own: not the tail of a longer name or path.
            if places
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
            {
                others.push(format!("src/{name} (line {} of its code): {}", number + 1, line.trim()));
            }
        }
    }
    assert!(others.is_empty(), "`{word}` stands where it may not:\n  {}", others.join("\n  "));
}

#[test]
fn one_file_names_the_yaml_crate() {
    only("serde_yaml", |name| name == "config/yaml.rs");
}

#[test]
fn nothing_but_telemetry_names_metrics() {
    // The crate's names rather than its own, which the admin page's module shares.
    for word in ["use metrics::", "counter!", "gauge!", "histogram!", "metrics::Key", "metrics::Recorder"] {
        only(word, |name| name == "telemetry.rs" || name.starts_with("telemetry/"));
    }
}

#[test]
fn one_file_makes_problem_documents() {
    only("application/problem+json", |name| name == "policy/respond.rs");
}

#[test]
fn compiling_reads_no_file_no_clock_and_no_environment() {
    let outside = ["fs::", "env::", "SystemTime", "Instant::now", "TcpStream", "File::", "tokio::"];
    for word in outside {
        only(word, |name| !(name == "compile.rs" || name.starts_with("compile/")));
    }
}
