//! Markdown specs: `tests/specs/**/*.md`, each a tree of templates and what commands say about it.
//!
//! A yaml or json block that starts with a comment of its path is a file. A console block starts with a command,
//! `$ segue …`, and holds what that prints. `UPDATE_SPECS=1 cargo test --test it specs` writes the blocks
//! anew; the change is then to be read like any other.

use std::{ffi::OsString, fmt::Write as _, fs, path::Path};

use segue::{cli, diagnostic::Code, problem::Kind};

use crate::sources::{code, files_below, is_tests, root, rust_files, shown};

/// What every spec has unless it writes the file itself.
const GIVEN: [(&str, &str); 3] = [
    (
        "policies/gateway.yaml",
        "apiVersion: segue/v1\nkind: Gateway\nmetadata: {name: edge, owner: platform}\nlisteners: [{name: http, address: \"127.0.0.1:8080\"}]\n",
    ),
    // Without it every spec would show that anybody may call.
    (
        "policies/open.yaml",
        "apiVersion: segue/v1\nkind: Policy\nmetadata: {name: open, owner: platform}\nauthenticate: {anonymous: true}\n---\n\
         apiVersion: segue/v1\nkind: PolicyBinding\nmetadata: {name: open, owner: platform}\nmode: default\npolicies: [open]\n",
    ),
    ("routes/shop/services.yaml", include_str!("../specs/services.yaml")),
];

const CONSOLE: &str = "```console\n$ ";

/// Path and text of every spec, sorted.
fn specs() -> Vec<(String, String)> {
    let folder = root().join("tests/specs");
    let paths =
        files_below(&folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut specs: Vec<(String, String)> = paths
        .map(|path| {
            (path.strip_prefix(&folder).unwrap().display().to_string(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    specs.sort();
    assert!(specs.len() > 5, "the specs are not where they are looked for");
    specs
}

/// What a command prints for these files; what it says of itself only if it prints nothing else.
fn run(folder: &Path, command: &str) -> String {
    // A path is one of the folder, where its reader would stand.
    let arguments = command.split_whitespace().map(|word| match word.split_once('/') {
        Some(("routes" | "policies", _)) => folder.join(word).into_os_string(),
        _ => OsString::from(word),
    });
    let arguments = arguments.chain(["--config".into(), folder.as_os_str().to_owned()]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = cli::run_with(arguments, &mut out, &mut err).unwrap();
    let printed = if out.is_empty() && command != "segue check" { err } else { out };
    let mut printed = String::from_utf8(printed).unwrap().replace(&folder.display().to_string(), "DIR");
    if outcome != cli::Outcome::Fine {
        writeln!(printed, "[exit {}]", outcome.code()).unwrap();
    }
    printed
}

/// The spec as it would be if its console blocks held what the commands print.
fn performed(name: &str, spec: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let own = shown(name, spec);
    let given = GIVEN.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let given = given.into_iter().filter(|(path, _)| own.iter().all(|(own, _)| own != path));
    for (path, text) in given.chain(own.iter().cloned()) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A spec that wants no file of this name says so by an empty one.
        if !text.is_empty() {
            fs::write(path, text).unwrap();
        }
    }
    let mut fresh = String::new();
    let mut rest = spec;
    let mut commands = 0;
    while let Some(start) = rest.find(CONSOLE) {
        let block = start + CONSOLE.len();
        let line = block + rest[block..].find('\n').expect("a command has a line");
        let end =
            line + rest[line..].find("\n```").unwrap_or_else(|| panic!("{name}: a console block has no end"));
        fresh.push_str(&rest[..line]);
        let printed = run(folder.path(), &rest[block..line]);
        write!(fresh, "\n{}", printed.trim_end_matches('\n')).unwrap();
        if printed.is_empty() {
            fresh.truncate(fresh.len() - 1);
        }
        rest = &rest[end..];
        commands += 1;
    }
    assert!(commands > 0, "{name} has no command");
    fresh + rest
}

#[test]
fn every_spec_holds() {
    let update = std::env::var_os("UPDATE_SPECS").is_some();
    let mut broken = String::new();
    for (name, spec) in specs() {
        let fresh = performed(&name, &spec);
        if fresh == spec {
            continue;
        }
        if update {
            fs::write(root().join("tests/specs").join(&name), fresh).unwrap();
            continue;
        }
        broken.push_str(&difference(&name, &spec, &fresh));
    }
    assert!(broken.is_empty(), "UPDATE_SPECS=1 rewrites them:\n{broken}");
}

#[test]
fn what_pages_show_is_what_is_printed() {
    for name in ["testing.md", "identity.md"] {
        let path = root().join("src/docs").join(name);
        let page = fs::read_to_string(&path).unwrap();
        let fresh = performed(name, &page);
        if std::env::var_os("UPDATE_SPECS").is_some() {
            fs::write(path, fresh).unwrap();
            continue;
        }
        assert!(fresh == page, "{}", difference(name, &page, &fresh));
    }
}

/// The first lines in which two texts differ.
fn difference(name: &str, spec: &str, fresh: &str) -> String {
    let lines = spec.lines().zip(fresh.lines()).position(|(old, new)| old != new);
    let at = lines.unwrap_or_else(|| spec.lines().count().min(fresh.lines().count()));
    let shown = |text: &str| text.lines().skip(at).take(12).collect::<Vec<_>>().join("\n    ");
    format!("\n{name}:{}\n  expected\n    {}\n  got\n    {}\n", at + 1, shown(spec), shown(fresh))
}

/// Finding codes that no template alone gives: the disk, the environment or the moment of a reload does.
/// With the file whose tests provoke them.
const CODES_ELSEWHERE: &[(Code, &str)] = &[
    (Code::FileTooLarge, "src/config/tree/tests.rs"),
    (Code::HalfWritten, "src/reload.rs"),
    (Code::MissingSecret, "src/upstream/tests/settings.rs"),
    (Code::CannotListen, "src/serve.rs"),
    (Code::BadCertificate, "tests/it/tls_files.rs"),
    (Code::ExpiredCertificate, "tests/it/tls_files.rs"),
];

/// Problem codes that no single request to a template gives, with the file whose tests provoke them.
const KINDS_ELSEWHERE: &[(Kind, &str)] = &[
    (Kind::RequestTimeout, "tests/it/slow.rs"),
    (Kind::PayloadTooLarge, "src/compose/tests/request.rs"),
    (Kind::Internal, "src/policy/catch_panic.rs"),
];

/// What the console blocks of all specs hold.
fn printed() -> String {
    let mut printed = String::new();
    for (_, spec) in specs() {
        for block in spec.split(CONSOLE).skip(1) {
            printed.push_str(block.split("\n```").next().unwrap());
            printed.push('\n');
        }
    }
    printed
}

/// Whether any source but its table says the name of a variant: a code that nothing makes needs no spec yet.
fn is_made(name: &str, table: &str) -> bool {
    let word = format!("::{name}");
    let uses = |text: &str| {
        text.match_indices(&word).any(|(at, _)| {
            let end = text[at + word.len()..].chars().next();
            !end.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    };
    // What counts refusals names kinds that others make.
    let names_only = [table, "telemetry/refuser.rs"];
    rust_files()
        .iter()
        .any(|(file, text)| !names_only.contains(&file.as_str()) && !is_tests(file) && uses(&code(text)))
}

fn holds(file: &str, name: &str, code: &str) {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let said = text.contains(&format!("::{name}")) || text.contains(&format!("\"{code}\""));
    assert!(said, "{file} does not say `{code}` any more");
}

#[test]
fn every_finding_that_can_be_made_has_a_spec() {
    let printed = printed();
    for code in Code::ALL {
        let name = format!("{code:?}");
        if let Some((_, file)) = CODES_ELSEWHERE.iter().find(|(elsewhere, _)| elsewhere == code) {
            holds(file, &name, code.as_str());
        } else if is_made(&name, "diagnostic/code.rs") {
            let shown = format!("{}[{}]: ", code.severity().as_str(), code.as_str());
            assert!(printed.contains(&shown), "no spec shows `{}`", code.as_str());
        }
    }
}

#[test]
fn every_problem_that_can_be_made_has_a_spec() {
    let printed = printed();
    for kind in Kind::ALL {
        let name = format!("{kind:?}");
        if let Some((_, file)) = KINDS_ELSEWHERE.iter().find(|(elsewhere, _)| elsewhere == kind) {
            holds(file, &name, kind.code());
        } else if is_made(&name, "problem.rs") {
            let shown = format!("\"code\":\"{}\"", kind.code());
            assert!(printed.contains(&shown), "no spec shows `{}`", kind.code());
        }
    }
}
