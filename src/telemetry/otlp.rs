//! OTLP messages, as `application/x-protobuf`.
//!
//! Written by hand over a page of wire format, because the official message crate brings the SDK and a
//! second generator of random numbers along, ten crates for the sake of three messages. Tests read what is
//! written here with that crate.

mod access;
mod logs;
mod metrics;
mod spans;
mod wire;

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use access::Access;
pub use logs::{LogItem, logs};
pub use metrics::metrics;
pub use spans::spans;
use wire::Message;

/// Who says all this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `service.name`
    pub name: String,
    /// `service.instance.id`
    pub instance: String,
}

/// How many items of a batch the collector says it refused; 0 of an answer that says nothing of it.
#[must_use]
pub fn refused(answer: &[u8]) -> u64 {
    wire::field(answer, 1).and_then(|partial| wire::number(partial, 1)).unwrap_or(0)
}

impl Resource {
    /// One of its own for this process.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), instance: format!("{:032x}", fastrand::u128(..)) }
    }

    /// The one list of an export request: resource, scope, then what the scope holds.
    fn envelope(&self, items: impl FnOnce(&mut Message<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        Message::new(&mut out).message(1, |list| {
            list.message(1, |resource| {
                text(resource, 1, "service.name", &self.name);
                text(resource, 1, "service.version", env!("CARGO_PKG_VERSION"));
                text(resource, 1, "service.instance.id", &self.instance);
            });
            list.message(2, |scope| {
                scope.message(1, |named| {
                    named.text(1, "segue");
                    named.text(2, env!("CARGO_PKG_VERSION"));
                });
                items(scope);
            });
        });
        out
    }
}

/// Nanoseconds since the epoch.
fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

// -- attributes, as repeated `KeyValue` of a field; what is empty is left out

fn text(message: &mut Message<'_>, field: u32, key: &str, value: &str) {
    if !value.is_empty() {
        message.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| any.text_always(1, value));
        });
    }
}

fn number(message: &mut Message<'_>, field: u32, key: &str, value: u64) {
    message.message(field, |pair| {
        pair.text(1, key);
        pair.message(2, |any| any.varint_always(3, value));
    });
}

fn flag(message: &mut Message<'_>, field: u32, key: &str, value: bool) {
    message.message(field, |pair| {
        pair.text(1, key);
        pair.message(2, |any| any.varint_always(2, u64::from(value)));
    });
}

fn texts<'a>(message: &mut Message<'_>, field: u32, key: &str, values: impl Iterator<Item = &'a str>) {
    let mut values = values.peekable();
    if values.peek().is_some() {
        message.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| {
                any.message(5, |list| {
                    for value in values {
                        list.message(1, |any| any.text_always(1, value));
                    }
                });
            });
        });
    }
}

/// A table of tables, by name.
fn table<'a, T>(
    message: &mut Message<'_>,
    field: u32,
    key: &str,
    entries: impl Iterator<Item = (&'a str, T)>,
    fill: impl Fn(T, &mut Message<'_>),
) {
    let mut entries = entries.peekable();
    if entries.peek().is_some() {
        message.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| {
                any.message(6, |list| {
                    for (name, entry) in entries {
                        list.message(1, |pair| {
                            pair.text(1, name);
                            pair.message(2, |any| any.message(6, |inner| fill(entry, inner)));
                        });
                    }
                });
            });
        });
    }
}

fn address(message: &mut Message<'_>, field: u32, key: &str, value: IpAddr) {
    text(message, field, key, &value.to_string());
}
