//! `limits.maxCalls` against what a request could make.

use super::*;

const FAN: &str = "match: {path: /}\nsteps:\n  list: {call: orders.list}\n  each: {call: orders.get, with: {path: {id: '${ n }'}}, forEach: {in: '${ steps.list.body }', as: n, max: 250}, retry: {attempts: 2}}\nrespond: {body: '${ steps.each.items }'}\n";

#[test]
fn a_route_that_could_make_more_calls_than_allowed_is_refused() {
    let found = found(FAN);
    assert_eq!(found, ["0:18 too_many_calls"]);
    let said = said(FAN);
    assert!(said.contains("could make 501 upstream calls, and `limits.maxCalls` is 500"), "{said}");
    assert!(said.contains("`each` alone could make 500, with 250 items"), "{said}");
    assert!(super::found(&FAN.replace("max: 250", "max: 249")).is_empty());
}

#[test]
fn the_gateway_says_how_many_calls_are_allowed() {
    let text = format!("{HEAD}{FAN}");
    for (limit, errors) in [("500", true), ("501", false)] {
        let gateway = format!("{GATEWAY}limits: {{maxCalls: {limit}}}\n");
        let files = [
            ("policies/gateway.yaml", gateway.as_str()),
            ("routes/shop/services.yaml", SERVICES),
            ("routes/shop/r.yaml", &text),
        ];
        let (plan, findings) = compile(&Tree::from_texts(files));
        assert_eq!((findings.has_errors(), plan.is_none()), (errors, errors), "{limit}");
    }
}

#[test]
fn what_no_number_can_hold_is_too_many_and_not_a_few() {
    let deep = |index: usize| {
        let next = index + 1;
        let call = if index == 8 { "call: orders.list".to_owned() } else { format!("compose: c{next}") };
        format!(
            "---\napiVersion: segue/v1\nkind: Composition\nmetadata: {{name: c{index}, owner: sales}}\nsteps: {{s: {{{call}, forEach: {{in: '${{ [1] }}', as: n, max: 100000}}}}}}\noutput: '${{ steps.s.items }}'\n"
        )
    };
    let route = "match: {path: /}\nsteps: {s: {compose: c1}}\nrespond: {body: '${ steps.s.output }'}\n";
    let all: String = (1..=8).map(deep).collect();
    let said = said(&format!("{route}{all}"));
    assert!(said.contains(&format!("could make {} upstream calls", u64::MAX)), "{said}");
}
