//! Lines of the access log as OTLP log records: what `fields` chooses, and nothing else.

use std::{fmt::Write as _, sync::Arc};

use super::{address, nanos, number, table, text, texts, wire::Message};
use crate::telemetry::{
    Finished, RequestError, StepOutcome, Verb,
    access_log::{Field, Now},
    route::protocol_version,
};

/// What a log record has only to say that nothing was chosen of which its body is made.
const NO_WORDS: &str = "request";

/// A line on its way to a collector.
#[derive(Debug)]
pub struct Access {
    /// The request, as of this line.
    request: Arc<Finished>,
    /// What of it is said.
    fields: Arc<[Field]>,
    /// How it ended, or that it has not.
    outcome: &'static str,
    /// Why, if there is anything to say.
    code: Option<RequestError>,
    /// Its spans go to the collector.
    traced: bool,
}

// === impl Access ===

impl Access {
    /// What a line of these fields says of a request.
    pub(in crate::telemetry) fn new(request: Arc<Finished>, fields: &Arc<[Field]>, now: &Now) -> Self {
        let Now { outcome, code, traced, us: _ } = *now;
        Self { request, fields: Arc::clone(fields), outcome, code, traced }
    }

    pub(super) fn write(&self, record: &mut Message<'_>) {
        record.varint(2, 9);
        record.text(3, "INFO");
        record.message(5, |any| any.text_always(1, &self.body()));
        for field in &*self.fields {
            self.field(record, *field);
        }
        // When the gateway saw it, which every record has to say.
        record.fixed64(11, nanos(self.request.at(self.request.us)));
        record.text(12, "segue.access");
    }

    /// Method, path and status, of these what was chosen.
    fn body(&self) -> String {
        let (request, mut body) = (&*self.request, String::new());
        for field in [Field::Method, Field::Path, Field::Status] {
            if !self.fields.contains(&field) {
                continue;
            }
            let _ = match (field, request.record.status) {
                (Field::Method, _) => write!(body, " {}", request.method),
                (Field::Path, _) if !request.path.is_empty() => write!(body, " {}", request.path),
                (Field::Status, Some(status)) => write!(body, " {}", status.as_str()),
                _ => Ok(()),
            };
        }
        body.strip_prefix(' ').unwrap_or(NO_WORDS).to_owned()
    }

    fn field(&self, record: &mut Message<'_>, field: Field) {
        let request = &*self.request;
        let route = request.record.route.as_deref();
        match field {
            Field::Time => record.fixed64(1, nanos(request.at(request.us))),
            Field::TraceId => {
                record.fixed32(8, u32::from(request.trace.flags()));
                record.bytes(9, &request.trace.id.to_be_bytes());
            }
            Field::SpanId => record.bytes(10, &request.span.to_be_bytes()),
            Field::RequestId => text(record, 6, "segue.request.id", &request.id),
            Field::Unit => text(record, 6, "segue.unit", route.map_or("", |route| &route.info.unit)),
            Field::Route => text(record, 6, "segue.route", route.map_or("", |route| &route.info.name)),
            Field::Owner => text(record, 6, "segue.owner", route.map_or("", |route| &route.info.owner)),
            Field::Version => {
                let version = route.and_then(|route| route.info.version.as_deref());
                text(record, 6, "segue.version", version.unwrap_or_default());
            }
            Field::Generation => {
                if let Some(route) = route {
                    number(record, 6, "segue.generation", route.generation.number);
                }
            }
            Field::Principal => {
                text(record, 6, "enduser.id", request.principal.as_deref().unwrap_or_default());
            }
            Field::Client => address(record, 6, "client.address", request.client),
            Field::Peer => {
                address(record, 6, "network.peer.address", request.peer.ip());
                number(record, 6, "network.peer.port", request.peer.port().into());
            }
            Field::Method => {
                let method = Verb::from(&request.method);
                text(record, 6, "http.request.method", method.as_str());
                if method == Verb::Other {
                    text(record, 6, "http.request.method_original", request.method.as_str());
                }
            }
            Field::Scheme => text(record, 6, "url.scheme", request.scheme),
            Field::Host => text(record, 6, "server.address", &request.host),
            Field::Path => text(record, 6, "url.path", &request.path),
            Field::Protocol => text(record, 6, "network.protocol.version", protocol_version(request.version)),
            Field::Status => {
                if let Some(status) = request.record.status {
                    number(record, 6, "http.response.status_code", status.as_u16().into());
                }
            }
            Field::Outcome => text(record, 6, "segue.outcome", self.outcome),
            Field::Code => {
                text(record, 6, "segue.code", self.code.as_ref().map_or("", RequestError::as_text));
            }
            Field::DurationMs => number(record, 6, "segue.duration_us", request.us),
            Field::UpstreamMs => {
                if let Some(us) = request.record.upstream_us() {
                    number(record, 6, "segue.upstream_us", us);
                }
            }
            Field::Received => number(record, 6, "http.request.body.size", request.record.received),
            Field::Sent => number(record, 6, "http.response.body.size", request.record.sent),
            Field::Steps => self.steps(record),
            Field::Degraded => {
                texts(record, 6, "segue.degraded", request.record.degraded.iter().map(String::as_str));
            }
            Field::Service => {
                if let Some(route) = route {
                    let calls = request.record.calls.iter().map(|(_, call)| call.service);
                    let names = calls.map(|service| route.generation.service_name(service));
                    texts(record, 6, "segue.services", names);
                }
            }
            Field::Attempts => number(record, 6, "segue.attempts", request.record.calls.len() as u64),
            Field::Sampled if self.traced => text(record, 6, "segue.sampled", request.sampled()),
            Field::Sampled => {}
        }
    }

    /// By its name, each step's outcome and time.
    fn steps(&self, record: &mut Message<'_>) {
        let request = &*self.request;
        let Some(route) = request.record.route.as_deref() else { return };
        let named = |step: u16| route.info.steps.get(usize::from(step)).map(|info| &*info.name);
        let steps = request.record.own_steps().filter_map(|step| Some((named(step.step)?, step)));
        table(record, 6, "segue.steps", steps, |step, entry| {
            text(entry, 1, "outcome", step.outcome().as_str());
            if step.outcome != StepOutcome::Skipped {
                number(entry, 1, "us", step.us(request.us));
            }
        });
    }
}
