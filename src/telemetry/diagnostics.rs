//! Diagnostics on their way to a collector: what the log has from `info` up.

use std::{fmt::Write as _, time::SystemTime};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::{otlp::LogItem, sinks::DIAGNOSTICS};

/// See the module. Costs a lock per line while there is a collector, and next to nothing otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exported;

impl<S: Subscriber> Layer<S> for Exported {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || !DIAGNOSTICS.is_open() {
            return;
        }
        let mut item = LogItem {
            at: SystemTime::now(),
            level: *metadata.level(),
            target: metadata.target(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut Reader(&mut item));
        DIAGNOSTICS.push(item);
    }
}

struct Reader<'a>(&'a mut LogItem);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.fields.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0.message, "{value:?}");
        } else {
            self.0.fields.push((field.name(), format!("{value:?}")));
        }
    }
}
