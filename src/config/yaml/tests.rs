use proptest::prelude::*;

use super::*;

fn read_text(text: &str) -> (Vec<Node>, Diagnostics) {
    let mut findings = Diagnostics::default();
    let nodes = parse(&"a.yaml".into(), &text.into(), &mut findings);
    (nodes, findings)
}

fn only(text: &str) -> Node {
    let (mut nodes, findings) = read_text(text);
    assert_eq!(findings.items(), [], "{text}");
    assert_eq!(nodes.len(), 1, "{text}");
    nodes.remove(0)
}

fn value(text: &str) -> Node {
    only(text).get("v").expect("the text has a key v").clone()
}

fn text_of(node: &Node) -> &str {
    match &node.value {
        Value::Text(text) | Value::Number(text) => text,
        other => panic!("not a text: {other:?}"),
    }
}

fn at(place: &Place) -> (u32, u32, u32) {
    (place.line, place.column, place.width)
}

/// Every `§` of the value is found at a `§` of the file, in order.
fn finds_marks(text: &str) {
    let node = value(text);
    let shown = text_of(&node).to_owned();
    let wanted: Vec<(u32, u32)> = (1..)
        .zip(text.lines())
        .flat_map(|(line, text)| {
            (1..).zip(text.chars()).filter(|(_, c)| *c == '§').map(move |(column, _)| (line, column))
        })
        .collect();
    let found: Vec<(u32, u32)> = shown
        .match_indices('§')
        .map(|(offset, _)| node.place_at(offset, 1))
        .map(|place| (place.line, place.column))
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(found, wanted, "{text:?} gives {shown:?}");
}

#[test]
fn keys_and_values_know_their_place() {
    let root = only("a: 1\nlonger: {b: [x, yy]}\n");
    let Value::Map(entries) = &root.value else { panic!("not a map") };
    assert_eq!(at(&entries[0].0.place), (1, 1, 1));
    assert_eq!(at(&entries[0].1.place), (1, 4, 1));
    assert_eq!(at(&entries[1].0.place), (2, 1, 6));
    let inner = entries[1].1.get("b").unwrap();
    assert_eq!(at(&inner.place), (2, 13, 1));
    let Value::List(items) = &inner.value else { panic!("not a list") };
    assert_eq!(at(&items[1].place), (2, 17, 2));
}

#[test]
fn columns_count_characters() {
    let root = only("äöü: {'ключ': 値}\n");
    let Value::Map(entries) = &root.value else { panic!("not a map") };
    let Value::Map(inner) = &entries[0].1.value else { panic!("not a map") };
    assert_eq!(at(&inner[0].0.place), (1, 7, 6));
    assert_eq!(at(&inner[0].1.place), (1, 15, 1));
}

#[test]
fn an_empty_value_is_null_beside_its_key() {
    let node = only("a:\n  v:\nb: 1\n").get("a").unwrap().get("v").unwrap().clone();
    assert!(matches!(node.value, Value::Null));
    assert_eq!(node.place.line, 2);
}

#[test]
fn finds_an_offset_in_a_plain_scalar() {
    finds_marks("v: §a b§ ü§x § end§\n");
    finds_marks("v: §one  §two\n   §three §four\n\n\n     §five §\nw: x\n");
    finds_marks("w: {v: x}\nv: §in the last line§");
}

#[test]
fn finds_an_offset_in_a_single_quoted_scalar() {
    finds_marks("v: '§it''s§ ''§'' ü§'\n");
    finds_marks("v: ' §one  §two  \n   §three ''§\n\n  § '\n");
}

#[test]
fn finds_an_offset_in_a_double_quoted_scalar() {
    finds_marks(r#"v: "§a\n§b\"§\\§\t§\x41§\u00e4§\U0001F600§\N§\_§\L§\P§\/§\e§\0§""#);
    finds_marks("v: \"§one  §two  \n   §three \\\n   §four\\ \\\n\n  §\\  §\"\n");
    finds_marks("v: \"\\uD83D\\uDE00§ 値§\"\n");
}

#[test]
fn finds_an_offset_in_a_literal_scalar() {
    finds_marks("v: |\n  §a b§\n    §indented\n\n  §ü§\n");
    finds_marks("v: |2-\n    §x\n  §y\n\n\nw: 1\n");
    finds_marks("v: |\n\n\n  §a\n  §b # no comment §\n");
}

#[test]
fn finds_an_offset_in_a_folded_scalar() {
    finds_marks("v: >\n  §a b§\n  §c\n\n  §d\n    §more\n    §more\n\n\n  §ü§\n");
    finds_marks("v: >-\n  §a§\n  §b\n");
}

#[test]
fn finds_an_offset_after_windows_line_ends() {
    finds_marks("v: |\r\n  §a b§\r\n  §c\r\n");
    finds_marks("v: \"§a\r\n  §b\r\n\r\n §c\"\r\n");
    finds_marks("v: >\r\n  §a\r\n  §b\r\n\r\n  §c\r\n");
}

#[test]
fn finds_the_end_of_a_scalar() {
    for text in ["v: abc\n", "v: 'abc'\n", "v: \"abc\"\n"] {
        let quote = u32::from(text.contains(['\'', '"']));
        assert_eq!(at(&value(text).place_at(3, 1)), (1, 7 + quote, 1), "{text}");
    }
}

#[test]
fn numbers_and_versions_keep_their_text() {
    let root = only("v: 1.20\nbig: 123456789012345678901234567890\nq: '1.20'\n");
    assert!(matches!(&root.get("v").unwrap().value, Value::Number(text) if text == "1.20"));
    assert!(matches!(&root.get("big").unwrap().value, Value::Number(text) if text.len() == 30));
    assert!(matches!(&root.get("q").unwrap().value, Value::Text(text) if text == "1.20"));
}

#[test]
fn a_duplicate_key_is_a_finding_and_the_first_one_stays() {
    let (nodes, findings) = read_text("a: 1\nb: 2\na: 3\n");
    let finding = &findings.items()[0];
    assert_eq!((finding.code, at(&finding.place)), (Code::DuplicateKey, (3, 1, 1)));
    assert_eq!(finding.related.as_ref().map(|(place, _)| at(place)), Some((1, 1, 1)));
    assert!(matches!(&nodes[0].get("a").unwrap().value, Value::Number(text) if text == "1"));
    assert!(nodes[0].get("b").is_some());
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    let (nodes, findings) = read_text("a: 1\n---\nb: [1, 2\n---\nc: 3\n");
    assert_eq!(nodes.len(), 2);
    assert_eq!(findings.items().len(), 1);
    assert!(nodes[1].get("c").is_some());
}

#[test]
fn a_yaml_error_in_an_expression_says_quote_it() {
    for text in [
        "v: ${ a ? b : c }\n",
        "v: ${ {\"a\": 1} }\n",
        "v: {x: ${ a }}\n",
        "v: {id: ${ a }, b: 1}\nw: 1\n",
        "- [${ a }]\n",
        "v: {x: 1, y: ${ f(a, b) }}\n",
        "v: \"${ \"a\" }\"\n",
        "v: '${ 'a' }'\n",
    ] {
        let (_, findings) = read_text(text);
        assert!(!findings.items().is_empty(), "{text}");
        let finding = &findings.items()[0];
        assert_eq!(finding.code, Code::Yaml);
        assert!(
            finding.help.as_ref().is_some_and(|help| help.contains("quote this expression")),
            "{text}: {finding:?}"
        );
    }
    for text in ["v: \"${ a }\" b: c\n", "v: '${ a }'\nw: [1\n", "# ${ a }\nv: [1\n"] {
        let (_, findings) = read_text(text);
        assert!(!findings.items().is_empty(), "{text}");
        assert_eq!(findings.items()[0].help, None, "{text}");
    }
}

#[test]
fn an_expression_cut_by_a_comment_is_recognised() {
    assert!(value("v: ${ \"a #b\" }\n").cut_by_comment());
    assert!(!value("v: ${ a } # says why\n").cut_by_comment());
    assert!(!value("v: '${ \"a #b\" }'\n").cut_by_comment());
    assert!(!value("v: ${ a\n").cut_by_comment());
    assert!(!value("v: $${ a # x\n").cut_by_comment());
}

#[test]
fn an_unknown_tag_and_an_unknown_alias_are_findings() {
    let (_, findings) = read_text("a: !secret x\nb: [*.example.com, z]\nc: !!str 1\n");
    let places: Vec<_> = findings.items().iter().map(|finding| at(&finding.place)).collect();
    assert_eq!(places, [(1, 4, 7), (2, 5, 13)]);
    assert!(findings.items()[1].help.as_ref().unwrap().contains("\"*.example.com\""));
}

#[test]
fn an_alias_stands_where_it_is_used() {
    let root = only("a: &x {k: '${ b }'}\nb: *x\n");
    let b = root.get("b").unwrap();
    assert_eq!(at(&b.place), (2, 4, 2));
    let inner = b.get("k").unwrap();
    assert_eq!(at(&inner.place_at(3, 1)), (1, 15, 1));
}

#[test]
fn bombs_end_with_a_finding() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        laughs += &format!("a{level}: &a{level} [{}]\n", [below.as_str(); 9].join(", "));
    }
    let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(3000), "*a, ".repeat(3000));
    let itself = "a: &a [*a]\n".to_owned();
    let deep = "[".repeat(1_000_000);
    let dashes = "- ".repeat(100_000);
    let maps = "{a: ".repeat(100_000);
    let questions = "? ".repeat(100_000);
    let lines: String = (0..1500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let anchors = format!("{}x", "&a [".repeat(60));
    for text in [laughs, wide, itself, deep, dashes, maps, questions, lines, anchors] {
        let (_, findings) = read_text(&text);
        assert!(findings.has_errors(), "{}", text.get(..40).unwrap_or(&text));
    }
}

#[test]
fn many_values_stay_within_the_budget() {
    let (nodes, findings) = read_text(&"- a\n".repeat(99_999));
    assert_eq!((nodes.len(), findings.items().len()), (1, 0));
    let (nodes, findings) = read_text(&format!("{}---\nb: 1\n", "- a\n".repeat(100_000)));
    assert_eq!((nodes.len(), findings.items().len()), (1, 1), "the next document is still read");
    let text: Arc<str> = "{a: b}".into();
    let mut budget = Budget { nodes: 5, copied: 0 };
    let mut findings = Diagnostics::default();
    for _ in 0..2 {
        read(&"a".into(), &text, &mut budget, &mut findings, &mut |_, _, _| {});
    }
    assert_eq!(findings.items().len(), 1, "the budget holds over files");
}

#[test]
fn a_file_above_four_mebibytes_is_refused() {
    let (nodes, findings) = read_text(&" ".repeat(MAX_FILE_BYTES + 1));
    assert!(nodes.is_empty());
    assert_eq!(findings.items()[0].code, Code::FileTooLarge);
}

/// Asks every scalar for the place of every offset.
fn ask_everywhere(node: &Node) {
    match &node.value {
        Value::List(items) => items.iter().for_each(ask_everywhere),
        Value::Map(entries) => entries.iter().for_each(|(_, node)| ask_everywhere(node)),
        Value::Text(text) => {
            for offset in 0..=text.len() + 1 {
                let place = node.place_at(offset, 1);
                assert!(place.line >= node.place.line || node.source.line != node.place.line);
            }
            let _ = node.cut_by_comment();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        read_text(&text).0.iter().for_each(ask_everywhere);
    }

    #[test]
    fn no_mix_of_indicators_makes_it_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "v: ", "\n", "\r\n", "\r", "  ", "- ", "{", "}", "[", "]", ",", "'", "\"", "\\", "\\u12", "|", ">",
                "&a ", "*a", "!t ", "#", " #", "${", "}", "? ", ": ", "---\n", "...\n", "%", "ü", "\t", "\u{feff}", "値",
            ]),
            0..40,
        ),
    ) {
        read_text(&parts.concat()).0.iter().for_each(ask_everywhere);
    }

    #[test]
    fn every_style_leads_back_to_the_same_characters(
        lines in prop::collection::vec("[a-zäöü値]{1,4}( {1,2}[a-z§]{1,3}){0,2}", 1..5),
        gap in 1usize..3,
        style in 0usize..5,
    ) {
        let body = lines.join(&format!("{}  ", "\n".repeat(gap)));
        let text = match style {
            0 => format!("v: {body}\n"),
            1 => format!("v: '{body}'\n"),
            2 => format!("v: \"{body}\"\n"),
            3 => format!("v: |\n  {body}\n"),
            _ => format!("v: >\n  {body}\n"),
        };
        let node = value(&text);
        let shown = text_of(&node).to_owned();
        let lines: Vec<&str> = text.split('\n').collect();
        for (offset, c) in shown.char_indices().filter(|(_, c)| !c.is_whitespace()) {
            let place = node.place_at(offset, 1);
            let there = lines[place.line as usize - 1].chars().nth(place.column as usize - 1);
            prop_assert_eq!(there, Some(c), "{:?} at {}", text, offset);
        }
    }
}
