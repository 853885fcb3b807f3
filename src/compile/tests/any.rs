//! Any text: no panic, the same findings each time, and no finding without a place in the text.

use proptest::prelude::*;

use super::*;

/// What a template is torn and patched with.
const SCRAPS: [&str; 24] = [
    "${",
    "}",
    "{",
    "[",
    "]",
    ": ",
    "\n",
    "  ",
    "- ",
    "steps.",
    "vars.a",
    "$each",
    "$as: o",
    "$$",
    "&a ",
    "*a",
    "\"",
    "'",
    "|\n",
    "{rest...}",
    "..",
    "é😀",
    "optional: true",
    "after: [orders]",
];

fn torn() -> impl Strategy<Value = String> {
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), 0..40usize, 0..SCRAPS.len()), 1..6);
    cuts.prop_map(|cuts| {
        let mut text: Vec<char> = plans::CUSTOMER_360.chars().collect();
        for (at, len, scrap) in cuts {
            let at = at.index(text.len());
            let end = (at + len).min(text.len());
            text.splice(at..end, SCRAPS[scrap].chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_torn_template_gives_the_same_findings_each_time(route in torn()) {
        let text = format!("{HEAD}{route}");
        let (plan, findings) = compiled(&[("routes/shop/r.yaml", &text)]);
        prop_assert_eq!(plan.is_none(), findings.has_errors());
        let lines = text.split('\n').count() + 1;
        for finding in findings.items().iter().filter(|finding| &*finding.place.file == "routes/shop/r.yaml") {
            prop_assert!((1..=lines).contains(&(finding.place.line as usize)), "{finding:?}");
        }
        let (_, again) = compiled(&[("routes/shop/r.yaml", &text)]);
        prop_assert_eq!(findings, again);
    }

    #[test]
    fn any_scalar_anywhere_is_no_panic(scalar in "\\PC{0,40}") {
        let quoted = serde_json::to_string(&scalar).expect("JSON");
        let route = format!(
            "match: {{path: {quoted}, hosts: [{quoted}], headers: {{x: {quoted}}}}}\nvars: {{v: {quoted}}}\nsteps:\n  a: {{http: {{service: {quoted}, path: {quoted}, query: {quoted}, body: {{$each: {quoted}, $as: {quoted}, $yield: {quoted}}}}}, when: {quoted}, after: [{quoted}]}}\n  b: {{call: {quoted}, with: {{path: {{id: {quoted}}}}}}}\nrespond: {{status: {quoted}, headers: {{x: {quoted}}}, body: {quoted}}}"
        );
        found(&route);
    }
}
