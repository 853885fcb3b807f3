//! A body that is held to something while it streams: a largest size, fields that may not trail it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body as _, Frame, SizeHint};

use super::{Body, BodyError, pace::Upload};

/// See the module.
pub(super) struct Ruled {
    body: Body,
    rule: Rule,
}

enum Rule {
    Capped { left: u64, limit: u64 },
    WithoutTrailers(Arc<[HeaderName]>),
}

// === impl Ruled ===

impl Ruled {
    pub(super) const fn capped(body: Body, limit: u64) -> Self {
        Self { body, rule: Rule::Capped { left: limit, limit } }
    }

    pub(super) const fn without_trailers(body: Body, names: Arc<[HeaderName]>) -> Self {
        Self { body, rule: Rule::WithoutTrailers(names) }
    }

    pub(super) fn upload(&self) -> Option<Arc<Upload>> {
        self.body.upload()
    }

    pub(super) fn malformed(&self) -> Option<&'static str> {
        self.body.malformed()
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame {
            match &mut self.rule {
                Rule::Capped { left, limit } => {
                    let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                    if length > *left {
                        self.body = Body::empty();
                        return Poll::Ready(Some(Err(BodyError::TooLarge { limit: *limit })));
                    }
                    *left -= length;
                }
                Rule::WithoutTrailers(names) => {
                    if let Some(trailers) = frame.trailers_mut() {
                        for name in &**names {
                            trailers.remove(name);
                        }
                    }
                }
            }
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
