//! The answer, once every step has settled.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{encode, failure, outgoing, render, state::State};
use crate::{
    body::Body,
    error::Error,
    expr::EvalError,
    plan::{Endpoint, Respond},
    problem::Kind,
};

const DEGRADED: HeaderName = HeaderName::from_static("segue-degraded");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Evaluates the route's `respond`.
pub(super) fn answer(state: &Arc<State>) -> Result<Response<Body>, Error> {
    let Endpoint::Compose { respond, .. } = &state.run.route().endpoint else {
        return Err(Error::new(Kind::Internal).cause("only a composed route has an answer of its own"));
    };
    compose(state, respond)
}

fn compose(state: &State, respond: &Respond) -> Result<Response<Body>, Error> {
    let frame = state.frame(&[]);
    let status = failure::status_of(&respond.status, &frame).map_err(failure::fault)?;
    let mut headers = HeaderMap::with_capacity(8);
    for (name, values) in &respond.headers {
        render::header(name, values, &frame, &mut headers)
            .map_err(|refusal| outgoing::judge(state, None, refusal))?;
    }
    let mut body = Body::empty();
    // These have no content, whatever the template writes (RFC 9110 §15.3.5, §15.3.6, §15.4.5).
    let empty =
        matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(shape) = respond.body.as_ref().filter(|_| !empty) {
        let encoded = encode::body(shape, headers.get(header::CONTENT_TYPE), state, &frame, 2048)
            .map_err(failure::fault)?;
        if let Some(encoded) = encoded {
            body = encoded.body;
            outgoing::describe(&mut headers, encoded.content_type, encoded.content_encoding);
        }
    }
    mark_degraded(state, &mut headers)?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Never silent, never cached: names every step that failed and was tolerated.
pub(super) fn mark_degraded(state: &State, headers: &mut HeaderMap) -> Result<(), Error> {
    let degraded = state.degraded();
    if degraded.is_empty() {
        return Ok(());
    }
    let mut list = String::new();
    for entry in &degraded {
        let separator = if list.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(list, "{separator}{entry}");
    }
    let list = HeaderValue::try_from(list)
        .map_err(|_| failure::fault(EvalError::Failed(Cow::Borrowed("a step's name is not a token"))))?;
    headers.insert(DEGRADED, list);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    state.run.exchange.record().degraded = degraded.into_iter().map(|entry| entry.name).collect();
    Ok(())
}
