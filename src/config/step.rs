//! A step of a composition as written.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    keys::{Object, Shape, optional, required},
    retry::{RETRY, RetryTemplate, retry},
    route::{CHECK, CheckTemplate, checks},
    yaml::Value,
};
use crate::diagnostic::Code;

/// An entry of `steps`.
pub(super) static STEP: Object = Object {
    name: "a step",
    keys: &[
        optional("call", Shape::Text, "SERVICE.OPERATION, or UNIT/SERVICE.OPERATION."),
        optional("http", Shape::Object(&HTTP), "A call written out."),
        optional("compose", Shape::Text, "A Composition: NAME, UNIT/NAME, NAME@MAJOR."),
        optional("with", Shape::Either(&WITH), "What a `call` sends; the inputs of a `compose`."),
        optional("when", Shape::Value, "The step runs only if this is true."),
        optional("forEach", Shape::Object(&FOR_EACH), "Runs the call once per item of a list."),
        optional("optional", Shape::Flag, "A failure does not fail the route (false)."),
        optional("fallback", Shape::Value, "Stands in for `body` when the step failed or was skipped."),
        optional("after", Shape::List(&Shape::Text), "Steps that must have settled before."),
        optional("timeout", Shape::Duration, "One attempt; the Service's when absent."),
        optional("expect", Shape::List(&Shape::Count(200, 599)), "The statuses that are ok, instead of 2xx."),
        optional("passStatus", Shape::List(&Shape::Count(400, 599)), "Upstream statuses that become ours."),
        optional("ensure", Shape::List(&Shape::Object(&CHECK)), "What must hold of the answer."),
        optional("unordered", Shape::Flag, "An unsafe call that needs no order (false)."),
        optional("retry", Shape::Object(&RETRY), "More attempts of a call that may be repeated (none)."),
    ],
    one_of: &["call", "http", "compose"],
    open: false,
};

static WITH: Object = Object {
    name: "with",
    keys: &[
        optional("path", Shape::Map(&Shape::Value), "The captures of the operation's path."),
        optional("query", Shape::Value, "A map, or one expression that gives one."),
        optional("headers", Shape::Value, "A map, or one expression that gives one."),
        optional("body", Shape::Value, "The body."),
    ],
    one_of: &[],
    open: false,
};

static HTTP: Object = Object {
    name: "http",
    keys: &[
        required("service", Shape::Text, "The Service, or UNIT/SERVICE."),
        optional("method", Shape::Text, "The method (GET)."),
        required("path", Shape::Value, "The path, with expressions."),
        optional("query", Shape::Value, "A map, or one expression that gives one."),
        optional("headers", Shape::Value, "A map, or one expression that gives one."),
        optional("body", Shape::Value, "The body."),
        optional("safe", Shape::Flag, "It only reads, whatever its method (false)."),
    ],
    one_of: &[],
    open: false,
};

static FOR_EACH: Object = Object {
    name: "forEach",
    keys: &[
        required("in", Shape::Value, "The list."),
        required("as", Shape::Text, "The name of an item."),
        optional("key", Shape::Value, "The item's key in `byKey`."),
        optional("max", Shape::Count(1, 100_000), "More items fail the step. (100)"),
        optional("concurrency", Shape::Count(1, 1_000), "Calls at a time (1)."),
    ],
    one_of: &[],
    open: false,
};

/// Names that a loop variable would hide.
const ROOTS: &[&str] = &["request", "principal", "steps", "vars", "input", "self", "execution", "error"];

/// One entry of `steps`.
#[derive(Clone, Debug)]
pub struct StepTemplate {
    /// Its name.
    pub name: Spanned<String>,
    /// What it calls.
    pub call: CallTemplate,
    /// `path` parameters of `with`, or none.
    pub path: Vec<(Spanned<String>, Node)>,
    /// `query`: a map, or one expression that gives one.
    pub query: Option<Node>,
    /// `headers`: a map, or one expression that gives one.
    pub headers: HeadersTemplate,
    /// `body`
    pub body: Option<Node>,
    /// `when`
    pub when: Option<Node>,
    /// `forEach`
    pub for_each: Option<ForEachTemplate>,
    /// `optional` (false)
    pub optional: bool,
    /// `fallback`
    pub fallback: Option<Node>,
    /// `after`
    pub after: Vec<Spanned<String>>,
    /// `timeout`
    pub timeout: Option<Spanned<Duration>>,
    /// `expect`: replaces the 2xx rule.
    pub expect: Vec<Spanned<StatusCode>>,
    /// `passStatus`
    pub pass_status: Vec<Spanned<StatusCode>>,
    /// `ensure`, in file order.
    pub ensure: Vec<CheckTemplate>,
    /// `unordered` (false)
    pub unordered: bool,
    /// `retry`
    pub retry: Option<RetryTemplate>,
}

/// Headers of a call.
#[derive(Clone, Debug)]
pub enum HeadersTemplate {
    /// A map.
    Map(Vec<(Spanned<HeaderName>, Node)>),
    /// One expression that gives a map.
    Expression(Node),
}

/// What a step calls.
#[derive(Clone, Debug)]
pub enum CallTemplate {
    /// `call: SERVICE.OPERATION`
    Operation(Spanned<String>),
    /// `http: {service, method, path, …}`
    Http {
        /// `service`
        service: Spanned<String>,
        /// `method` (GET)
        method: Method,
        /// `path`: text with expressions.
        path: Node,
        /// `safe` (false)
        safe: bool,
    },
    /// `compose: NAME`, `UNIT/NAME` or either with `@MAJOR`
    Compose {
        /// `compose`
        name: Spanned<String>,
        /// `with`: a value per input.
        inputs: Vec<(Spanned<String>, Node)>,
    },
}

/// `forEach`
#[derive(Clone, Debug)]
pub struct ForEachTemplate {
    /// `in`
    pub list: Node,
    /// `as`
    pub name: Spanned<String>,
    /// `key`
    pub key: Option<Node>,
    /// `max` (100)
    pub max: u32,
    /// `concurrency` (1)
    pub concurrency: u32,
}

/// Decodes `steps`.
pub(super) fn steps(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<StepTemplate> {
    let mut steps = Vec::new();
    for (name, node) in decoder.map(fields, "steps") {
        decoder.check_identifier("a step", name);
        steps.extend(step(decoder, name, node));
    }
    steps
}

fn step(decoder: &mut Decoder<'_>, name: &Spanned<String>, node: &Node) -> Option<StepTemplate> {
    let fields = &decoder.fields(&name.value, &STEP, node, &name.place)?;
    let http = decoder.object(fields, "http");
    let composes = fields.get("compose").is_some();
    let with = match fields.get("with") {
        Some(node) if !composes => decoder.fields("with", &WITH, node, fields.key_place("with")),
        _ => None,
    };
    if http.is_some() && with.is_some() {
        let place = fields.key_place("with").clone();
        decoder.invalid(
            &place,
            "`with` belongs to `call`",
            "under `http`, write query, headers and body beside path",
        );
    }
    let parts = http.as_ref().or(with.as_ref());
    let call = match &http {
        Some(http) => http_call(decoder, http),
        None if composes => compose(decoder, fields, name),
        None => CallTemplate::Operation(decoder.text(fields, "call").unwrap_or_else(|| nothing(name))),
    };
    Some(StepTemplate {
        name: name.clone(),
        call,
        path: with.as_ref().map_or_else(Vec::new, |with| decoder.map(with, "path").to_vec()),
        query: parts.and_then(|parts| query(decoder, parts)),
        headers: parts.map_or_else(|| HeadersTemplate::Map(Vec::new()), |parts| headers(decoder, parts)),
        body: parts.and_then(|parts| parts.get("body")).cloned(),
        when: fields.get("when").cloned(),
        for_each: for_each(decoder, fields),
        optional: decoder.flag(fields, "optional").unwrap_or(false),
        fallback: fields.get("fallback").cloned(),
        after: after(decoder, fields),
        timeout: decoder.duration(fields, "timeout"),
        expect: decoder.statuses(fields, "expect", 200..=599),
        pass_status: decoder.statuses(fields, "passStatus", 400..=599),
        ensure: checks(decoder, fields, "ensure"),
        unordered: decoder.flag(fields, "unordered").unwrap_or(false),
        retry: retry(decoder, fields),
    })
}

/// What stands where a finding has been made already.
fn nothing(name: &Spanned<String>) -> Spanned<String> {
    Spanned { value: String::new(), place: name.place.clone() }
}

fn compose(decoder: &mut Decoder<'_>, fields: &Fields<'_>, step: &Spanned<String>) -> CallTemplate {
    // What judges or bounds one answer has nothing to judge here: the steps inside have their own.
    for key in ["timeout", "retry", "expect", "passStatus", "ensure"] {
        if fields.get(key).is_some() {
            let message = format!("`{key}` belongs to a call, and `compose` is none");
            decoder.invalid(fields.key_place(key), message, "write it in a step of the Composition");
        }
    }
    let inputs = fields.get("with").map_or(&[][..], |node| decoder.map_of("with", node));
    for (name, _) in inputs {
        decoder.check_identifier("an input", name);
    }
    let name = decoder.text(fields, "compose").unwrap_or_else(|| nothing(step));
    CallTemplate::Compose { name, inputs: inputs.to_vec() }
}

fn http_call(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> CallTemplate {
    let service = decoder.text(fields, "service");
    let service = service.unwrap_or_else(|| Spanned { value: String::new(), place: fields.place.clone() });
    let method = decoder.call_method(fields);
    let safe = decoder.flag(fields, "safe").unwrap_or(false);
    let path = match fields.get("path") {
        Some(node) => {
            if !matches!(node.value, Value::Text(_)) {
                decoder.wrong_type("path", "text", node);
            }
            node.clone()
        }
        None => empty_text(fields),
    };
    CallTemplate::Http { service, method, path, safe }
}

/// An empty text where a required one is missing.
fn empty_text(fields: &Fields<'_>) -> Node {
    Node::empty_text(fields.place.clone())
}

/// `query`: a map of scalars and lists, or one expression.
pub(super) fn query(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Node> {
    let node = fields.get("query")?;
    if !matches!(node.value, Value::Map(_)) && !is_expression(node) {
        decoder.wrong_type("query", "a map or one expression", node);
        return None;
    }
    Some(node.clone())
}

fn headers(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> HeadersTemplate {
    match fields.get("headers") {
        None => HeadersTemplate::Map(Vec::new()),
        Some(node) if is_expression(node) => HeadersTemplate::Expression(node.clone()),
        Some(node) => HeadersTemplate::Map(decoder.headers("headers", node)),
    }
}

fn is_expression(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text.contains("${"))
}

fn for_each(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<ForEachTemplate> {
    let fields = &decoder.object(fields, "forEach")?;
    let max = decoder.count(fields, "max").unwrap_or(100);
    let concurrency = decoder.count(fields, "concurrency").unwrap_or(1);
    let name = decoder.text(fields, "as")?;
    decoder.check_identifier("a loop variable", &name);
    if ROOTS.contains(&name.value.as_str()) {
        let message = format!("a loop variable `{0}` would hide `{0}`", name.value);
        decoder.report(Code::InvalidName, &name.place, message, "choose another name");
    }
    let list = fields.get("in")?.clone();
    if !is_expression(&list) && !matches!(list.value, Value::List(_)) {
        decoder.wrong_type("in", "a list or an expression that gives one", &list);
    }
    Some(ForEachTemplate { list, name, key: fields.get("key").cloned(), max, concurrency })
}

fn after(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Spanned<String>> {
    let mut names = Vec::new();
    for node in decoder.list(fields, "after") {
        names.extend(decoder.text_of("after", node));
    }
    names
}
