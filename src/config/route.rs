//! `kind: Route`: what it matches and what answers.

use std::time::Duration;

use http::{HeaderName, Method};

use super::{
    Metadata, Node, Spanned,
    binding::names,
    decode::{Decoder, Fields},
    document::document_keys,
    keys::{Object, Shape, optional, required},
    request::{REQUEST, RequestTemplate, request},
    step::{STEP, StepTemplate, query, steps},
    yaml::Value,
};
use crate::diagnostic::Place;

/// `kind: Route`
pub(super) static ROUTE: Object = Object {
    name: "a Route",
    keys: document_keys![
        required("match", Shape::Object(&MATCH), "Which requests it answers."),
        optional(
            "timeout",
            Shape::Duration,
            "The whole composition, or a proxied call to its response head (30s)."
        ),
        optional("vars", Shape::Map(&Shape::Value), "Named values, evaluated once, on first use."),
        optional("require", Shape::List(&Shape::Object(&CHECK)), "What must hold before any step."),
        optional(
            "steps",
            Shape::Map(&Shape::Object(&STEP)),
            "The calls; their order follows from what they read."
        ),
        optional("respond", Shape::Object(&RESPOND), "The answer, shaped from the steps."),
        optional("proxy", Shape::Object(&PROXY), "Passes the request on, both bodies streamed."),
        optional("static", Shape::Object(&STATIC), "A fixed answer."),
        optional("errors", Shape::List(&Shape::Object(&ERROR)), "Own error documents; the first match wins."),
        optional("policies", Shape::List(&Shape::Name), "Policies besides those that are bound to it."),
        optional("request", Shape::Object(&REQUEST), "What its parameters and its body must be."),
    ],
    one_of: &["respond", "proxy", "static"],
    open: false,
};

static MATCH: Object = Object {
    name: "match",
    keys: &[
        optional(
            "hosts",
            Shape::List(&Shape::Text),
            "Exact hosts or `*.example.com`; every host when absent.",
        ),
        optional("methods", Shape::List(&Shape::Text), "Methods; all when absent."),
        required("path", Shape::Text, "Literals, `{capture}` and a last `{rest...}`."),
        optional("headers", Shape::Map(&Shape::Text), "Fields with exact values."),
        optional("query", Shape::Map(&Shape::Text), "Parameters with exact values."),
    ],
    one_of: &[],
    open: false,
};

/// An entry of `require` or `ensure`.
pub(super) static CHECK: Object = Object {
    name: "a check",
    keys: &[
        required("that", Shape::Value, "The condition."),
        optional("problem", Shape::Object(&PROBLEM), "What is answered if it does not hold."),
    ],
    one_of: &[],
    open: false,
};

static ERROR: Object = Object {
    name: "an entry of errors",
    keys: &[
        optional("when", Shape::Value, "The condition over `error`; always when absent."),
        required("problem", Shape::Object(&PROBLEM), "The error document."),
    ],
    one_of: &[],
    open: false,
};

static PROBLEM: Object = Object {
    name: "a problem",
    keys: &[
        optional("status", Shape::Value, "The status."),
        optional("type", Shape::Value, "A URI that names the problem."),
        optional("title", Shape::Value, "A short text."),
        optional("detail", Shape::Value, "A longer text."),
        optional("headers", Shape::Map(&Shape::Value), "Fields of the answer."),
    ],
    one_of: &[],
    open: true,
};

static RESPOND: Object = Object { name: "respond", keys: ANSWER_KEYS, one_of: &[], open: false };

static STATIC: Object = Object { name: "static", keys: ANSWER_KEYS, one_of: &[], open: false };

const ANSWER_KEYS: &[super::keys::Key] = &[
    optional("status", Shape::Value, "The status (200)."),
    optional("headers", Shape::Map(&Shape::Value), "Fields of the answer; a list repeats the field."),
    optional("body", Shape::Value, "The body."),
];

static PROXY: Object = Object {
    name: "proxy",
    keys: &[
        required("service", Shape::Text, "The Service, or UNIT/SERVICE."),
        optional("path", Shape::Value, "The path; the request's own when absent."),
        optional("query", Shape::Value, "The query; the request's own when absent."),
        optional("headers", Shape::Object(&PROXY_HEADERS), "What is changed in the request's fields."),
        optional("preserveHost", Shape::Flag, "Sends the client's `host` on (false)."),
        optional("forwardCredentials", Shape::Flag, "Sends the client's credential on (false)."),
    ],
    one_of: &[],
    open: false,
};

static PROXY_HEADERS: Object = Object {
    name: "headers",
    keys: &[
        optional("set", Shape::Map(&Shape::Value), "Fields to set."),
        optional("remove", Shape::List(&Shape::Text), "Fields to remove."),
    ],
    one_of: &[],
    open: false,
};

/// A Route document.
#[derive(Clone, Debug)]
pub struct RouteTemplate {
    /// Its metadata.
    pub metadata: Metadata,
    /// `match`
    pub matching: MatchTemplate,
    /// `policies`
    pub policies: Vec<Spanned<String>>,
    /// `timeout` (30s)
    pub timeout: Option<Spanned<Duration>>,
    /// `request`
    pub request: Option<RequestTemplate>,
    /// `vars`, in file order.
    pub vars: Vec<(Spanned<String>, Node)>,
    /// `require`, in file order.
    pub require: Vec<CheckTemplate>,
    /// `steps`, in file order.
    pub steps: Vec<StepTemplate>,
    /// Keys that are misspelt, so that what stands under them is not known.
    pub unread: Vec<&'static str>,
    /// `respond`
    pub respond: Option<RespondTemplate>,
    /// `proxy`
    pub proxy: Option<ProxyTemplate>,
    /// `static`
    pub fixed: Option<RespondTemplate>,
    /// `errors`, in file order.
    pub errors: Vec<ErrorTemplate>,
}

/// `match`
#[derive(Clone, Debug)]
pub struct MatchTemplate {
    /// `hosts`: exact or `*.example.com`; empty for every host.
    pub hosts: Vec<Spanned<String>>,
    /// `methods`; empty for all.
    pub methods: Vec<Spanned<Method>>,
    /// `path`: a pattern of literals, `{capture}` and `{rest...}`.
    pub path: Spanned<String>,
    /// `headers`: exact values.
    pub headers: Vec<(Spanned<HeaderName>, String)>,
    /// `query`: exact values.
    pub query: Vec<(Spanned<String>, String)>,
}

/// `respond` and `static`. In `static` no expression is allowed.
#[derive(Clone, Debug)]
pub struct RespondTemplate {
    /// Where it stands.
    pub place: Place,
    /// `status` (200), maybe an expression.
    pub status: Option<Node>,
    /// `headers`: a value is a scalar or a list of scalars.
    pub headers: Vec<(Spanned<HeaderName>, Node)>,
    /// `body`
    pub body: Option<Node>,
}

/// `proxy`
#[derive(Clone, Debug)]
pub struct ProxyTemplate {
    /// Where it stands.
    pub place: Place,
    /// `service`
    pub service: Spanned<String>,
    /// `path`; the request's own when absent.
    pub path: Option<Node>,
    /// `query`; the request's own when absent.
    pub query: Option<Node>,
    /// `headers.set`
    pub set: Vec<(Spanned<HeaderName>, Node)>,
    /// `headers.remove`
    pub remove: Vec<Spanned<HeaderName>>,
    /// `preserveHost` (false)
    pub preserve_host: bool,
    /// `forwardCredentials` (false)
    pub forward_credentials: bool,
}

/// An entry of `require` or `ensure`.
#[derive(Clone, Debug)]
pub struct CheckTemplate {
    /// `that`
    pub that: Node,
    /// `problem`
    pub problem: Option<ProblemTemplate>,
}

/// An entry of `errors`.
#[derive(Clone, Debug)]
pub struct ErrorTemplate {
    /// Where it stands.
    pub place: Place,
    /// `when`; always when absent.
    pub when: Option<Node>,
    /// `problem`
    pub problem: ProblemTemplate,
}

/// `problem`: members may be expressions.
#[derive(Clone, Debug, Default)]
pub struct ProblemTemplate {
    /// `status`
    pub status: Option<Node>,
    /// `type`
    pub type_uri: Option<Node>,
    /// `title`
    pub title: Option<Node>,
    /// `detail`
    pub detail: Option<Node>,
    /// `headers`
    pub headers: Vec<(Spanned<HeaderName>, Node)>,
    /// Every other key, in file order.
    pub members: Vec<(Spanned<String>, Node)>,
}

impl RouteTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, metadata: Metadata, fields: &Fields<'_>) -> Self {
        if fields.get("static").is_some() {
            for key in ["request", "steps", "vars", "require", "errors"] {
                if fields.get(key).is_some() {
                    let message = format!("`{key}` has no use beside `static`");
                    decoder.invalid(
                        fields.key_place(key),
                        message,
                        "use `respond`, whose answer may be fixed too",
                    );
                }
            }
        }
        Self {
            metadata,
            matching: matching(decoder, fields),
            policies: names(decoder, fields, "policies"),
            timeout: decoder.duration(fields, "timeout"),
            request: request(decoder, fields),
            vars: vars(decoder, fields),
            require: checks(decoder, fields, "require"),
            steps: steps(decoder, fields),
            respond: respond(decoder, fields, "respond"),
            proxy: proxy(decoder, fields),
            fixed: respond(decoder, fields, "static"),
            errors: errors(decoder, fields),
            unread: fields.misspelt(&["steps", "vars", "policies"]),
        }
    }
}

fn matching(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> MatchTemplate {
    let mut found = MatchTemplate {
        hosts: Vec::new(),
        methods: Vec::new(),
        path: Spanned { value: String::new(), place: fields.key_place("match").clone() },
        headers: Vec::new(),
        query: Vec::new(),
    };
    let Some(fields) = &decoder.object(fields, "match") else { return found };
    for node in decoder.list(fields, "hosts") {
        let Some(host) = decoder.text_of("hosts", node) else { continue };
        if !super::url::is_host(host.strip_prefix("*.").unwrap_or(&host)) {
            let message = format!("`{}` is no host", host.value);
            decoder.invalid(&host.place, message, "an exact host or `*.example.com`, without a port");
        }
        found.hosts.push(host);
    }
    for node in decoder.list(fields, "methods") {
        let Some(text) = decoder.text_of("methods", node) else { continue };
        found.methods.extend(decoder.method(&text));
    }
    if let Some(path) = decoder.text(fields, "path") {
        found.path = path;
    }
    for (name, node) in decoder.map(fields, "headers") {
        let header = decoder.header_name(name);
        let value = decoder.text_of(&name.value, node);
        found.headers.extend(header.zip(value.map(|value| value.value)));
    }
    for (name, node) in decoder.map(fields, "query") {
        found.query.extend(decoder.text_of(&name.value, node).map(|value| (name.clone(), value.value)));
    }
    found
}

pub(super) fn vars(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<(Spanned<String>, Node)> {
    let vars = decoder.map(fields, "vars");
    for (name, _) in vars {
        decoder.check_identifier("a var", name);
    }
    vars.to_vec()
}

fn respond(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Option<RespondTemplate> {
    let place = fields.key_place(key).clone();
    let fields = decoder.object(fields, key)?;
    let status = fields.get("status");
    if let Some(status) = status {
        decoder.check_status(status);
    }
    Some(RespondTemplate {
        place,
        status: status.cloned(),
        headers: headers(decoder, &fields),
        body: fields.get("body").cloned(),
    })
}

fn headers(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<(Spanned<HeaderName>, Node)> {
    let mut headers = fields.get("headers").map_or_else(Vec::new, |node| decoder.headers("headers", node));
    headers.retain(|(name, _)| {
        let own = name.value == "segue-degraded";
        if own {
            let message = "`segue-degraded` is what the gateway itself says";
            decoder.invalid(&name.place, message, "name what is degraded in the body: `execution.degraded`");
        }
        !own
    });
    headers
}

fn proxy(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<ProxyTemplate> {
    let place = fields.key_place("proxy").clone();
    let fields = &decoder.object(fields, "proxy")?;
    let service = decoder.text(fields, "service");
    let path = fields.get("path");
    if let Some(path) = path.filter(|path| !matches!(path.value, Value::Text(_))) {
        decoder.wrong_type("path", "text", path);
    }
    let changes = decoder.object(fields, "headers");
    let set = match changes.as_ref().and_then(|changes| changes.get("set")) {
        Some(node) => decoder.headers("set", node),
        None => Vec::new(),
    };
    let mut remove = Vec::new();
    if let Some(changes) = &changes {
        for node in decoder.list(changes, "remove") {
            let Some(name) = decoder.text_of("remove", node) else { continue };
            remove.extend(decoder.settable_header(&name));
        }
    }
    Some(ProxyTemplate {
        service: service.unwrap_or_else(|| Spanned { value: String::new(), place: place.clone() }),
        place,
        path: path.cloned(),
        query: query(decoder, fields),
        set,
        remove,
        preserve_host: decoder.flag(fields, "preserveHost").unwrap_or(false),
        forward_credentials: decoder.flag(fields, "forwardCredentials").unwrap_or(false),
    })
}

/// `require` or `ensure`.
pub(super) fn checks(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Vec<CheckTemplate> {
    let mut checks = Vec::new();
    for node in decoder.list(fields, key) {
        let Some(fields) = &decoder.fields(key, &CHECK, node, &node.place) else { continue };
        let problem = problem(decoder, fields);
        let Some(that) = fields.get("that") else { continue };
        checks.push(CheckTemplate { that: that.clone(), problem });
    }
    checks
}

fn errors(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<ErrorTemplate> {
    let mut errors = Vec::new();
    for node in decoder.list(fields, "errors") {
        let Some(fields) = &decoder.fields("errors", &ERROR, node, &node.place) else { continue };
        let problem = problem(decoder, fields);
        let when = fields.get("when").cloned();
        errors.extend(problem.map(|problem| ErrorTemplate { place: node.place.clone(), when, problem }));
    }
    errors
}

fn problem(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<ProblemTemplate> {
    let fields = decoder.object(fields, "problem")?;
    if let Some(status) = fields.get("status") {
        decoder.check_status(status);
    }
    for (name, _) in fields.others() {
        if matches!(name.value.as_str(), "traceId" | "instance") {
            let message = format!("`{}` is what the gateway itself says", name.value);
            decoder.invalid(&name.place, message, "choose another name");
        }
    }
    Some(ProblemTemplate {
        status: fields.get("status").cloned(),
        type_uri: fields.get("type").cloned(),
        title: fields.get("title").cloned(),
        detail: fields.get("detail").cloned(),
        headers: headers(decoder, &fields),
        members: fields.others().cloned().collect(),
    })
}
