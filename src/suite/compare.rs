//! What a test writes against what came: values leaf by leaf, each with its place in the test file.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    config::{Node, yaml::Value},
    diagnostic::Place,
    json::{Document, Kind, Number, Ref, write_string},
};

/// One expectation that does not hold.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) place: Place,
    pub(super) what: String,
    pub(super) wanted: String,
    pub(super) got: String,
}

impl Difference {
    pub(super) fn new(
        place: &Place,
        what: impl Into<String>,
        wanted: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self { place: place.clone(), what: what.into(), wanted: wanted.into(), got: got.into() }
    }
}

/// How much of a value a message shows.
const MOST_SHOWN: usize = 200;

/// Compares a body: as JSON where it is, else as text. `exact` allows no key that is not written.
pub(super) fn body(what: &str, asked: &Node, got: &Bytes, exact: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Value::Text(text) = &asked.value
        && text.as_bytes() == &got[..]
    {
        return found;
    }
    match Document::parse(got.clone()) {
        Ok(document) => value(what, asked, document.root(), exact, &mut found),
        Err(_) if got.is_empty() => {
            found.push(Difference::new(&asked.place, what, shown(asked), "an empty body"));
        }
        Err(_) => {
            found.push(Difference::new(&asked.place, what, shown(asked), cut(&String::from_utf8_lossy(got))));
        }
    }
    found
}

/// Nests no deeper than the test file, which is bounded.
fn value(what: &str, asked: &Node, got: Ref<'_>, exact: bool, found: &mut Vec<Difference>) {
    let equal = match &asked.value {
        Value::Null => got.is_null(),
        Value::Bool(flag) => got.as_bool() == Some(*flag),
        Value::Number(text) => got.as_number().is_some_and(|number| is_number(text, number, got.raw())),
        Value::Text(text) => got.as_str().as_deref() == Some(text),
        Value::List(nodes) if got.kind() == Kind::List && nodes.len() == got.len() => {
            for (index, (node, item)) in nodes.iter().zip(got.items()).enumerate() {
                value(&format!("{what}[{index}]"), node, item, exact, found);
            }
            return;
        }
        Value::List(nodes) if got.kind() == Kind::List => {
            let wanted = format!("{} elements", nodes.len());
            let got = format!("{}: {}", got.len(), raw(got));
            found.push(Difference::new(&asked.place, what, wanted, got));
            return;
        }
        Value::Map(entries) if got.kind() == Kind::Map => {
            map(what, asked, entries, got, exact, found);
            return;
        }
        Value::List(_) | Value::Map(_) => false,
    };
    if !equal {
        found.push(Difference::new(&asked.place, what, shown(asked), raw(got)));
    }
}

fn map(
    what: &str,
    asked: &Node,
    entries: &[(crate::config::Spanned<String>, Node)],
    got: Ref<'_>,
    exact: bool,
    found: &mut Vec<Difference>,
) {
    for (name, node) in entries {
        let what = format!("{what}.{}", name.value);
        match got.get(name) {
            Some(member) => value(&what, node, member, exact, found),
            None => found.push(Difference::new(&name.place, what, shown(node), "no such key")),
        }
    }
    if exact {
        for (name, member) in got.members() {
            if !entries.iter().any(|(asked, _)| *asked.value == *name) {
                let what = format!("{what}.{name}");
                found.push(Difference::new(&asked.place, what, "no such key", raw(member)));
            }
        }
    }
}

/// Equal as text, or as a number where both fit one.
fn is_number(asked: &str, got: Number<'_>, raw: &[u8]) -> bool {
    asked.as_bytes() == raw
        || match (asked.parse::<i64>(), got) {
            (Ok(asked), Number::Int(got)) => asked == got,
            (_, Number::Int(got)) => asked.parse() == Ok(got as f64),
            (_, Number::Uint(got)) => asked.parse() == Ok(got),
            (_, Number::Double(got)) => asked.parse() == Ok(got),
            (_, Number::Text(_)) => false,
        }
}

fn raw(value: Ref<'_>) -> String {
    cut(&String::from_utf8_lossy(value.raw()))
}

/// At most so much of a text that a line can hold it.
pub(super) fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(MOST_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// A value of the test file as a message shows it.
pub(super) fn shown(node: &Node) -> String {
    let mut out = Vec::new();
    write(node, &mut out);
    cut(&String::from_utf8_lossy(&out))
}

/// A scalar as the text that a header or a parameter has.
pub(super) fn text_of(node: &Node) -> Option<Cow<'_, str>> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(Cow::Borrowed(text)),
        Value::Bool(flag) => Some(Cow::Owned(flag.to_string())),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// A value of the test file as JSON.
pub(super) fn write(node: &Node, out: &mut Vec<u8>) {
    match &node.value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(flag) => out.extend_from_slice(flag.to_string().as_bytes()),
        Value::Number(text) => out.extend_from_slice(text.as_bytes()),
        Value::Text(text) => write_string(text, out),
        Value::List(nodes) => {
            out.push(b'[');
            for (index, node) in nodes.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(node, out);
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            out.push(b'{');
            for (index, (name, node)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write(node, out);
            }
            out.push(b'}');
        }
    }
}

/// A body to send and its media type: a text as it is, anything else as JSON.
pub(super) fn encode(body: Option<&Node>) -> (Bytes, Option<&'static str>) {
    match body {
        None => (Bytes::new(), None),
        Some(Node { value: Value::Text(text), .. }) => {
            (text.clone().into(), Some("text/plain; charset=utf-8"))
        }
        Some(node) => {
            let mut out = Vec::new();
            write(node, &mut out);
            (out.into(), Some("application/json"))
        }
    }
}
