//! A mock's answer as it goes on the wire.

use std::{future::ready, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::sleep;

use super::compare;
use crate::{
    body::{Body, BodyError},
    config::suite::{AnswerBody, AnswerTemplate},
};

/// The answer that a mock gives.
pub(super) fn response(answer: &AnswerTemplate) -> Response<Body> {
    let (bytes, media) = match &answer.body {
        AnswerBody::Empty => (Bytes::new(), None),
        AnswerBody::Value(node) => compare::encode(Some(node)),
        AnswerBody::Bytes(bytes) => (bytes.clone(), Some("application/octet-stream")),
        AnswerBody::Size(size) => (json_text(*size), Some("application/json")),
    };
    let length = bytes.len();
    let body = if answer.body_delay.is_zero() {
        Body::full(bytes)
    } else {
        let delay = answer.body_delay;
        Body::other(StreamBody::new(stream::once(async move {
            sleep(delay).await;
            Ok(Frame::data(bytes))
        })))
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    let headers = response.headers_mut();
    for (name, text) in &answer.headers {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.append(name.clone(), value);
        }
    }
    if let (Some(media), false) = (media, headers.contains_key(header::CONTENT_TYPE)) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    if !answer.body_delay.is_zero() && !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// An answer whose body breaks off.
pub(super) fn truncated() -> Response<Body> {
    let start = stream::once(ready(Ok(Frame::data(Bytes::from_static(b"{")))));
    let end = stream::once(async {
        // The head and the start are on their way by then.
        sleep(Duration::from_millis(1)).await;
        Err(BodyError::Stalled)
    });
    let mut response = Response::new(Body::other(StreamBody::new(start.chain(end))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("100"));
    response
}

/// JSON of so many bytes: a text, quotes included.
fn json_text(size: usize) -> Bytes {
    let mut text = vec![b'x'; size.max(2)];
    text[0] = b'"';
    if let Some(last) = text.last_mut() {
        *last = b'"';
    }
    text.into()
}
