//! The request of a step: what its template names, and the few fields that every call carries.
//!
//! No field of the client goes along unless the template names it. `host` and the Service's own fields
//! are the upstream's to set.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{self, Entry},
    uri::PathAndQuery,
};

use tokio::time::Instant;

use super::{
    encode, failure,
    render::{self, Refusal},
    state::{State, remaining_ms},
};
use crate::{
    body::Body,
    config::service::AssetType,
    error::Error,
    expr::{Program, Slot, Value},
    plan::{Action, BodyUse, Call, Step},
    problem::Kind,
};

const DEADLINE: HeaderName = HeaderName::from_static("x-segue-deadline-ms");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("segue/", env!("CARGO_PKG_VERSION")));
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");
const RATHER_JSON: HeaderValue = HeaderValue::from_static("application/json, */*;q=0.9");

/// Fields that are the same on every call of an execution: made once, cloned by reference count.
#[derive(Debug)]
pub(super) struct Common {
    /// All that a call to a service of ours has which sets none itself; those of one call are placeholders.
    whole: HeaderMap,
    request_id: Option<HeaderValue>,
    tracestate: Option<HeaderValue>,
    baggage: Option<HeaderValue>,
    forwarded_for: Option<HeaderValue>,
    forwarded_proto: HeaderValue,
    forwarded_host: Option<HeaderValue>,
}

impl Common {
    fn new(state: &State) -> Self {
        let fields = &state.run.request.headers.raw.0;
        // What admission let through of a trusted proxy's list is continued; the peer is its next entry.
        let peer = &state.run.exchange.peer.forwarded_for;
        let forwarded_for = match fields.get(FORWARDED_FOR) {
            Some(list) => HeaderValue::from_bytes(&[list.as_bytes(), peer.as_bytes()].join(&b", "[..])).ok(),
            None => Some(peer.clone()),
        };
        let host = fields.get(FORWARDED_HOST).cloned();
        let mut common = Self {
            whole: HeaderMap::new(),
            request_id: HeaderValue::from_str(&state.run.exchange.id).ok(),
            tracestate: state.run.exchange.trace.state.clone(),
            baggage: state.run.exchange.trace.baggage.clone(),
            forwarded_for,
            forwarded_proto: HeaderValue::from_static(state.run.exchange.scheme),
            forwarded_host: host
                .or_else(|| HeaderValue::from_str(state.run.request.authority().unwrap_or_default()).ok()),
        };
        let mut whole = HeaderMap::with_capacity(12);
        whole.insert(header::ACCEPT, ANYTHING);
        whole.insert(TRACEPARENT, ANYTHING);
        whole.insert(DEADLINE, ANYTHING);
        common.add(&mut whole, false);
        common.whole = whole;
        common
    }

    /// Adds what the template has not set.
    fn add(&self, headers: &mut HeaderMap, external: bool) {
        headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        // A trace is the gateway's to say, whatever a template says.
        if let Some(tracestate) = &self.tracestate {
            headers.insert(TRACESTATE, tracestate.clone());
        }
        if let Some(baggage) = &self.baggage {
            headers.insert(BAGGAGE, baggage.clone());
        }
        add(headers, REQUEST_ID, self.request_id.as_ref());
        if !external {
            add(headers, FORWARDED_FOR, self.forwarded_for.as_ref());
            add(headers, FORWARDED_PROTO, Some(&self.forwarded_proto));
            add(headers, FORWARDED_HOST, self.forwarded_host.as_ref());
        }
    }
}

/// Builds the request of a step, or of an item of its `forEach` (local 0).
pub(super) fn build<'a>(
    state: &'a State,
    (step, call): (&'a Step, &'a Call),
    locals: &[Value<'a>],
    (now, span): (Instant, u64),
) -> Result<Request<Body>, Error> {
    let frame = state.frame(locals);
    let refused = |refusal| judge(state, Some(step), refusal);

    let mut target = String::with_capacity(64);
    render::path(&call.path, &frame, &mut target).map_err(refused)?;
    render::query(&call.query, &frame, &mut target).map_err(refused)?;
    let target = PathAndQuery::from_maybe_shared(Bytes::from(target))
        .map_err(|error| Error::new(Kind::ExpressionError).detail("the path is not usable").cause(error))?;

    let mut headers = HeaderMap::new();
    render::headers(&call.headers, &frame, &mut headers).map_err(refused)?;
    if let Some(policy) = &state.run.route().policies.headers {
        policy.request.hold(&state.run.request.headers.raw.0, &mut headers);
    }
    let mut body = Body::empty();
    if let Some(shape) = &call.body
        && let Some(encoded) = encode::body(shape, headers.get(header::CONTENT_TYPE), state, &frame, 256)
            .map_err(failure::fault)?
    {
        body = encoded.body;
        describe(&mut headers, encoded.content_type, encoded.content_encoding);
    }
    add_common(state, (step, call), &mut headers, (now, span));
    if let Some(policy) = &state.run.route().policies.headers {
        policy.request.withhold(&mut headers);
    }

    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = headers;
    Ok(request)
}

/// Sets the fields that describe a body, unless the template has set its type.
pub(super) fn describe(
    headers: &mut HeaderMap,
    content_type: Option<HeaderValue>,
    content_encoding: Option<HeaderValue>,
) {
    if let (Entry::Vacant(entry), Some(content_type)) = (headers.entry(header::CONTENT_TYPE), content_type) {
        entry.insert(content_type);
    }
    if let (Entry::Vacant(entry), Some(encoding)) =
        (headers.entry(header::CONTENT_ENCODING), content_encoding)
    {
        entry.insert(encoding);
    }
}

fn add_common(
    state: &State,
    (step, call): (&Step, &Call),
    headers: &mut HeaderMap,
    (now, span): (Instant, u64),
) {
    let common = state.run.common.get_or_init(|| Common::new(state));
    let external = state.run.plan.services[call.service.index()].asset == AssetType::External;
    let accept = if step.body == BodyUse::Parsed { RATHER_JSON } else { ANYTHING };
    if headers.is_empty() && !external {
        // A copy of a map needs no hashing. One place more, for the upstream's `host`.
        headers.clone_from(&common.whole);
        headers.reserve(1);
        headers.insert(header::ACCEPT, accept);
    } else {
        headers.reserve(10);
        headers.entry(header::ACCEPT).or_insert(accept);
        common.add(headers, external);
    }
    // Trace and deadline are the gateway's to say, whatever a template says.
    headers.insert(TRACEPARENT, state.run.exchange.trace.to_header(span));
    headers.insert(DEADLINE, HeaderValue::from(remaining_ms(state.run.deadline, now)));
}

/// Adds a field unless the template has set it.
fn add(headers: &mut HeaderMap, name: HeaderName, value: Option<&HeaderValue>) {
    if let (Some(value), Entry::Vacant(entry)) = (value, headers.entry(name)) {
        entry.insert(value.clone());
    }
}

/// A refused value is the client's fault if nothing but the request is in it, else the template's.
pub(super) fn judge(state: &State, step: Option<&Step>, refusal: Refusal<'_>) -> Error {
    let (words, programs) = match refusal {
        Refusal::Eval(error) => return failure::fault(error),
        Refusal::Value(words, programs) => (words, programs),
    };
    // A loop variable comes from the list, and it is no reference of its own.
    let list = step.and_then(|step| step.for_each.as_ref()).map(|each| &each.list);
    let client =
        !programs.is_empty() && programs.into_iter().chain(list).all(|program| only_request(state, program));
    let kind = if client { Kind::InvalidRequest } else { Kind::ExpressionError };
    Error::new(kind).detail(words)
}

fn only_request(state: &State, program: &Program) -> bool {
    program.references().iter().all(|reference| is_request(state, reference.slot, 8))
}

/// Whether a slot holds nothing but what the client sent. Variables are followed, to a bounded depth.
fn is_request(state: &State, slot: Slot, depth: u8) -> bool {
    match slot {
        Slot::Method
        | Slot::Host
        | Slot::Scheme
        | Slot::ClientIp
        | Slot::RequestId
        | Slot::Path(_)
        | Slot::Query
        | Slot::Headers
        | Slot::Cookies
        | Slot::RequestBody => true,
        Slot::Var(var) => {
            let vars = state.composition().map_or(&[][..], |composition| &composition.vars);
            depth > 0
                && vars.get(usize::from(var)).is_some_and(|(_, shape)| {
                    let references = shape.references();
                    !references.is_empty()
                        && references.iter().all(|reference| is_request(state, reference.slot, depth - 1))
                })
        }
        Slot::Input(input) => depth > 0 && input_is_request(state, usize::from(input), depth - 1),
        Slot::Principal(_)
        | Slot::Step(..)
        | Slot::Own(_)
        | Slot::Now
        | Slot::TraceId
        | Slot::Degraded
        | Slot::DeadlineMs
        | Slot::Error(_) => false,
    }
}

/// Whether the caller gave an input nothing but what the client sent.
fn input_is_request(state: &State, input: usize, depth: u8) -> bool {
    let Some((caller, step)) = state.caller() else { return false };
    let Action::Compose(nested) = &step.action else { return false };
    let Some(Some(shape)) = nested.inputs.get(input) else { return false };
    let list = step.for_each.iter().flat_map(|each| each.list.references()).copied();
    let mut references = shape.references();
    references.extend(list);
    !references.is_empty() && references.iter().all(|reference| is_request(caller, reference.slot, depth))
}
