//! Any bytes as a document: taken or refused as `serde_json` does, but for what we decided, and everything
//! that is taken reads and writes back the same.
#![no_main]

use std::{collections::HashSet, fmt};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use segue::json::{Document, Kind, Ref, escaped_len, write_escaped, write_string};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What the other reader says of a document in which no key may stand twice.
struct Strict;

struct Reader;

const TWICE: &str = "a key stands twice";

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strict, A::Error> {
        while list.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let (mut keys, mut twice) = (HashSet::new(), false);
        while let Some((key, Strict)) = map.next_entry::<String, Strict>()? {
            twice |= !keys.insert(key);
        }
        // At its end, so that what is wrong in another way is said first.
        if twice { Err(A::Error::custom(TWICE)) } else { Ok(Strict) }
    }
}

fn rebuild(value: Ref<'_>) -> serde_json::Value {
    use serde_json::Value;
    match value.kind() {
        Kind::Null => Value::Null,
        Kind::Bool => value.as_bool().expect("a boolean").into(),
        Kind::Number => serde_json::from_str(value.text()).expect("a number"),
        Kind::String => value.as_str().expect("a string").into(),
        Kind::List => value.items().map(rebuild).collect(),
        Kind::Map => value.members().map(|(key, value)| (key.into_owned(), rebuild(value))).collect(),
    }
}

fn walk(value: Ref<'_>) {
    if let Some(text) = value.as_str() {
        let mut out = Vec::new();
        write_string(&text, &mut out);
        let again = Document::parse(Bytes::from(out)).expect("what is written is a document");
        assert_eq!(again.root().as_str().as_deref(), Some(&*text));
        let mut inner = Vec::new();
        write_escaped(&text, &mut inner);
        assert_eq!(inner.len(), escaped_len(&text));
    }
    if let Some(number) = value.as_number() {
        let theirs: Result<f64, _> = value.text().parse();
        if let segue::json::Number::Double(ours) = number {
            assert_eq!(ours.to_bits(), theirs.expect("a number").to_bits(), "{}", value.text());
        }
    }
    for (index, item) in value.items().enumerate() {
        assert_eq!(value.at(index).map(Ref::text), Some(item.text()));
        walk(item);
    }
    for (key, member) in value.members() {
        assert_eq!(value.get(&key).map(Ref::text), Some(member.text()));
        walk(member);
    }
    let alone = Document::parse(Bytes::copy_from_slice(value.raw())).expect("a part is a document");
    assert_eq!(alone.root().raw(), value.raw());
}

fuzz_target!(|bytes: &[u8]| {
    let ours = Document::parse(Bytes::copy_from_slice(bytes));
    match (&ours, serde_json::from_slice::<Strict>(bytes)) {
        (Ok(document), Ok(_)) => {
            assert_eq!(rebuild(document.root()), serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON"));
            // Parts of parts are read again and again, so not for long.
            if bytes.len() < 512 {
                walk(document.root());
            }
        }
        (Err(error), Err(_)) => assert!(error.offset <= bytes.len()),
        // Its bound on nesting is one level lower, and numbers beyond float64 are kept as text here.
        (Ok(_), Err(theirs)) => {
            let words = theirs.to_string();
            assert!(words.contains("recursion limit") || words.contains("out of range"), "only taken here: {words}");
        }
        (Err(error), Ok(_)) => panic!("only refused here: {error}"),
    }
});
