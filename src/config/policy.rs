//! `kind: Policy`: what holds for the routes that a Policy is bound to.
//!
//! What holds no expression is decoded to what its layer takes; the rest stays as written until it is
//! compiled for the captures of a route.

mod authenticate;
mod cors;
mod headers;
mod limits;
mod telling;

use std::{sync::Arc, time::Duration};

use http::HeaderValue;

use super::{
    Metadata, Node, Spanned,
    decode::{Decoder, Fields},
    document::document_keys,
    keys::{Object, Shape, optional},
    yaml::Value,
};
use crate::{
    diagnostic::Place,
    policy::{Priority, authenticate::Settings as Authenticate, compress, tracing},
};

pub use cors::CorsTemplate;
pub use headers::{EditsTemplate, HeadersTemplate};
pub use limits::{ConcurrencyTemplate, RateLimitTemplate, disagreement};

/// `kind: Policy`
pub(super) static POLICY: Object = Object {
    name: "a Policy",
    keys: document_keys![
        optional(
            "authenticate",
            Shape::Object(&authenticate::AUTHENTICATE),
            "Who may come in: any one way that succeeds."
        ),
        optional("authorize", Shape::List(&Shape::Object(&RULE)), "What must hold; deny wins."),
        optional(
            "rateLimit",
            Shape::List(&Shape::Object(&limits::RATE_LIMIT)),
            "Requests per time; all must admit."
        ),
        optional("concurrency", Shape::Object(&limits::CONCURRENCY), "Requests at a time."),
        optional("cors", Shape::Object(&cors::CORS), "Which origins' scripts may call."),
        optional("body", Shape::Object(&limits::BODY), "How large a request's body may be."),
        optional("timeout", Shape::Duration, "The upper bound of the route's."),
        optional("headers", Shape::Object(&headers::HEADERS), "Fields set and removed, both ways."),
        optional("compress", Shape::Object(&telling::COMPRESS), "Which answers are compressed."),
        optional("tracing", Shape::Object(&telling::TRACING), "What is told about requests."),
        optional(
            "priority",
            Shape::Word(&["critical", "high", "normal", "low"]),
            "Who is shed last when the gateway is overloaded (normal); without effect in this version."
        ),
        optional("errorBody", Shape::Value, "The shape of every error body."),
        optional(
            "errorContentType",
            Shape::Text,
            "The media type of `errorBody` (that of a problem document)."
        ),
    ],
    one_of: &[],
    open: false,
};

static RULE: Object = Object {
    name: "a rule",
    keys: &[
        optional("allow", Shape::Value, "A condition; with any `allow`, one must hold."),
        optional("deny", Shape::Value, "A condition that must not hold."),
        optional("message", Shape::Text, "What the answer says: the problem's `detail`."),
    ],
    one_of: &["allow", "deny"],
    open: false,
};

/// A Policy document.
#[derive(Clone, Debug)]
pub struct PolicyTemplate {
    /// Its metadata.
    pub metadata: Metadata,
    /// `authenticate`
    pub authenticate: Option<Arc<Authenticate>>,
    /// `authorize`, in file order, and where it stands.
    pub authorize: Option<Spanned<Vec<RuleTemplate>>>,
    /// `rateLimit`, in file order.
    pub rate_limits: Vec<RateLimitTemplate>,
    /// `concurrency`
    pub concurrency: Option<ConcurrencyTemplate>,
    /// `cors`
    pub cors: Option<CorsTemplate>,
    /// `body.maxBytes`
    pub max_bytes: Option<Spanned<u64>>,
    /// `timeout`
    pub timeout: Option<Spanned<Duration>>,
    /// `headers`
    pub headers: HeadersTemplate,
    /// `compress`
    pub compress: Option<Spanned<Arc<compress::Settings>>>,
    /// `tracing`
    pub tracing: Option<Spanned<Arc<tracing::Settings>>>,
    /// `priority`
    pub priority: Option<Spanned<Priority>>,
    /// `errorBody`
    pub error_body: Option<Spanned<Node>>,
    /// `errorContentType`
    pub error_content_type: Option<HeaderValue>,
}

/// An entry of `authorize`.
#[derive(Clone, Debug)]
pub struct RuleTemplate {
    /// `allow`, or else `deny`.
    pub allow: bool,
    /// The condition.
    pub condition: Node,
    /// `message`
    pub message: Option<String>,
    /// Where it stands.
    pub place: Place,
}

impl PolicyTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, metadata: Metadata, fields: &Fields<'_>) -> Self {
        let priority = decoder.word(fields, "priority").map(|word| match word {
            "critical" => Priority::Critical,
            "high" => Priority::High,
            "low" => Priority::Low,
            _ => Priority::Normal,
        });
        Self {
            authenticate: authenticate::decode(decoder, fields),
            authorize: rules(decoder, fields),
            rate_limits: limits::rates(decoder, fields),
            concurrency: limits::concurrency(decoder, fields),
            cors: cors::decode(decoder, fields),
            max_bytes: limits::max_bytes(decoder, fields),
            timeout: decoder.duration(fields, "timeout"),
            headers: headers::decode(decoder, fields),
            compress: telling::compress(decoder, fields),
            tracing: telling::tracing(decoder, fields),
            priority: priority.map(|value| at(fields, "priority", value)),
            error_body: fields.get("errorBody").map(|node| at(fields, "errorBody", node.clone())),
            error_content_type: content_type(decoder, fields),
            metadata,
        }
    }
}

/// A value with the place of its key.
fn at<T>(fields: &Fields<'_>, key: &str, value: T) -> Spanned<T> {
    Spanned { value, place: fields.key_place(key).clone() }
}

fn rules(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<Vec<RuleTemplate>>> {
    let node = fields.get("authorize")?;
    let mut rules = Vec::new();
    for node in decoder.list(fields, "authorize") {
        let Some(fields) = &decoder.fields("authorize", &RULE, node, &node.place) else { continue };
        let message = decoder.text(fields, "message").map(|text| text.value);
        let allow = fields.get("allow");
        let Some(condition) = allow.or_else(|| fields.get("deny")) else { continue };
        rules.push(RuleTemplate {
            allow: allow.is_some(),
            condition: condition.clone(),
            message,
            place: node.place.clone(),
        });
    }
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        decoder.invalid(&node.place, "`authorize` has no rule", "write {allow: '${ … }'}, or remove it");
    }
    Some(at(fields, "authorize", rules))
}

fn content_type(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<HeaderValue> {
    let text = decoder.text(fields, "errorContentType")?;
    if fields.get("errorBody").is_none() {
        let help = "write `errorBody` beside it, or remove it";
        decoder.invalid(&text.place, "`errorContentType` has no use without `errorBody`", help);
    }
    let value = HeaderValue::from_str(&text).ok().filter(|_| telling::is_media_type(&text));
    if value.is_none() {
        let message = format!("`{}` is no media type", text.value);
        decoder.invalid(&text.place, message, "write application/json or the like");
    }
    value
}
