//! Findings point at the token inside the scalar, however YAML writes the scalar.

use super::*;

/// Answers in which every `nope` is a step that does not exist.
const STYLES: [(&str, &str); 24] = [
    ("plain", "body: ${ steps.nope.body + steps.nope.body }"),
    ("plain, in text", "body: ü ${ steps.nope.body } – ${ steps.nope.body } end"),
    ("plain, over lines", "body: ${ steps.nope.body\n    + 'ü' + steps.nope.body\n\n    + steps.nope.body }"),
    ("plain, in a list", "body:\n    - x\n    - ${ steps.nope.body }\n    -   ${ 'é😀' + steps.nope.body }"),
    ("plain, in a flow list", "body: [ü, '${ steps.nope.body }', \"${ steps.nope.body }\"]"),
    ("single", "body: '${ ''ü'' + steps.nope.body + ''it'' + steps.nope.body }'"),
    ("single, over lines", "body: '${ ''a'' +\n    steps.nope.body\n\n    + ''b'' + steps.nope.body }'"),
    ("double", r#"body: "${ \"\u00fc\" + steps.nope.body + \"\x41\U0001F600\" + steps.nope.body }""#),
    ("double, over lines", "body: \"${ 'a' +\n    steps.nope.body\n\n    + \\\"b\\\" + steps.nope.body }\""),
    (
        "double, escaped line ends",
        "body: \"${ 'a' + \\\n    steps.nope.body \\\n    \\ + steps.nope.body }\"",
    ),
    ("double, escaped breaks", r#"body: "${ 'a' +\n\tsteps.nope.body +\r\n steps.nope.body }""#),
    ("literal", "body: |\n    ${ steps.nope.body +\n      'ü' +\n\n    steps.nope.body }"),
    ("literal, stripped", "body: |-\n    ${ steps.nope.body\n    + steps.nope.body }"),
    ("literal, kept", "body: |+\n    ${ steps.nope.body\n    + steps.nope.body }\n\n"),
    ("literal, indented by a number", "body: |2\n      ${ steps.nope.body\n     + steps.nope.body }"),
    ("literal, empty lines first", "body: |\n\n\n    ${ steps.nope.body\n    + steps.nope.body }"),
    ("literal, with a comment of its own", "body: |\n    ${ 1 // nope: no\n    + steps.nope.body }"),
    ("folded", "body: >\n    ${ steps.nope.body +\n    'ü' +\n\n    steps.nope.body }"),
    ("folded, stripped", "body: >-\n    ${ steps.nope.body\n    + steps.nope.body }"),
    ("folded, kept", "body: >+\n    ${ steps.nope.body\n    + steps.nope.body }\n\n"),
    (
        "folded, more indented",
        "body: >\n    ${ steps.nope.body\n        + 'a'\n        + steps.nope.body\n    + steps.nope.body }",
    ),
    ("folded, indented by a number", "body: >2-\n      ${ steps.nope.body\n    + steps.nope.body }"),
    ("a long key before it", "body: {ключ: '${ steps.nope.body }', b: {c: \"é${ steps.nope.body }\"}}"),
    ("a condition", "body: {$if: '${ steps.nope.body }', $then: {x: \"${ steps.nope.body }\"}}"),
];

/// Line, column and width of every step that does not exist, as the text shows them.
fn wanted(text: &str) -> Vec<(u32, u32, u32)> {
    let lines = (1..).zip(text.split('\n'));
    let in_line = |(line, text): (u32, &str)| {
        let starts = text.match_indices("steps.nope").map(|(at, _)| at + "steps.".len());
        starts.map(|at| (line, text[..at].chars().count() as u32 + 1, 4)).collect::<Vec<_>>()
    };
    lines.flat_map(in_line).collect()
}

fn given(text: &str) -> Vec<(u32, u32, u32)> {
    let (_, findings) = compiled(&[("routes/shop/r.yaml", text)]);
    let steps = findings.items().iter().filter(|finding| finding.code.as_str() == "unknown_step");
    let mut places: Vec<_> =
        steps.map(|finding| (finding.place.line, finding.place.column, finding.place.width)).collect();
    places.sort_unstable();
    places
}

#[test]
fn a_finding_points_at_its_token_in_every_style_of_scalar() {
    for (style, answer) in STYLES {
        let text = format!("{HEAD}match: {{path: /x}}\nrespond:\n  {answer}\n");
        for text in [text.replace('\n', "\r\n"), text] {
            assert!(!wanted(&text).is_empty());
            assert_eq!(given(&text), wanted(&text), "{style}:\n{text}");
        }
    }
}

#[test]
fn an_expression_that_yaml_takes_apart_is_to_be_quoted() {
    for scalar in
        ["${ vars.a ? vars.b : vars.c }", "${ {\"k\": 1} }", "${ \"a #b\" }", "${ [1].map(x, {x: 1}) }"]
    {
        let route = format!("match: {{path: /x}}\nrespond:\n  body: {scalar}\n");
        assert!(said(&route).contains("quote this expression"), "{scalar} gives {}", said(&route));
        let quoted = format!("match: {{path: /x}}\nrespond:\n  body: '{scalar}'\n");
        assert!(!said(&quoted).contains("quote this expression"), "{scalar}");
    }
}
