//! The body hyper writes to a client: any [`Body`], with the request's end noted when it ends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::io_watch::Activity;
use crate::{
    body::{Body, BodyError},
    telemetry::Finish,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Outbound {
    body: Body,
    finish: Finish,
    _ended: Ended,
}

/// A request on a connection, counted until it has ended, however it ends.
#[derive(Debug)]
pub(super) struct Ended(Arc<Activity>);

impl Ended {
    pub(super) fn of(activity: &Arc<Activity>) -> Self {
        activity.request_began();
        Self(Arc::clone(activity))
    }

    /// The connection speaks another protocol after this answer.
    pub(super) fn switched(&self) {
        self.0.http1.switch();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

impl Outbound {
    pub(super) fn new(body: Body, mut finish: Finish, ended: Ended) -> Self {
        if body.is_end_stream() {
            finish.complete();
        }
        Self { body, finish, _ended: ended }
    }
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.finish.sent(data.len() as u64);
                }
                if frame.is_trailers() || this.body.is_end_stream() {
                    this.finish.complete();
                }
            }
            Some(Err(_)) => {}
            None => this.finish.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
