//! Compositions: names, versions, visibility, inputs, depth, circles.

use super::*;

const PROFILE: &str = "\
---
apiVersion: segue/v1
kind: Composition
metadata: {name: profile, owner: sales, version: 1.4.0}
input: {id: {type: string, required: true}, limit: {type: integer, minimum: 1, default: 5}}
steps: {order: {call: orders.get, with: {path: {id: '${ input.id }'}}}}
output: {order: '${ steps.order.body }', limit: '${ input.limit }'}
";

fn using(with: &str) -> String {
    format!(
        "match: {{path: '/x/{{id}}'}}\nsteps: {{p: {{{with}}}}}\nrespond: {{body: '${{ steps.p.output }}'}}\n"
    )
}

/// The findings of a route beside the Composition `profile`, as `code: message`.
fn beside(route: &str, more: &str) -> Vec<String> {
    let text = format!("{HEAD}{route}{PROFILE}{more}");
    let (plan, findings) = compiled(&[("routes/shop/r.yaml", &text)]);
    assert_eq!(plan.is_none(), findings.has_errors());
    findings.items().iter().map(|one| format!("{}: {}", one.code.as_str(), one.message)).collect()
}

#[test]
fn a_composition_is_run_by_name_with_and_without_its_major_version() {
    for name in ["profile", "shop/profile", "profile@1", "shop/profile@1"] {
        let route = using(&format!("compose: {name}, with: {{id: '${{ request.path.id }}'}}"));
        assert_eq!(beside(&route, ""), [""; 0], "{name}");
    }
}

#[test]
fn the_highest_version_is_meant_when_none_is_named() {
    let second = PROFILE.replace("1.4.0", "2.0.0").replace("id: {type: string, required: true}, ", "");
    let second = second.replace("'${ input.id }'", "x");
    assert_eq!(beside(&using("compose: profile"), &second), [""; 0]);
    let first = using("compose: profile@1, with: {id: a}");
    assert_eq!(beside(&first, &second), [""; 0]);
    let missing = using("compose: profile@3");
    assert_eq!(beside(&missing, &second), ["unknown_composition: no Composition `profile@3`"]);
}

#[test]
fn a_major_version_exists_once() {
    let again = PROFILE.replace("1.4.0", "1.9.0");
    let found = beside(&using("compose: profile, with: {id: a}"), &again);
    assert_eq!(found, ["duplicate_name: there is another Composition `profile@1` in this unit"]);
}

#[test]
fn every_input_is_checked_against_its_declaration() {
    for (with, wanted) in [
        ("", "input_mismatch: `shop/profile@1` needs the input `id`"),
        ("id: a, idd: b", "input_mismatch: `shop/profile@1` has no input `idd`"),
        ("id: 5", "input_mismatch: the input `id` of `shop/profile@1` must be a string"),
        ("id: a, limit: 0", "input_mismatch: the input `limit` of `shop/profile@1` must be at least 1"),
        (
            "id: a, limit: '${ request.path.id + \"x\" }'",
            "input_mismatch: the input `limit` of `shop/profile@1` must be of type integer, and this gives string",
        ),
        (
            "id: ['${ request.path.id }']",
            "input_mismatch: the input `id` of `shop/profile@1` must be of type string, and this gives array",
        ),
    ] {
        assert_eq!(beside(&using(&format!("compose: profile, with: {{{with}}}")), ""), [wanted]);
    }
    assert_eq!(
        beside(&using("compose: profile, with: {id: 'a${ request.path.id }', limit: 7}"), ""),
        [""; 0]
    );
}

#[test]
fn another_units_composition_must_be_open() {
    let theirs = |visibility: &str| {
        format!(
            "apiVersion: segue/v1\nkind: Composition\nmetadata: {{name: who, owner: care}}\n{visibility}output: 1\n"
        )
    };
    let text = format!("{HEAD}{}", using("compose: care/who"));
    for (visibility, wanted) in [("", Some("not_visible")), ("visibility: all\n", None)] {
        let their = theirs(visibility);
        let (_, findings) = compiled(&[("routes/care/c.yaml", &their), ("routes/shop/r.yaml", &text)]);
        let codes: Vec<_> = findings.items().iter().map(|one| one.code.as_str()).collect();
        assert_eq!(codes, wanted.into_iter().collect::<Vec<_>>());
    }
}

/// Compositions `c1`, `c2` … of which each runs the next, and the last one what is given.
fn chain(length: usize, last: &str) -> String {
    let one = |index: usize| {
        let next = if index == length { last.to_owned() } else { format!("c{}", index + 1) };
        let (steps, output) = if next.is_empty() {
            (String::new(), "1")
        } else {
            (format!("steps: {{s: {{compose: {next}}}}}\n"), "${ steps.s.output }")
        };
        format!(
            "---\napiVersion: segue/v1\nkind: Composition\nmetadata: {{name: c{index}, owner: sales}}\n{steps}output: '{output}'\n"
        )
    };
    (1..=length).map(one).collect()
}

#[test]
fn compositions_nest_eight_deep_and_no_deeper() {
    assert_eq!(beside(&using("compose: c1"), &chain(8, "")), [""; 0]);
    let found = beside(&using("compose: c1"), &chain(9, ""));
    assert_eq!(found, ["composition_depth: `shop/c2` already runs Compositions 8 deep"]);
}

#[test]
fn a_circle_is_shown_as_a_path_once() {
    let found = beside(&using("compose: c1"), &chain(3, "c2"));
    assert_eq!(found, ["composition_cycle: each runs the next: shop/c2 → shop/c3 → shop/c2"]);
    let own = beside(&using("compose: c1"), &chain(1, "c1"));
    assert_eq!(own, ["composition_cycle: each runs the next: shop/c1 → shop/c1"]);
}

#[test]
fn what_is_unsafe_inside_is_unsafe_outside() {
    let unsafe_one = "---\napiVersion: segue/v1\nkind: Composition\nmetadata: {name: book, owner: sales}\nsteps: {o: {call: orders.place}}\noutput: 1\n";
    let two = |more: &str| {
        format!(
            "match: {{path: /}}\nsteps:\n  a: {{compose: book}}\n  b: {{compose: book{more}}}\nrespond: {{body: 1}}\n"
        )
    };
    assert_eq!(beside(&two(""), unsafe_one), ["unordered_unsafe: `a` and `b` are unsafe and have no order"]);
    assert_eq!(beside(&two(", after: [a]"), unsafe_one), [""; 0]);
    let each = "match: {path: /}\nsteps:\n  a: {compose: book, forEach: {in: '${ [1] }', as: n, concurrency: 2}}\nrespond: {body: 1}\n";
    assert_eq!(beside(each, unsafe_one), ["unordered_unsafe: `a` makes 2 unsafe calls at a time"]);
    // A safe one that nothing reads is a call for nothing.
    let idle = "match: {path: /}\nsteps: {a: {compose: profile, with: {id: x}}}\nrespond: {body: 1}\n";
    assert_eq!(beside(idle, ""), ["unused_step: nothing reads `a`"]);
}

#[test]
fn a_composition_reads_no_request_and_a_route_has_no_input() {
    let composition = "---\napiVersion: segue/v1\nkind: Composition\nmetadata: {name: c, owner: sales}\noutput: '${ request.method }'\n";
    let found = beside(&using("compose: c"), composition);
    assert_eq!(found, ["unknown_reference: `request` cannot be read in a Composition"]);
    let route = "match: {path: /}\nrespond: {body: '${ input.x }'}\n";
    assert_eq!(beside(route, ""), ["unknown_reference: `input` can be read only in a Composition"]);
}

#[test]
fn keys_of_one_call_do_not_belong_to_compose() {
    let route = using("compose: profile, with: {id: a}, retry: {attempts: 2}, passStatus: [404]");
    let found = beside(&route, "");
    assert_eq!(
        found,
        [
            "invalid_value: `retry` belongs to a call, and `compose` is none",
            "invalid_value: `passStatus` belongs to a call, and `compose` is none",
        ]
    );
    let with = using("compose: profile, with: {id: a}").replace("steps.p.output", "steps.p.body");
    assert!(beside(&with, "")[0].starts_with("unknown_reference"));
}

#[test]
fn retry_is_for_calls_that_may_be_repeated() {
    let route = |call: &str, more: &str| {
        format!(
            "match: {{path: /}}\nsteps: {{s: {{call: {call}, retry: {{attempts: 3{more}}}}}}}\nrespond: {{body: '${{ steps.s.status }}'}}\n"
        )
    };
    let found = |call: &str, more: &str| {
        let place = |line: String| line.split_once(' ').map(|(_, code)| code.to_owned()).unwrap_or(line);
        found(&route(call, more)).into_iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(found("orders.place", ""), ["retry_unsafe"]);
    assert_eq!(found("orders.list", ", on: [connect, timeout, 503]"), [""; 0]);
    assert_eq!(found("orders.search", ""), [""; 0], "safe by its own word");
    assert_eq!(found("orders.list", ", on: [404]"), ["invalid_value"]);
    assert_eq!(found("orders.list", ", backoff: {initial: 10ms, max: 20ms}"), [""; 0]);
}
