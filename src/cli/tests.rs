//! The commands as a user meets them: arguments in, text and an exit code out.

use super::*;

/// Outcome, standard output, standard error.
pub(super) fn segue(arguments: &[&str]) -> (Outcome, String, String) {
    let arguments = std::iter::once("segue").chain(arguments.iter().copied()).map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run_with(arguments, &mut out, &mut err).unwrap();
    (outcome, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// A configuration directory with a Gateway, a policy that lets everybody call, and the given files.
pub(super) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let gateway = "apiVersion: segue/v1\nkind: Gateway\nmetadata: {name: edge, owner: it}\nlisteners:\n  - {name: http, address: \"127.0.0.1:0\"}\n";
    let open = "---\napiVersion: segue/v1\nkind: Policy\nmetadata: {name: open, owner: it}\nauthenticate: {anonymous: true}\n---\napiVersion: segue/v1\nkind: PolicyBinding\nmetadata: {name: open, owner: it}\nmode: default\npolicies: [open]\n";
    let policies = format!("{gateway}{open}");
    for (path, text) in files.iter().chain(&[("policies/gateway.yaml", &*policies)]) {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

const HELLO: &str = "apiVersion: segue/v1\nkind: Route\nmetadata: {name: hello, owner: shop, version: 1.0.0}\nmatch: {methods: [GET], path: /hello}\nstatic: {body: {hello: world}}\n";

#[test]
fn help_is_an_answer_and_a_misspelt_command_is_misuse() {
    let (outcome, out, err) = segue(&["--help"]);
    assert_eq!((outcome, err.as_str()), (Outcome::Fine, ""));
    assert!(out.contains("segue demo"), "{out}");
    let (outcome, out, err) = segue(&["chekc"]);
    assert_eq!((outcome, out.as_str()), (Outcome::Usage, ""));
    assert!(err.contains("check"), "{err}");
    assert_eq!(segue(&[]).0, Outcome::Usage);
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in ["serve", "check", "routes", "plan", "explain", "schema", "demo", "test", "token"] {
        let (outcome, out, _) = segue(&[command, "--help"]);
        assert_eq!(outcome, Outcome::Fine);
        assert!(out.contains(&format!("  segue {command}")), "{out}");
    }
}

#[test]
fn commands_of_a_later_version_say_so() {
    for command in ["mock", "diff", "status", "export"] {
        let (outcome, _, err) = segue(&[command, "x", "--dot"]);
        assert_eq!(outcome, Outcome::Usage);
        assert!(err.contains("not in this version"), "{err}");
    }
}

#[test]
fn check_says_what_a_good_tree_holds() {
    let root = tree(&[("routes/shop/hello.yaml", HELLO)]);
    let (outcome, out, err) = segue(&["check", "--config", root.path().to_str().unwrap()]);
    assert_eq!((outcome, out.as_str()), (Outcome::Fine, ""), "{err}");
    assert_eq!(err, "ok: 0 services, 1 route\n");
}

#[test]
fn check_prints_findings_with_their_place_and_fails() {
    let broken = HELLO.replace("static:", "statik:");
    let root = tree(&[("routes/shop/hello.yaml", &broken)]);
    let (outcome, out, err) = segue(&["check", "--config", root.path().to_str().unwrap()]);
    assert_eq!(outcome, Outcome::Findings);
    assert!(out.contains("routes/shop/hello.yaml:5:1: error[unknown_key]"), "{out}");
    assert!(err.contains("error") && err.contains("in 2 files"), "{err}");
}

#[test]
fn strict_fails_on_a_warning() {
    let root = tree(&[("routes/shop/hello.yaml", HELLO), ("routes/shop/other.yaml", "a: 1\n")]);
    let config = root.path().to_str().unwrap();
    let (outcome, out, err) = segue(&["check", "--config", config]);
    assert_eq!(outcome, Outcome::Fine, "{out}");
    assert!(err.starts_with("1 warning in "), "{err}");
    assert_eq!(segue(&["check", "--strict", "--config", config]).0, Outcome::Findings);
}

#[test]
fn routes_lists_them_as_a_table_and_as_json() {
    let root = tree(&[("routes/shop/hello.yaml", HELLO)]);
    let config = root.path().to_str().unwrap();
    let (outcome, out, _) = segue(&["routes", "--config", config]);
    assert_eq!(outcome, Outcome::Fine);
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["GET", "*", "/hello", "shop/hello", "static", "0", "shop", "1.0.0"]);
    let (_, out, _) = segue(&["routes", "--format", "json", "--config", config]);
    let routes: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(routes[0]["path"], "/hello");
    assert_eq!(routes[0]["file"], "routes/shop/hello.yaml");
}

#[test]
fn serve_refuses_a_tree_that_is_broken_at_the_start() {
    let broken = HELLO.replace("/hello}", "hello}");
    let root = tree(&[("routes/shop/hello.yaml", &broken)]);
    let (outcome, out, _) = segue(&["serve", "--config", root.path().to_str().unwrap()]);
    assert_eq!(outcome, Outcome::Findings);
    assert!(out.contains("routes/shop/hello.yaml:4:"), "{out}");
}

#[test]
fn schema_prints_a_json_document() {
    let (outcome, out, _) = segue(&["schema"]);
    assert_eq!(outcome, Outcome::Fine);
    assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap().is_object());
}

#[test]
fn every_command_that_the_documentation_shows_is_one() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> =
        std::fs::read_dir(root.join("src/docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.push(root.join("README.md"));
    let mut shown = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut in_shell = false;
        for line in text.lines() {
            if line.starts_with("```") {
                in_shell = line == "```sh";
            } else if in_shell && line.starts_with("segue ") {
                let words = line.split('#').next().unwrap_or_default().split_whitespace();
                let parsed = Arguments::try_parse_from(words);
                assert!(parsed.is_ok(), "{}: `{line}` is no command", page.display());
                shown += 1;
            }
        }
    }
    assert!(shown > 5, "the documentation shows {shown} commands");
}
