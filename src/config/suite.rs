//! `*.test.yaml`: tests of templates as their authors write them. Shape only; whether a name exists is for
//! whoever runs them to say.

mod answer;
mod principal;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method};

use super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    document::is_test,
    keys::{Key, Object, Shape, optional, required},
    tree::{SourceFile, Tree},
    yaml::{self, Budget, Value},
};
use crate::diagnostic::{Code, Diagnostics, Place};

pub use answer::{AnswerBody, AnswerTemplate, Fault};
use principal::PRINCIPAL;
pub use principal::PrincipalTemplate;

static SUITE: Object = Object {
    name: "a test file",
    keys: &[
        optional("mocks", Shape::Map(&Shape::Value), "Answers for every test of the file that has no own."),
        optional("env", Shape::Map(&Shape::Text), "Values of environment variables that templates name."),
        required("tests", Shape::List(&Shape::Object(&TEST)), "The tests."),
    ],
    one_of: &[],
    open: false,
};

static TEST: Object = Object {
    name: "a test",
    keys: &[
        required("name", Shape::Text, "A sentence that says what holds."),
        required("request", Shape::Object(&REQUEST), "What the client sends."),
        optional(
            "before",
            Shape::List(&Shape::Object(&EARLIER)),
            "Requests that were sent before, in this order; nothing is expected of them.",
        ),
        optional(
            "mocks",
            Shape::Map(&Shape::Value),
            "What answers the calls: by step, operation or service.",
        ),
        optional("expect", Shape::Object(&EXPECT), "The answer."),
        optional(
            "calls",
            Shape::List(&Shape::Value),
            "Calls that are made, in this order; others may be between.",
        ),
        optional("never", Shape::List(&Shape::Text), "What is not called."),
    ],
    one_of: &[],
    open: false,
};

macro_rules! request_keys {
    ($($more:expr),* $(,)?) => {
        &[
            optional("method", Shape::Text, "The method (GET)."),
            required("path", Shape::Text, "The path; may have a query."),
            optional("query", Shape::Map(&Shape::Value), "Query parameters; a list repeats."),
            optional("headers", Shape::Map(&Shape::Value), "Fields; a list repeats."),
            optional("host", Shape::Text, "The host (segue.test)."),
            optional("body", Shape::Value, "The body: a text as it is, anything else as JSON."),
            optional("leavesAfter", Shape::Duration, "When the client leaves without waiting for the answer."),
            optional("principal", Shape::Object(&PRINCIPAL), "Who it is from, as if authenticated."),
            $($more),*
        ]
    };
}

static REQUEST: Object = Object { name: "a request", keys: request_keys![], one_of: &[], open: false };

static EARLIER: Object = Object {
    name: "an earlier request",
    keys: request_keys![
        optional("times", Shape::Count(1, 10_000), "How often it is sent, one after the other (1)."),
        optional("underWay", Shape::Flag, "Whether what follows does not wait for its answer (false)."),
        optional("pause", Shape::Duration, "How long it is until what follows, on the test's clock (0s)."),
    ],
    one_of: &[],
    open: false,
};

static EXPECT: Object = Object {
    name: "expect",
    keys: &[
        optional("status", Shape::Count(100, 599), "The status."),
        optional(
            "headers",
            Shape::Map(&Shape::Value),
            "Fields; `null` for one that is absent, a list for all values.",
        ),
        optional("body", Shape::Value, "The body; maps may have more keys than are written here."),
        optional("exactBody", Shape::Value, "The body, with no other key than these."),
        optional("degraded", Shape::Value, "Names of degraded steps; or a map of names and reasons."),
        optional("within", Shape::Duration, "How long the answer may take, on the test's clock."),
    ],
    one_of: &[],
    open: false,
};

static CONTENT: Object =
    Object { name: "the content of a call", keys: CONTENT_KEYS, one_of: &[], open: false };

const CONTENT_KEYS: &[Key] = &[
    optional("method", Shape::Text, "The method."),
    optional("path", Shape::Text, "The path, percent-encoded as it is sent."),
    optional("query", Shape::Map(&Shape::Value), "Query parameters, decoded; `null` for one that is absent."),
    optional("headers", Shape::Map(&Shape::Value), "Fields; `null` for one that is absent."),
    optional("body", Shape::Value, "The body; maps may have more keys."),
    optional("times", Shape::Count(0, 10_000), "How often it is made; in `calls` only (at least once)."),
];

/// A test file's document.
#[derive(Clone, Debug)]
pub struct SuiteTemplate {
    /// Its file.
    pub file: Arc<str>,
    /// The unit whose names it writes without the unit.
    pub unit: Arc<str>,
    /// `env`
    pub env: Vec<(String, String)>,
    /// `mocks` of all tests.
    pub mocks: Vec<MockTemplate>,
    /// `tests`
    pub tests: Vec<TestTemplate>,
}

/// A test.
#[derive(Clone, Debug)]
pub struct TestTemplate {
    /// `name`
    pub name: Spanned<String>,
    /// `before`
    pub before: Vec<EarlierTemplate>,
    /// `request`
    pub request: RequestTemplate,
    /// `mocks`
    pub mocks: Vec<MockTemplate>,
    /// `expect`
    pub expect: ExpectTemplate,
    /// `calls`: each entry is a group whose order does not matter.
    pub calls: Vec<Vec<CallTemplate>>,
    /// `never`
    pub never: Vec<Spanned<String>>,
}

/// `request`
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    /// Where it stands.
    pub place: Place,
    /// `method` (GET)
    pub method: Method,
    /// `path`, maybe with a query.
    pub path: Spanned<String>,
    /// `query`
    pub query: Vec<(String, String)>,
    /// `headers`
    pub headers: Vec<(HeaderName, Spanned<String>)>,
    /// `host` (segue.test)
    pub host: String,
    /// `body`
    pub body: Option<Node>,
    /// `principal`
    pub principal: Option<PrincipalTemplate>,
    /// `leavesAfter`
    pub leaves_after: Option<Duration>,
}

/// An entry of `before`.
#[derive(Clone, Debug)]
pub struct EarlierTemplate {
    /// What is sent.
    pub request: RequestTemplate,
    /// `times` (1)
    pub times: u32,
    /// `underWay` (false)
    pub under_way: bool,
    /// `pause` (0s)
    pub pause: Duration,
}

/// What answers the calls of one name.
#[derive(Clone, Debug)]
pub struct MockTemplate {
    /// A step, an operation, a service, or `proxy`.
    pub target: Spanned<String>,
    /// In sequence; the last one goes on.
    pub answers: Vec<AnswerTemplate>,
}

/// What a call has.
#[derive(Clone, Debug, Default)]
pub struct ContentTemplate {
    /// `method`
    pub method: Option<Spanned<String>>,
    /// `path`
    pub path: Option<Spanned<String>>,
    /// `query`
    pub query: Vec<(Spanned<String>, Node)>,
    /// `headers`
    pub headers: Vec<(Spanned<HeaderName>, Node)>,
    /// `body`
    pub body: Option<Node>,
}

/// An entry of `calls`.
#[derive(Clone, Debug)]
pub struct CallTemplate {
    /// A step, an operation, a service, or `proxy`.
    pub target: Spanned<String>,
    /// What it sends.
    pub content: ContentTemplate,
    /// `times`; at least once when absent.
    pub times: Option<u32>,
}

/// Names of steps, maybe with reasons.
pub type Degraded = Vec<(Spanned<String>, Option<Spanned<String>>)>;

/// `expect`
#[derive(Clone, Debug, Default)]
pub struct ExpectTemplate {
    /// `status`
    pub status: Option<Spanned<u16>>,
    /// `headers`
    pub headers: Vec<(Spanned<HeaderName>, Node)>,
    /// `body`
    pub body: Option<Node>,
    /// `exactBody`
    pub exact_body: Option<Node>,
    /// `degraded`: names, maybe with reasons.
    pub degraded: Option<Spanned<Degraded>>,
    /// `within`
    pub within: Option<Spanned<Duration>>,
}

impl TestTemplate {
    /// Whether it says of anything how it should be.
    #[must_use]
    pub fn expects_something(&self) -> bool {
        let ExpectTemplate { status, headers, body, exact_body, degraded, within } = &self.expect;
        let of_answer = status.is_some() || body.is_some() || exact_body.is_some();
        let of_rest = degraded.is_some() || within.is_some() || !headers.is_empty();
        of_answer || of_rest || !self.calls.is_empty() || !self.never.is_empty()
    }
}

/// Decodes the test files that are wanted and reports every shape finding.
#[must_use]
pub fn parse(tree: &Tree, wanted: &dyn Fn(&str) -> bool, findings: &mut Diagnostics) -> Vec<SuiteTemplate> {
    let mut suites = Vec::new();
    let mut budget = Budget::default();
    for file in tree.files.iter().filter(|file| is_test(&file.path) && wanted(&file.path)) {
        parse_file(tree, file, &mut budget, &mut suites, findings);
    }
    suites
}

fn parse_file(
    tree: &Tree,
    file: &SourceFile,
    budget: &mut Budget,
    suites: &mut Vec<SuiteTemplate>,
    findings: &mut Diagnostics,
) {
    let unit: Arc<str> = file.unit.clone().unwrap_or_else(|| "".into());
    let mut named = BTreeSet::new();
    yaml::read(&file.path, &file.text, budget, findings, &mut |node, _, findings| {
        let mut decoder = Decoder {
            findings,
            tree,
            file: &file.path,
            unit: unit.clone(),
            granted: Vec::new(),
            named: &mut named,
        };
        suites.extend(suite(&mut decoder, &node, file, &unit));
    });
}

fn suite(
    decoder: &mut Decoder<'_>,
    node: &Node,
    file: &SourceFile,
    unit: &Arc<str>,
) -> Option<SuiteTemplate> {
    let fields = decoder.fields("document", &SUITE, node, &node.place)?;
    let mut env = Vec::new();
    for (name, value) in decoder.map(&fields, "env") {
        env.extend(decoder.text_of(&name.value, value).map(|text| (name.value.clone(), text.value)));
    }
    let mocks = mocks(decoder, &fields);
    let mut tests = Vec::new();
    for node in decoder.list(&fields, "tests") {
        tests.extend(test(decoder, node));
    }
    Some(SuiteTemplate { file: Arc::clone(&file.path), unit: Arc::clone(unit), env, mocks, tests })
}

fn test(decoder: &mut Decoder<'_>, node: &Node) -> Option<TestTemplate> {
    let fields = decoder.fields("tests", &TEST, node, &node.place)?;
    let name = decoder.text(&fields, "name");
    let mut before = Vec::new();
    for node in decoder.list(&fields, "before") {
        before.extend(earlier(decoder, node));
    }
    let request = decoder.object(&fields, "request").and_then(|fields| request(decoder, &fields));
    let mocks = mocks(decoder, &fields);
    let expect = expect(decoder, &fields);
    let mut calls = Vec::new();
    for entry in decoder.list(&fields, "calls") {
        let group = match &entry.value {
            Value::List(entries) => entries.as_slice(),
            _ => std::slice::from_ref(entry),
        };
        calls.push(group.iter().filter_map(|entry| call(decoder, entry)).collect());
    }
    let mut never = Vec::new();
    for node in decoder.list(&fields, "never") {
        never.extend(decoder.text_of("never", node));
    }
    Some(TestTemplate { name: name?, before, request: request?, mocks, expect, calls, never })
}

fn earlier(decoder: &mut Decoder<'_>, node: &Node) -> Option<EarlierTemplate> {
    let fields = decoder.fields("before", &EARLIER, node, &node.place)?;
    Some(EarlierTemplate {
        request: request(decoder, &fields)?,
        times: decoder.count(&fields, "times").unwrap_or(1),
        under_way: decoder.flag(&fields, "underWay").unwrap_or(false),
        pause: decoder.duration_or_zero(&fields, "pause").map_or(Duration::ZERO, |pause| pause.value),
    })
}

fn request(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<RequestTemplate> {
    let path = decoder.text(fields, "path");
    if let Some(path) = path.as_ref().filter(|path| !path.starts_with('/')) {
        decoder.invalid(&path.place, format!("`{}` is no path", path.value), "a path starts with `/`");
    }
    let mut query = Vec::new();
    for (name, value) in decoder.map(fields, "query") {
        query.extend(
            texts(decoder, &name.value, value).into_iter().map(|text| (name.value.clone(), text.value)),
        );
    }
    Some(RequestTemplate {
        place: fields.place.clone(),
        method: decoder.call_method(fields),
        path: path?,
        query,
        headers: sent_headers(decoder, fields),
        host: decoder.text(fields, "host").map_or_else(|| "segue.test".to_owned(), |host| host.value),
        body: fields.get("body").cloned(),
        principal: principal::principal(decoder, fields),
        leaves_after: decoder.duration_or_zero(fields, "leavesAfter").map(|after| after.value),
    })
}

/// One text or several.
fn texts(decoder: &mut Decoder<'_>, what: &str, node: &Node) -> Vec<Spanned<String>> {
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    nodes.iter().filter_map(|node| decoder.text_of(what, node)).collect()
}

fn sent_headers(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<(HeaderName, Spanned<String>)> {
    let mut headers = Vec::new();
    for (name, value) in decoder.map(fields, "headers") {
        let Some(header) = decoder.header_name(name) else { continue };
        for text in texts(decoder, &name.value, value) {
            if HeaderValue::from_str(&text).is_err() {
                let message = format!("no field can have the value of `{}`", name.value);
                decoder.invalid(&text.place, message, "it is one line without control characters");
            }
            headers.push((header.value.clone(), text));
        }
    }
    headers
}

fn seen_headers(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<(Spanned<HeaderName>, Node)> {
    let mut headers = Vec::new();
    for (name, value) in decoder.map(fields, "headers") {
        headers.extend(decoder.header_name(name).map(|name| (name, value.clone())));
    }
    headers
}

fn mocks(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<MockTemplate> {
    let mut mocks = Vec::new();
    for (target, node) in decoder.map(fields, "mocks") {
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if nodes.is_empty() {
            decoder.invalid(&node.place, "there is no answer", "a list has at least one answer");
        }
        let answers = nodes.iter().filter_map(|node| answer::answer(decoder, target, node)).collect();
        mocks.push(MockTemplate { target: target.clone(), answers });
    }
    mocks
}

fn content(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> ContentTemplate {
    ContentTemplate {
        method: decoder.text(fields, "method"),
        path: decoder.text(fields, "path"),
        query: decoder.map(fields, "query").to_vec(),
        headers: seen_headers(decoder, fields),
        body: fields.get("body").cloned(),
    }
}

/// `name`, or `name: {…}`.
fn call(decoder: &mut Decoder<'_>, node: &Node) -> Option<CallTemplate> {
    let (target, content_of) = match &node.value {
        Value::Map(entries) if entries.len() == 1 => (entries[0].0.clone(), Some(&entries[0].1)),
        Value::Text(_) => (decoder.text_of("calls", node)?, None),
        _ => {
            decoder.wrong_type("calls", "a name, `name: {…}`, or a list of these", node);
            return None;
        }
    };
    let mut found = CallTemplate { target, content: ContentTemplate::default(), times: None };
    if let Some(node) = content_of.filter(|node| !matches!(node.value, Value::Null)) {
        let fields = decoder.fields(&found.target.value, &CONTENT, node, &found.target.place)?;
        found.times = decoder.count(&fields, "times");
        found.content = content(decoder, &fields);
    }
    Some(found)
}

fn expect(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> ExpectTemplate {
    let Some(fields) = decoder.object(fields, "expect") else { return ExpectTemplate::default() };
    let status = decoder.count(&fields, "status").and_then(|status| u16::try_from(status).ok());
    let place = fields.get("status").map(|node| node.place.clone());
    ExpectTemplate {
        status: status.zip(place).map(|(value, place)| Spanned { value, place }),
        headers: seen_headers(decoder, &fields),
        body: fields.get("body").cloned(),
        exact_body: fields.get("exactBody").cloned(),
        degraded: degraded(decoder, &fields),
        within: decoder.duration_or_zero(&fields, "within"),
    }
}

fn degraded(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<Degraded>> {
    let node = fields.get("degraded")?;
    let value: Degraded = match &node.value {
        Value::List(nodes) => {
            let names = nodes.iter().filter_map(|node| decoder.text_of("degraded", node));
            names.map(|name| (name, None)).collect()
        }
        Value::Map(entries) => {
            let reasons = entries.iter();
            reasons.map(|(name, node)| (name.clone(), decoder.text_of(&name.value, node))).collect()
        }
        _ => {
            decoder.wrong_type("degraded", "a list of names, or a map of names and reasons", node);
            return None;
        }
    };
    Some(Spanned { value, place: node.place.clone() })
}

/// How many names a message lists.
const MOST_LISTED: usize = 20;

/// The finding of a name that is in no place where it could be.
#[must_use]
pub fn unknown_target(target: &Spanned<String>, known: &[String]) -> crate::diagnostic::Diagnostic {
    let message = format!("nothing that could be called has the name `{}`", target.value);
    let finding = crate::diagnostic::Diagnostic::new(Code::TestFailed, target.place.clone(), message);
    match crate::diagnostic::nearest(&target.value, known.iter().map(String::as_str)) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None if known.len() > MOST_LISTED => finding.help(format!(
            "known are {} and {} more",
            known[..MOST_LISTED].join(", "),
            known.len() - MOST_LISTED
        )),
        None => finding.help(format!("known are {}", known.join(", "))),
    }
}
