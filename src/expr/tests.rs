//! Tests of the language as a user meets it: source and data in, JSON or a message out.

mod bounds;
mod conformance;
mod functions;
mod grammar;
mod hostile;
mod numbers;
mod oracle;
mod page;
mod references;
mod semantics;
mod shapes;

use std::collections::HashMap;

use bytes::Bytes;

use super::*;
use crate::json::Document;

/// What slots hold in a test.
pub(super) struct Holder {
    documents: HashMap<Slot, Document>,
    headers: Fields,
    now: Option<(i64, u32)>,
}

#[derive(Clone, Default)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Object for Fields {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        let values: Vec<_> = self.values(key);
        Ok((!values.is_empty()).then(|| Value::Str(Cow::Owned(values.join(", ")))))
    }
    fn keys(&self) -> Vec<Cow<'_, str>> {
        let mut keys: Vec<Cow<'_, str>> = Vec::new();
        for (name, _) in &self.0 {
            if !keys.iter().any(|key| key == name) {
                keys.push(Cow::Borrowed(name));
            }
        }
        keys
    }
    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        self.0
            .iter()
            .filter(|(name, _)| name == key)
            .map(|(_, value)| Cow::Borrowed(value.as_str()))
            .collect()
    }
}

/// `?q=1&q=2`
struct Query;

impl Object for Query {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        Ok((key == "q").then_some(Value::Str(Cow::Borrowed("1"))))
    }
    fn keys(&self) -> Vec<Cow<'_, str>> {
        vec![Cow::Borrowed("q")]
    }
    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        if key == "q" { vec![Cow::Borrowed("1"), Cow::Borrowed("2")] } else { Vec::new() }
    }
}

impl Data for Holder {
    fn seed(&self) -> [u8; 16] {
        *b"0123456789abcdef"
    }
    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError> {
        Ok(match slot {
            Slot::Headers | Slot::Step(_, StepField::Headers) => Some(Value::Object(&self.headers)),
            Slot::Query => Some(Value::Object(&Query)),
            Slot::Now => self.now.map(|(seconds, nanos)| Value::Timestamp(seconds, nanos)),
            slot => self.documents.get(&slot).map(|document| Value::Json(document.root())),
        })
    }
}

pub(super) fn scope() -> Scope {
    let step = |name: &str| StepScope { name: name.to_owned(), for_each: false, compose: false };
    Scope {
        captures: vec!["id".to_owned(), "rest".to_owned()],
        steps: vec![
            step("a"),
            step("b"),
            StepScope { name: "each".to_owned(), for_each: true, compose: false },
            StepScope { name: "composed".to_owned(), for_each: false, compose: true },
        ],
        vars: vec!["v".to_owned(), "w".to_owned()],
        request: true,
        principal: true,
        ..Scope::default()
    }
}

pub(super) fn data(body: &str) -> Holder {
    let document = |text: &str| Document::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    let mut documents = HashMap::new();
    documents.insert(Slot::RequestBody, document(body));
    documents.insert(Slot::Path(0), document("\"c-1\""));
    documents.insert(Slot::Step(0, StepField::Body), document(body));
    documents.insert(Slot::Step(0, StepField::Status), document("200"));
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = Fields(vec![field("accept", "a/b"), field("accept", "c/d"), field("x-tenant", "t")]);
    Holder { documents, headers, now: Some((1_700_000_000, 500_000_000)) }
}

/// Compiles in the usual scope.
pub(super) fn compile(source: &str) -> Program {
    Program::compile(source, &scope()).unwrap_or_else(|faults| panic!("{source}: {faults:?}"))
}

/// The JSON that an expression gives over a body (of the request and of step `a`), or its message.
/// Both ways of evaluation must agree.
pub(super) fn over(body: &str, source: &str) -> String {
    let (program, data, meter) = (compile(source), data(body), Meter::default());
    let frame = Frame { data: &data, meter: &meter, locals: &[], turn: 0 };
    let mut made = Vec::new();
    let by_value = program.eval(&frame).and_then(|value| match value.present() {
        Some(value) => value.write_json(&mut made, &meter).map(|()| true),
        None => Ok(false),
    });
    let mut streamed = Vec::new();
    let by_stream = program.write(&frame, &mut streamed);
    let show = |result: Result<bool, EvalError>, text: Vec<u8>| match result {
        Ok(true) => String::from_utf8(text).unwrap(),
        Ok(false) => "omitted".to_owned(),
        Err(error) => format!("error: {error}"),
    };
    let (made, streamed) = (show(by_value, made), show(by_stream, streamed));
    assert_eq!(made, streamed, "{source}");
    made
}

pub(super) fn eval(source: &str) -> String {
    over("null", source)
}

/// The faults of an expression, one per line: code, offset, length, message, help.
pub(super) fn faults(source: &str) -> String {
    faults_in(source, &scope())
}

pub(super) fn faults_in(source: &str, scope: &Scope) -> String {
    let faults = Program::compile(source, scope).expect_err(source);
    let lines: Vec<String> = faults
        .iter()
        .map(|f| {
            let help = f.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
            format!("{} {}+{}: {}{help}", f.code.as_str(), f.offset, f.len, f.message)
        })
        .collect();
    lines.join("\n")
}
