//! The most bytes that a request's body may have: `body`.
//!
//! A body that says so is refused before anything is done with it, another one where it passes the limit: 413 if
//! there is no answer yet, else the exchange breaks off. Whoever decodes a body bounds what comes out of it.
//!
//! Differs from tower-http's `RequestBodyLimit` in that no other layer needs to know its body or its error.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower::{Layer, Service};

use super::gate::ResponseFuture;
use crate::{body::Body, error::Error, problem::Kind};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimitLayer {
    limit: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct BodyLimit<S> {
    inner: S,
    limit: u64,
}

// === impl BodyLimitLayer ===

impl BodyLimitLayer {
    /// At most this many bytes.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for BodyLimitLayer {
    type Service = BodyLimit<S>;

    fn layer(&self, inner: S) -> BodyLimit<S> {
        BodyLimit { inner, limit: self.limit }
    }
}

// === impl BodyLimit ===

impl<S> Service<Request<Body>> for BodyLimit<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match std::mem::take(request.body_mut()).capped(self.limit) {
            Ok(body) => {
                *request.body_mut() = body;
                ResponseFuture::admitted(self.inner.call(request))
            }
            Err(error) => ResponseFuture::refused(Error::new(Kind::PayloadTooLarge).cause(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::{
        body::BodyError,
        policy::testing::{exchange, request},
        telemetry::Exchange,
    };

    #[tokio::test]
    async fn the_limit_is_taken_and_a_byte_more_is_not_whether_announced_or_streamed() {
        for (size, streamed, expected) in [
            (8, false, Ok(8)),
            (9, false, Err(Kind::PayloadTooLarge)),
            (8, true, Ok(8)),
            (9, true, Err(Kind::PayloadTooLarge)),
        ] {
            let endpoint = service_fn(|mut request: Request<Body>| async move {
                assert!(request.body_mut().unload::<Exchange>().is_some());
                let read = request.into_body().collect(100).await.map_err(|error| {
                    assert!(matches!(error, BodyError::TooLarge { limit: 8 }));
                    Error::from(Kind::PayloadTooLarge)
                })?;
                Ok(Response::new(Body::full(read)))
            });
            let mut request = request("POST /", exchange());
            let record = request.body_mut().unload::<Exchange>().unwrap();
            let bytes = Bytes::from(vec![b'x'; size]);
            *request.body_mut() = if streamed {
                let frames = bytes.chunks(3).map(|part| Ok(Frame::data(Bytes::copy_from_slice(part))));
                Body::other(StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>())))
            } else {
                Body::full(bytes)
            };
            request.body_mut().carry(record);
            let answer = BodyLimitLayer::new(8).layer(endpoint).oneshot(request).await;
            let got = match answer {
                Ok(answer) => Ok(answer.into_body().collect(100).await.unwrap().len()),
                Err(error) => Err(error.kind()),
            };
            assert_eq!(got, expected, "{size} {streamed}");
        }
    }
}
