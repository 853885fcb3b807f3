mod suite;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Document, JsonError> {
    Document::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn reason(text: &str) -> String {
    parse(text).expect_err("is refused").to_string()
}

#[test]
fn reaches_members_and_elements() {
    let document = parse(r#" {"a": [1, {"b": "x"}, [], {}], "c": null, "d": true} "#).unwrap();
    let root = document.root();
    assert_eq!(root.kind(), Kind::Map);
    assert_eq!(root.len(), 3);
    let list = root.get("a").unwrap();
    assert_eq!(list.len(), 4);
    assert_eq!(list.at(1).unwrap().get("b").unwrap().as_str().unwrap(), "x");
    assert!(list.at(3).unwrap().is_empty());
    assert!(list.at(4).is_none());
    assert!(root.get("c").unwrap().is_null());
    assert_eq!(root.get("d").unwrap().as_bool(), Some(true));
    assert!(root.get("e").is_none());
    let keys: Vec<_> = root.members().map(|(key, value)| (key.into_owned(), value.kind())).collect();
    assert_eq!(
        keys,
        [("a".to_owned(), Kind::List), ("c".to_owned(), Kind::Null), ("d".to_owned(), Kind::Bool)]
    );
}

#[test]
fn keeps_the_bytes_of_a_value_as_they_were_received() {
    let document = parse("{\"n\": 9007199254740993, \"m\": [ 1.10 ,1e400], \"s\":\"\\u00e9\"}").unwrap();
    let root = document.root();
    assert_eq!(root.get("n").unwrap().raw(), b"9007199254740993");
    assert_eq!(root.get("m").unwrap().raw(), b"[ 1.10 ,1e400]");
    assert_eq!(root.get("s").unwrap().raw(), b"\"\\u00e9\"");
    assert_eq!(root.get("s").unwrap().as_str().unwrap(), "é");
}

#[test]
fn tells_integers_by_what_they_fit_in() {
    let number = |text: &str| {
        let document = parse(text).unwrap();
        format!("{:?}", document.root().as_number().unwrap())
    };
    assert_eq!(number("-0"), "Int(0)");
    assert_eq!(number("9223372036854775807"), "Int(9223372036854775807)");
    assert_eq!(number("-9223372036854775808"), "Int(-9223372036854775808)");
    assert_eq!(number("9223372036854775808"), "Uint(9223372036854775808)");
    assert_eq!(number("18446744073709551615"), "Uint(18446744073709551615)");
    assert_eq!(number("18446744073709551616"), "Text(\"18446744073709551616\")");
    assert_eq!(number("-9223372036854775809"), "Text(\"-9223372036854775809\")");
    assert_eq!(number("123456789012345678901234567890"), "Text(\"123456789012345678901234567890\")");
    assert_eq!(number("1.0"), "Double(1.0)");
    assert_eq!(number("1e400"), "Double(inf)");
}

#[test]
fn refuses_a_duplicate_key_however_it_is_spelt() {
    assert_eq!(reason(r#"{"a":1,"b":2,"a":3}"#), "a key stands twice in one map at byte 13");
    assert_eq!(reason(r#"{"a":1,"\u0061":3}"#), "a key stands twice in one map at byte 7");
    assert_eq!(reason(r#"{"\u0061":1,"a":3}"#), "a key stands twice in one map at byte 12");
    assert_eq!(reason(r#"[{"k":{"x":1,"y":2,"x":3}}]"#), "a key stands twice in one map at byte 19");
    assert!(parse(r#"[{"a":1},{"a":1},{"b":{"a":{"a":2}}}]"#).is_ok());
}

#[test]
fn finds_the_only_duplicate_of_a_large_map_without_a_long_search() {
    let members: Vec<String> = (0..50_000).map(|i| format!("\"key-{i}\":{i}")).collect();
    let fine = format!("{{{}}}", members.join(","));
    let started = std::time::Instant::now();
    assert_eq!(parse(&fine).unwrap().root().get("key-49999").unwrap().raw(), b"49999");
    let twice = format!("{{{},\"key-7\":0}}", members.join(","));
    assert!(reason(&twice).starts_with("a key stands twice"));
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn bounds_depth_and_needs_no_stack_for_it() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(reason(&nested(MAX_DEPTH + 1)).starts_with("the nesting is too deep"));
    assert!(reason(&"{\"a\":".repeat(1_000_000)).starts_with("the nesting is too deep"));
}

#[test]
fn refuses_what_is_not_json() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "-",
        "nul",
        "tru",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\n\"",
        "\u{feff}1",
        "1 1",
        "[1}",
        "{\"a\" 1}",
        "{\"a\":}",
        "NaN",
        "'a'",
        "[,1]",
        "// x\n1",
        "\u{a0}1",
        "]",
        "\"\\u00G0\"",
    ] {
        assert!(parse(text).is_err(), "{text:?} was accepted");
    }
    let error = Document::parse(Bytes::from_static(b"\"\xff\"")).unwrap_err();
    assert_eq!(error, JsonError { offset: 1, reason: "the text is not valid UTF-8" });
    assert_eq!(reason(""), "the document is empty at byte 0");
}

#[test]
fn undoes_every_escape() {
    let document = parse(r#""\"\\\/\b\f\n\r\t\u20ac\ud83d\ude00 é""#).unwrap();
    assert_eq!(document.root().as_str().unwrap(), "\"\\/\u{8}\u{c}\n\r\t€😀 é");
    let document = parse(r#"{"a\nb": 1}"#).unwrap();
    assert_eq!(document.root().get("a\nb").unwrap().raw(), b"1");
}

#[test]
fn writes_strings_that_read_back() {
    for text in [
        "",
        "plain",
        "a \"quoted\" one",
        "back\\slash",
        "\u{0}\u{1f}\n\r\t\u{8}\u{c}",
        "é😀\u{7f}\u{2028}",
        "12345678\"12345678",
    ] {
        let mut out = Vec::new();
        write_string(text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|v| json!(v)),
        any::<i64>().prop_map(|v| json!(v)),
        any::<u64>().prop_map(|v| json!(v)),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| json!(v)),
        any::<String>().prop_map(|v| json!(v)),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..40)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn rebuild(value: Ref<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool => value.as_bool().into(),
        Kind::Number => serde_json::from_slice(value.raw()).unwrap(),
        Kind::String => value.as_str().unwrap().into(),
        Kind::List => value.items().map(rebuild).collect::<Vec<_>>().into(),
        Kind::Map => {
            serde_json::Value::Object(value.members().map(|(k, v)| (k.into_owned(), rebuild(v))).collect())
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(Bytes::from(bytes));
    }

    #[test]
    fn near_json_is_judged_as_serde_json_judges_it(text in "[\\[\\]{}:,\"\\\\ u0-9a-f.eE+ntrls-]{0,12}") {
        let ours = parse(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let beyond = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        let twice = ours.as_ref().is_err_and(|error| error.reason.contains("twice"));
        prop_assert!(beyond || twice || ours.is_ok() == theirs.is_ok(), "{text:?}: {ours:?} {theirs:?}");
    }

    #[test]
    fn every_document_reads_back_whole(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let document = parse(&text).unwrap();
        prop_assert_eq!(document.root().raw(), text.as_bytes());
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(rebuild(document.root()), expected);
    }

    #[test]
    fn a_document_cut_short_or_changed_is_never_a_panic(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        let _ = Document::parse(Bytes::copy_from_slice(&bytes[..at]));
        bytes[at] = byte;
        let ours = Document::parse(Bytes::copy_from_slice(&bytes));
        let theirs = serde_json::from_slice::<serde_json::Value>(&bytes);
        if ours.is_ok() {
            prop_assert!(theirs.is_ok() || theirs.unwrap_err().to_string().contains("out of range"));
        }
    }
}
