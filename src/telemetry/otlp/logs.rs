//! Diagnostics as OTLP log records, and the export request of all log records.

use std::time::SystemTime;

use super::{Access, Resource, nanos, text, wire::Message};

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
    lines: impl Iterator<Item = &'a Access>,
) -> (Vec<u8>, u64) {
    let mut count = diagnostics.len() as u64;
    let bytes = resource.envelope(|scope| {
        for item in diagnostics {
            scope.message(2, |record| diagnostic(record, item));
        }
        for line in lines {
            scope.message(2, |record| line.write(record));
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
