//! Requests as spans: SERVER for the request, INTERNAL for each step, CLIENT for each attempt of a call.

use http::uri::PathAndQuery;

use super::{Resource, address, flag, nanos, number, text, texts, wire::Message};
use crate::telemetry::{
    CallRecord, Finished, RequestError, RouteInstruments, StepInfo, StepOutcome, StepRecord, Verb,
    critical::Tree, rest::Since, route::protocol_version, trace::derived,
};

const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;
/// Numbers of spans: calls have 1 and up, steps these and up.
const STEPS: u64 = 1 << 32;
/// Whether the parent is remote is known, and it is.
const REMOTE: u32 = 0x100 | 0x200;
const LOCAL: u32 = 0x100;

/// The export request of these requests' spans, and how many there are.
#[must_use]
pub fn spans<'a>(resource: &Resource, requests: impl Iterator<Item = &'a Finished>) -> (Vec<u8>, u64) {
    let mut count = 0;
    let bytes = resource.envelope(|scope| {
        for request in requests {
            count += trace(scope, request);
        }
    });
    (bytes, count)
}

/// One span's frame.
struct Span<'a> {
    request: &'a Finished,
    id: u64,
    parent: Option<u64>,
    remote: bool,
    name: &'a str,
    kind: u64,
    start: u64,
    end: u64,
}

impl Span<'_> {
    fn write(&self, scope: &mut Message<'_>, error: Option<&str>, fill: impl FnOnce(&mut Message<'_>)) {
        let trace = &self.request.trace;
        scope.message(2, |span| {
            span.bytes(1, &trace.id.to_be_bytes());
            span.bytes(2, &self.id.to_be_bytes());
            let state = trace.state.as_ref().and_then(|state| state.to_str().ok());
            span.text(3, state.unwrap_or_default());
            if let Some(parent) = self.parent {
                span.bytes(4, &parent.to_be_bytes());
            }
            span.text(5, self.name);
            span.varint(6, self.kind);
            span.fixed64(7, nanos(self.request.at(self.start)));
            span.fixed64(8, nanos(self.request.at(self.end.max(self.start))));
            fill(span);
            if let Some(error) = error {
                text(span, 9, "error.type", error);
                // No words: whatever an upstream said stays out of every signal.
                span.message(15, |status| status.varint(3, ERROR));
            }
            span.fixed32(16, u32::from(trace.flags()) | if self.remote { REMOTE } else { LOCAL });
        });
    }
}

fn trace(scope: &mut Message<'_>, request: &Finished) -> u64 {
    let record = &request.record;
    let route = record.route.as_deref();
    let Since { steps, calls } = request.rest.map(|rest| rest.since).unwrap_or_default();
    let mut count = 0;
    if request.rest.is_none() {
        server(scope, request, route);
        count += 1;
    }
    let Some(route) = route else { return count };
    let tree = Tree::of(record);
    if !record.steps.is_empty() {
        let critical = tree.critical(&route.info.steps, request.us, &route.generation);
        for (at, step) in record.steps.iter().enumerate().skip(steps) {
            if let Some((infos, outer)) = composition((request, route), &tree, step.scope)
                && let Some(info) = infos.get(usize::from(step.step))
            {
                let critical = request.rest.is_none() && critical.binary_search(&at).is_ok();
                step_span(scope, (request, route), step, info, (outer, critical));
                count += 1;
            }
        }
    }
    for (number, call) in record.calls.iter().skip(calls).filter(|(_, call)| call.attempted()) {
        call_span(scope, (request, route), &tree, number, call);
        count += 1;
    }
    count
}

fn server(scope: &mut Message<'_>, request: &Finished, route: Option<&RouteInstruments>) {
    let record = &request.record;
    let method = Verb::from(&request.method);
    let shown = if method == Verb::Other { "HTTP" } else { method.as_str() };
    let name = route.map_or_else(|| shown.to_owned(), |route| format!("{shown} {}", route.info.path));
    let span = Span {
        request,
        id: request.span,
        parent: request.trace.parent,
        remote: request.trace.parent.is_some(),
        name: &name,
        kind: SERVER,
        start: 0,
        end: request.us,
    };
    let error = record.error(request.aborted);
    span.write(scope, error.as_ref().map(|error| error.as_text()), |span| {
        text(span, 9, "http.request.method", method.as_str());
        if method == Verb::Other {
            text(span, 9, "http.request.method_original", request.method.as_str());
        }
        if let Some(status) = record.status {
            number(span, 9, "http.response.status_code", status.as_u16().into());
        }
        text(span, 9, "url.scheme", request.scheme);
        text(span, 9, "url.path", &request.path);
        if !request.host.is_empty() {
            text(span, 9, "server.address", &request.host);
            number(span, 9, "server.port", request.port.into());
        }
        address(span, 9, "client.address", request.client);
        address(span, 9, "network.peer.address", request.peer.ip());
        number(span, 9, "network.peer.port", request.peer.port().into());
        text(span, 9, "network.protocol.version", protocol_version(request.version));
        if let Some(route) = route {
            let info = &route.info;
            text(span, 9, "http.route", &info.path);
            text(span, 9, "segue.unit", &info.unit);
            text(span, 9, "segue.route", &info.name);
            text(span, 9, "segue.owner", &info.owner);
            text(span, 9, "segue.version", info.version.as_deref().unwrap_or_default());
            number(span, 9, "segue.generation", route.generation.number);
        }
        text(span, 9, "segue.request.id", &request.id);
        text(span, 9, "segue.outcome", request.outcome.as_str());
        text(span, 9, "segue.code", request.code().as_ref().map_or("", RequestError::as_text));
        text(span, 9, "enduser.id", request.principal.as_deref().unwrap_or_default());
        texts(span, 9, "segue.degraded", record.degraded.iter().map(String::as_str));
        number(span, 9, "http.request.body.size", record.received);
        number(span, 9, "http.response.body.size", record.sent);
        if record.lost > 0 {
            number(span, 9, "segue.lost", record.lost.into());
        }
        text(span, 9, "segue.sampled", request.sampled());
    });
}

/// The steps of a run, and the span that they are inside of.
fn composition<'a>(
    (request, route): (&Finished, &'a RouteInstruments),
    tree: &Tree<'_>,
    scope: u16,
) -> Option<(&'a [StepInfo], u64)> {
    let Some(index) = scope.checked_sub(1) else {
        return Some((&route.info.steps, request.span));
    };
    let run = request.record.scopes.get(usize::from(index))?;
    let (_, steps) = route.generation.compositions.get(run.composition as usize)?;
    Some((steps, parent(request, tree, run.outer, run.step)))
}

/// The span of a step, or of the nearest around it that has one.
fn parent(request: &Finished, tree: &Tree<'_>, scope: u16, step: u16) -> u64 {
    tree.known(scope, step).map_or(request.span, |(scope, step)| step_id(request, scope, step))
}

fn step_id(request: &Finished, scope: u16, step: u16) -> u64 {
    derived(request.span, STEPS + (u64::from(scope) << 16) + u64::from(step))
}

fn step_span(
    scope: &mut Message<'_>,
    (request, route): (&Finished, &RouteInstruments),
    step: &StepRecord,
    info: &StepInfo,
    (outer, critical): (u64, bool),
) {
    let run = step.scope.checked_sub(1).and_then(|at| request.record.scopes.get(usize::from(at)));
    let span = Span {
        request,
        id: step_id(request, step.scope, step.step),
        parent: Some(outer),
        remote: false,
        name: &info.name,
        kind: INTERNAL,
        start: step.started_us,
        end: step.end_us(request.us),
    };
    let error = match step.outcome() {
        StepOutcome::Failed => Some(step.code.unwrap_or("failed")),
        StepOutcome::Late | StepOutcome::Cancelled => Some(step.outcome.as_str()),
        StepOutcome::Ok | StepOutcome::Skipped | StepOutcome::Running => None,
    };
    span.write(scope, error, |span| {
        text(span, 9, "segue.step", &info.name);
        number(span, 9, "segue.step.wave", info.wave.into());
        text(span, 9, "segue.step.outcome", step.outcome().as_str());
        number(span, 9, "segue.step.wait_us", step.started_us);
        flag(span, 9, "segue.step.critical", critical);
        flag(span, 9, "segue.step.fallback", step.fallback);
        let own = |call: &CallRecord| (call.scope, call.step) == (step.scope, Some(step.step));
        let attempts = request.record.calls.iter().filter(|(_, call)| own(call)).count();
        number(span, 9, "segue.step.attempts", attempts as u64);
        if let Some(items) = step.items {
            number(span, 9, "segue.step.items", items.into());
        }
        if let Some(item) = run.and_then(|run| run.item) {
            number(span, 9, "segue.item", item.into());
        }
        text(span, 9, "segue.unit", &route.info.unit);
        text(span, 9, "segue.route", &route.info.name);
    });
}

fn call_span(
    scope: &mut Message<'_>,
    (request, route): (&Finished, &RouteInstruments),
    tree: &Tree<'_>,
    at: u32,
    call: &CallRecord,
) {
    let service = route.generation.services.get(call.service as usize);
    let endpoint = service.zip(call.endpoint);
    let endpoint = endpoint.and_then(|(service, at)| service.endpoints.get(usize::from(at)));
    let parent = call.step.map_or(request.span, |step| parent(request, tree, call.scope, step));
    let span = Span {
        request,
        id: derived(request.span, 1 + u64::from(at)),
        parent: Some(parent),
        remote: false,
        // The conventions ask for the method alone where there is no template of the target.
        name: call.method.as_str(),
        kind: CLIENT,
        start: call.started_us,
        end: request.call_end(call),
    };
    let error = call.error();
    span.write(scope, error.as_ref().map(|error| error.as_text()), |span| {
        text(span, 9, "http.request.method", call.method.as_str());
        if let Some(status) = call.status {
            number(span, 9, "http.response.status_code", status.as_u16().into());
        }
        if let Some(endpoint) = endpoint {
            let path = call.target.as_ref().map_or(&*request.path, PathAndQuery::path);
            text(span, 9, "url.full", &format!("{}{path}", endpoint.url));
            text(span, 9, "url.scheme", if endpoint.secure { "https" } else { "http" });
            text(span, 9, "server.address", &endpoint.host);
            number(span, 9, "server.port", endpoint.port.into());
            text(span, 9, "network.protocol.version", if call.http2 { "2" } else { "1.1" });
            flag(span, 9, "segue.connection.reused", call.reused);
        }
        let resends = u64::from(call.tries) + u64::from(call.resends);
        if resends > 0 {
            number(span, 9, "http.request.resend_count", resends);
        }
        if call.head_us > 0 {
            number(span, 9, "segue.head_us", call.head_us.saturating_sub(call.started_us));
        }
        if call.status.is_some() && (call.step.is_some() || route.info.plain) {
            number(span, 9, "http.response.body.size", call.bytes);
        }
        if let Some(item) = call.item {
            number(span, 9, "segue.item", item.into());
        }
        text(span, 9, "segue.service", service.map_or("", |service| &service.name));
    });
}
