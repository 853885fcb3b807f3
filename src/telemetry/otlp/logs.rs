//! Diagnostics and requests as OTLP log records.

use std::time::SystemTime;

use super::{Resource, nanos, number, text, wire::Message};
use crate::telemetry::{Finished, RequestError, Verb};

/// A diagnostic.
#[derive(Debug)]
pub struct LogItem {
    /// When.
    pub at: SystemTime,
    /// How bad.
    pub level: tracing::Level,
    /// Which module says it.
    pub target: &'static str,
    /// What it says.
    pub message: String,
    /// What it says besides.
    pub fields: Vec<(&'static str, String)>,
}

/// The export request of these, and how many they are.
#[must_use]
pub fn logs<'a>(
    resource: &Resource,
    diagnostics: &[LogItem],
    requests: impl Iterator<Item = &'a Finished>,
) -> (Vec<u8>, u64) {
    let mut count = diagnostics.len() as u64;
    let bytes = resource.envelope(|scope| {
        for item in diagnostics {
            scope.message(2, |record| diagnostic(record, item));
        }
        for one in requests {
            scope.message(2, |record| request(record, one));
            count += 1;
        }
    });
    (bytes, count)
}

fn diagnostic(record: &mut Message<'_>, item: &LogItem) {
    let severity = match item.level {
        tracing::Level::ERROR => 17,
        tracing::Level::WARN => 13,
        tracing::Level::INFO => 9,
        tracing::Level::DEBUG => 5,
        tracing::Level::TRACE => 1,
    };
    record.fixed64(1, nanos(item.at));
    record.varint(2, severity);
    record.text(3, item.level.as_str());
    record.message(5, |any| any.text_always(1, &item.message));
    text(record, 6, "code.namespace", item.target);
    for (name, value) in &item.fields {
        text(record, 6, name, value);
    }
    record.fixed64(11, nanos(item.at));
}

fn request(record: &mut Message<'_>, one: &Finished) {
    let ended = nanos(one.at(one.us));
    record.fixed64(1, ended);
    record.varint(2, 9);
    record.text(3, "INFO");
    let method = Verb::from(&one.method).as_str();
    let status = one.record.status.map(|status| status.as_u16());
    record.message(5, |any| any.text_always(1, &format!("{method} {} {}", one.path, status.unwrap_or(0))));
    text(record, 6, "http.request.method", method);
    text(record, 6, "url.path", &one.path);
    if let Some(status) = status {
        number(record, 6, "http.response.status_code", status.into());
    }
    if let Some(route) = &one.record.route {
        text(record, 6, "segue.unit", &route.info.unit);
        text(record, 6, "segue.route", &route.info.name);
    }
    text(record, 6, "segue.request.id", &one.id);
    text(record, 6, "segue.outcome", one.outcome());
    text(record, 6, "segue.code", one.code().as_ref().map_or("", RequestError::as_text));
    number(record, 6, "segue.duration_us", one.us);
    number(record, 6, "http.response.body.size", one.record.sent);
    text(record, 6, "enduser.id", one.principal.as_deref().unwrap_or_default());
    text(record, 6, "segue.sampled", one.sampled());
    record.fixed32(8, u32::from(one.trace.flags()));
    record.bytes(9, &one.trace.id.to_be_bytes());
    record.bytes(10, &one.span.to_be_bytes());
    record.fixed64(11, ended);
    record.text(12, "segue.access");
}
