//! The body hyper writes to a client: any [`Body`], with the request's end noted when it ends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{
    http2::stall::{self, PIECE},
    io_watch::Activity,
};
use crate::{
    body::{Body, BodyError},
    headers::sanitize_answer_trailers,
    telemetry::Finish,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Outbound {
    body: Body,
    finish: Finish,
    _ended: Ended,
    /// Over HTTP/2, what is left of a frame of the body; `None` over HTTP/1.
    rest: Option<Bytes>,
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
    pub(super) fn new(body: Body, mut finish: Finish, ended: Ended, http1: bool) -> Self {
        if body.is_end_stream() {
            finish.complete();
        }
        Self { body, finish, _ended: ended, rest: (!http1).then(Bytes::new) }
    }

    fn left(&self) -> usize {
        self.rest.as_ref().map_or(0, Bytes::len)
    }

    /// The front of a frame that is too large to be handed over at once; of trailers, what may go on.
    fn front(&mut self, mut frame: Frame<Bytes>) -> Frame<Bytes> {
        if let Some(trailers) = frame.trailers_mut() {
            sanitize_answer_trailers(trailers);
            return frame;
        }
        let Some(rest) = &mut self.rest else { return frame };
        match frame.into_data() {
            Ok(mut data) => {
                if data.len() > PIECE {
                    *rest = data.split_off(PIECE);
                }
                Frame::data(data)
            }
            Err(frame) => frame,
        }
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
        stall::asked();
        let frame = match &mut this.rest {
            Some(rest) if !rest.is_empty() => Some(Ok(Frame::data(std::mem::take(rest)))),
            _ => ready!(Pin::new(&mut this.body).poll_frame(cx)),
        };
        let frame = frame.map(|frame| frame.map(|frame| this.front(frame)));
        match &frame {
            Some(Ok(frame)) => {
                stall::handed_over();
                if let Some(data) = frame.data_ref() {
                    this.finish.sent(data.len() as u64);
                }
                if frame.is_trailers() || this.is_end_stream() {
                    this.finish.complete();
                }
            }
            Some(Err(_)) => {}
            None => this.finish.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let left = self.left() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + left);
        }
        hint.set_lower(hint.lower() + left);
        hint
    }
}
