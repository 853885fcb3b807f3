//! `rateLimit`, `concurrency` and `body` of a Policy.

use std::time::Duration;

use super::super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    keys::{Object, Shape, later, optional, required},
    yaml::Value,
};
use crate::{
    diagnostic::{Code, Diagnostic, Place},
    scalar::show_duration,
};

const MOST: u64 = u32::MAX as u64;

pub(super) static RATE_LIMIT: Object = Object {
    name: "an entry of rateLimit",
    keys: &[
        required("name", Shape::Name, "What it is called in the RateLimit fields."),
        required("limit", Shape::Count(1, MOST), "Requests per window."),
        required("window", Shape::Duration, "The window."),
        optional("burst", Shape::Count(1, MOST), "How many may come at once (limit)."),
        optional("key", Shape::Value, "What is counted by (the client's address; IPv6 by /64)."),
        optional("when", Shape::Value, "Which requests it is for; all when absent."),
        later("scope"),
    ],
    one_of: &[],
    open: false,
};

pub(super) static CONCURRENCY: Object = Object {
    name: "concurrency",
    keys: &[
        required("max", Shape::Count(1, MOST), "Requests at a time."),
        optional("key", Shape::Value, "What is counted by; all requests together when absent."),
    ],
    one_of: &[],
    open: false,
};

pub(super) static BODY: Object = Object {
    name: "body",
    keys: &[required("maxBytes", Shape::Size, "The largest body of a request.")],
    one_of: &[],
    open: false,
};

/// An entry of `rateLimit`.
#[derive(Clone, Debug)]
pub struct RateLimitTemplate {
    /// `name`
    pub name: Spanned<String>,
    /// `limit`
    pub limit: u32,
    /// `window`
    pub window: Duration,
    /// `burst` (`limit`)
    pub burst: u32,
    /// Whether it is written.
    pub bursts: bool,
    /// `key`
    pub key: Option<Node>,
    /// `when`
    pub when: Option<Node>,
}

/// `concurrency`
#[derive(Clone, Debug)]
pub struct ConcurrencyTemplate {
    /// `max`
    pub max: u32,
    /// `key`
    pub key: Option<Node>,
    /// Where `max` stands.
    pub place: Place,
}

pub(super) fn rates(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<RateLimitTemplate> {
    let mut found: Vec<RateLimitTemplate> = Vec::new();
    for node in decoder.list(fields, "rateLimit") {
        let Some(fields) = &decoder.fields("rateLimit", &RATE_LIMIT, node, &node.place) else { continue };
        let name = decoder.text(fields, "name");
        let limit = decoder.count(fields, "limit");
        let window = decoder.duration(fields, "window");
        let burst = decoder.count(fields, "burst");
        let Some((name, limit)) = name.zip(limit) else { continue };
        decoder.check_name(&name);
        let Some(window) = window else { continue };
        let entry = RateLimitTemplate {
            name,
            limit,
            window: window.value,
            burst: burst.unwrap_or(limit),
            bursts: burst.is_some(),
            key: fields.get("key").cloned(),
            when: fields.get("when").cloned(),
        };
        if let Some(first) = found.iter().find(|first| entry.repeats(first)) {
            let message = format!("the limit `{}` is here twice, the same in everything", entry.name.value);
            decoder.findings.push(
                Diagnostic::new(Code::DuplicateName, entry.name.place.clone(), message)
                    .help("remove one of them")
                    .related(first.name.place.clone(), "the first one"),
            );
            continue;
        }
        if let Some(first) = found.iter().find(|first| first.name.value == entry.name.value)
            && let Some(what) = entry.disagrees(first)
        {
            let finding = disagreement(&entry.name, &entry.name.place, (entry.window, first.window), what);
            decoder.findings.push(finding.related(first.name.place.clone(), "the first one"));
        }
        found.push(entry);
    }
    found
}

impl RateLimitTemplate {
    /// Whether it says again what another entry says. Both would count in one place, each request twice.
    fn repeats(&self, other: &Self) -> bool {
        self.name.value == other.name.value
            && (self.limit, self.burst, self.window) == (other.limit, other.burst, other.window)
            && written(self.key.as_ref()) == written(other.key.as_ref())
            && written(self.when.as_ref()) == written(other.when.as_ref())
    }

    /// In what two entries of one name differ though they may not.
    #[must_use]
    pub fn disagrees(&self, other: &Self) -> Option<&'static str> {
        if self.window != other.window {
            Some("window")
        } else if written(self.key.as_ref()) != written(other.key.as_ref()) {
            Some("key")
        } else {
            None
        }
    }
}

/// An expression as it is written.
fn written(key: Option<&Node>) -> Option<&str> {
    match &key?.value {
        Value::Text(text) | Value::Number(text) => Some(text.trim()),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// Entries of one name must agree in window and key: a client is told one number for a name. `windows`
/// are this one's and that of the other.
#[must_use]
pub fn disagreement(name: &str, place: &Place, windows: (Duration, Duration), what: &str) -> Diagnostic {
    let message = if what == "window" {
        let (here, there) = (show_duration(windows.0), show_duration(windows.1));
        format!("`{name}` has a window of {here} here and of {there} elsewhere")
    } else {
        format!("`{name}` is counted by another `key` elsewhere")
    };
    Diagnostic::new(Code::InvalidValue, place.clone(), message)
        .help("limits of one name agree in `window` and `key`; give this one another name")
}

pub(super) fn concurrency(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<ConcurrencyTemplate> {
    let fields = &decoder.object(fields, "concurrency")?;
    let place = fields.key_place("max").clone();
    Some(ConcurrencyTemplate { max: decoder.count(fields, "max")?, key: fields.get("key").cloned(), place })
}

pub(super) fn max_bytes(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<u64>> {
    let fields = &decoder.object(fields, "body")?;
    let place = fields.key_place("maxBytes").clone();
    Some(Spanned { value: decoder.size(fields, "maxBytes")?, place })
}
