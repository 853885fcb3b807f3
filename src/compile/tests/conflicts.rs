//! Routes that tie, and routes that only look like it.

use super::*;

/// The codes and places of findings over two routes that match this.
fn pair(first: &str, second: &str) -> Vec<String> {
    let route = |name: &str, matching: &str| {
        format!(
            "apiVersion: segue/v1\nkind: Route\nmetadata: {{name: {name}, owner: sales}}\nmatch: {matching}\nstatic: {{}}\n"
        )
    };
    let (first, second) = (route("first", first), route("second", second));
    let (_, findings) = compiled(&[("routes/shop/a.yaml", &first), ("routes/care/b.yaml", &second)]);
    let line = |finding: &crate::diagnostic::Diagnostic| {
        let related = finding.related.as_ref().map(|(place, _)| place.file.to_string());
        format!(
            "{}:{} {} {}",
            finding.place.file,
            finding.place.line,
            finding.code.as_str(),
            related.unwrap_or_default()
        )
    };
    findings.items().iter().map(line).collect()
}

#[test]
fn names_both_places_across_units() {
    let expected = ["routes/shop/a.yaml:4 route_conflict routes/care/b.yaml"];
    assert_eq!(pair("{path: '/a/{id}'}", "{path: '/a/{name}'}"), expected);
    assert_eq!(pair("{path: /%61}", "{path: /a, methods: [GET]}"), expected);
    assert_eq!(pair("{path: /a, hosts: [x.org, Y.org]}", "{path: /a, hosts: [y.org]}"), expected);
    assert_eq!(pair("{path: /a, headers: {x: '1'}}", "{path: /a, query: {y: '1'}}"), expected);
    assert_eq!(pair("{path: /a, methods: [GET, PUT]}", "{path: /a, methods: [PUT]}"), expected);
}

#[test]
fn what_specificity_orders_is_no_conflict() {
    let none: [&str; 0] = [];
    assert_eq!(pair("{path: '/a/{id}'}", "{path: /a/b}"), none);
    assert_eq!(pair("{path: '/a/{id}'}", "{path: '/a/{rest...}'}"), none);
    assert_eq!(pair("{path: /a}", "{path: /a/}"), none);
    assert_eq!(pair("{path: /a, methods: [GET]}", "{path: /a, methods: [POST]}"), none);
    assert_eq!(pair("{path: /a, methods: [GET]}", "{path: /a, methods: [HEAD]}"), none);
    assert_eq!(pair("{path: /a, hosts: [x.org]}", "{path: /a}"), none);
    assert_eq!(pair("{path: /a, hosts: ['*.x.org']}", "{path: /a, hosts: [a.x.org]}"), none);
    assert_eq!(pair("{path: /a, headers: {x: '1'}}", "{path: /a}"), none);
    assert_eq!(pair("{path: /a, headers: {x: '1'}}", "{path: /a, headers: {X: '2'}}"), none);
    assert_eq!(pair("{path: /a, query: {x: '1', y: '1'}}", "{path: /a, query: {x: '1', y: '2'}}"), none);
}
