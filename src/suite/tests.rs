//! What the Markdown specs under `tests/specs/testing` do not show: the machine-readable forms, and that a
//! test meets everything that serves.

use super::*;
use crate::{compile::compile, diagnostic::render};

const GATEWAY: &str = "apiVersion: segue/v1\nkind: Gateway\nmetadata: {name: g, owner: o}\nlisteners: [{name: h, address: \"127.0.0.1:0\"}]\n";
const SERVICE: &str = "apiVersion: segue/v1\nkind: Service\nmetadata: {name: a, owner: o}\nendpoints: [{url: {env: A_URL}}]\nheaders: {authorization: {env: TOKEN, prefix: \"Bearer \"}}\n";
const ROUTE: &str = "apiVersion: segue/v1\nkind: Route\nmetadata: {name: r, owner: o}\nmatch: {path: /r}\nsteps:\n  one: {http: {service: a, path: /one}, optional: true}\nrespond: {body: \"${ steps.one.?body }\"}\n";

fn tested(test: &str) -> (Tree, Report) {
    let files = [
        ("policies/gateway.yaml", GATEWAY),
        ("routes/shop/a.yaml", SERVICE),
        ("routes/shop/r.yaml", ROUTE),
        ("routes/shop/r.test.yaml", test),
    ];
    let tree = Tree::from_texts(files);
    let (plan, findings) = compile(&tree);
    let plan = plan.unwrap_or_else(|| panic!("{findings:#?}"));
    let report = run(&tree, plan, &|_| true);
    (tree, report)
}

#[test]
fn a_secret_and_an_address_of_the_environment_need_no_environment() {
    let test = "tests:\n- name: n\n  request: {path: /r}\n  mocks: {one: {body: 1}}\n  calls: [one: {headers: {authorization: Bearer TOKEN, host: a.shop.test, x-segue-step: null}}]\n";
    let (tree, report) = tested(test);
    assert!(report.is_fine(), "{}", report::text(&report, &|path| tree.text(path)));
    let given = format!("env: {{TOKEN: t-1}}\n{}", test.replace("Bearer TOKEN", "Bearer t-1"));
    assert!(tested(&given).1.is_fine());
}

#[test]
fn junit_escapes_what_it_quotes_and_counts_failures() {
    let (tree, report) = tested(
        "tests:\n- name: a < b & \"c\"\n  request: {path: /r}\n  mocks: {one: {delay: 20ms, body: 1}}\n  expect: {body: \"<x>\"}\n- name: good\n  request: {path: /r}\n  mocks: {one: {body: 1}}\n",
    );
    let xml = report::junit(&report, &|path| tree.text(path));
    assert!(
        xml.contains("<testsuite name=\"routes/shop/r.test.yaml\" tests=\"2\" failures=\"1\" errors=\"0\">"),
        "{xml}"
    );
    assert!(xml.contains("name=\"a &lt; b &amp; &quot;c&quot;\""), "{xml}");
    assert!(xml.contains("time=\"0.020\""), "{xml}");
    assert!(xml.contains("expected &quot;&lt;x&gt;&quot;, got 1"), "{xml}");
    assert!(!xml.contains("<x>"), "{xml}");
}

#[test]
fn json_says_what_failed_where_and_which_branch_nobody_took() {
    let (_, report) = tested(
        "tests:\n- name: n\n  request: {path: /r}\n  mocks: {one: {body: 1}}\n  expect: {status: 201}\n",
    );
    let json: serde_json::Value = serde_json::from_str(&report::json(&report)).unwrap();
    assert_eq!(json["tests"][0]["ok"], false);
    assert_eq!(json["tests"][0]["failures"][0]["line"], 5);
    assert_eq!(json["tests"][0]["failures"][0]["message"], "`status`: expected 201, got 200");
    let untaken: Vec<_> =
        json["branches"].as_array().unwrap().iter().filter(|b| b["taken"] == false).collect();
    assert_eq!(untaken.len(), 1);
    assert_eq!(
        (&untaken[0]["line"], &untaken[0]["what"]),
        (&6.into(), &"`optional` of `one`: it fails".into())
    );
}

#[test]
fn every_fault_is_the_failure_that_a_served_call_would_have() {
    for (fault, code) in [
        ("connect", "upstream_unreachable"),
        ("reset", "upstream_reset"),
        ("timeout", "upstream_timeout"),
        ("malformed", "upstream_invalid"),
    ] {
        let test = format!(
            "tests:\n- name: n\n  request: {{path: /r}}\n  mocks: {{one: {{fault: {fault}}}}}\n  expect: {{degraded: {{one: {code}}}}}\n"
        );
        let (tree, report) = tested(&test);
        assert!(report.is_fine(), "{}", report::text(&report, &|path| tree.text(path)));
    }
}

#[test]
fn any_text_is_a_test_file_with_findings_or_without() {
    use proptest::prelude::*;
    let words = prop::sample::select(vec![
        "tests", ":", " ", "\n", "- ", "{", "}", "[", "]", "name", "request", "path", "/r", "mocks", "one",
        "expect", "status", "200", "calls", "never", ",", "\"", "fault", "timeout", "null", "body", "on",
        "degraded",
    ]);
    let texts = prop::collection::vec(words, 0..60).prop_map(|words| words.concat());
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 200, ..ProptestConfig::default() });
    runner
        .run(&texts, |text| {
            let (tree, report) = tested(&text);
            let _ = render::text(&report.findings, &|path| tree.text(path));
            Ok(())
        })
        .unwrap();
}
