//! The body hyper writes to a client: any [`Body`], with the request's end noted when it ends.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    http2::stall::{self, PIECE},
    io_watch::{Activity, look},
};
use crate::{
    body::{Body, BodyError, pace::Upload},
    headers::sanitize_answer_trailers,
    telemetry::{Abort, Finish},
    upstream::broken_body,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Outbound {
    body: Body,
    finish: Finish,
    ended: Ended,
    stream: Option<Stream>,
    /// Over HTTP/2, what is left of a frame of the body.
    rest: Bytes,
}

/// A request on a connection, counted until it has ended, however it ends.
#[derive(Debug)]
pub(super) struct Ended {
    activity: Arc<Activity>,
    answering: bool,
}

impl Ended {
    pub(super) fn of(activity: &Arc<Activity>) -> Self {
        activity.request_began();
        Self { activity: Arc::clone(activity), answering: false }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.activity.request_ended(self.answering);
    }
}

/// An HTTP/2 stream, of which a connection has many: each notices by itself when nothing comes any more.
/// The timer is made when an answer first lets it wait.
#[derive(Debug)]
pub(super) struct Stream {
    idle: Duration,
    upload: Option<Arc<Upload>>,
    pieces: u32,
    timer: Option<Pin<Box<Sleep>>>,
    /// Something came since the timer was set.
    moved: bool,
    /// Since when nothing has come.
    since: Instant,
}

/// How often a stream on which nothing comes is looked at, so that it can be told of.
const LOOK: Duration = Duration::from_secs(30);

impl Stream {
    pub(super) fn new(idle: Duration, upload: Option<Arc<Upload>>) -> Self {
        Self { idle, upload, pieces: 0, timer: None, moved: false, since: Instant::now() }
    }

    /// Nothing comes. Whether that is so for too long, in both directions.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        // An upload is seen to have moved at a look, and counts from then on.
        let look = look(self.idle).min(LOOK);
        if self.timer.is_none() || std::mem::take(&mut self.moved) {
            (self.since, self.moved) = (Instant::now(), false);
            self.pieces = self.upload.as_ref().map_or(0, |upload| upload.pieces());
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(self.since + look),
                None => self.timer = Some(Box::pin(sleep(look))),
            }
        }
        let Some(timer) = &mut self.timer else { return false };
        while timer.as_mut().poll(cx).is_ready() {
            let (now, pieces) = (Instant::now(), self.upload.as_ref().map_or(0, |upload| upload.pieces()));
            if pieces != self.pieces {
                (self.since, self.pieces) = (now, pieces);
            } else if now - self.since >= self.idle {
                return true;
            }
            timer.as_mut().reset(now + look.min((self.since + self.idle).saturating_duration_since(now)));
        }
        false
    }
}

/// The answer to `HEAD` says how long the body would be that it does not have (RFC 9110 §9.3.2), where that is
/// known. Over HTTP/1 whoever writes the head does.
pub(super) fn keep_length(response: &mut Response<Body>) {
    let body = response.body();
    if let Some(length) = body.size_hint().exact().filter(|_| !body.is_end_stream()) {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
}

impl Outbound {
    pub(super) fn new(body: Body, mut finish: Finish, mut ended: Ended, stream: Option<Stream>) -> Self {
        if body.is_end_stream() {
            finish.complete();
        }
        if stream.is_none() {
            ended.answering = true;
            ended.activity.answer_began();
        }
        Self { body, finish, ended, stream, rest: Bytes::new() }
    }

    /// The client gets no body with this answer.
    pub(super) fn skip(mut self) {
        self.finish.complete();
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.finish.waits();
            if self.stream.as_mut().is_some_and(|stream| stream.is_over(cx)) {
                self.finish.aborts(Abort::IdleTimeout);
                return Poll::Ready(Some(Err(BodyError::Stalled)));
            }
            return Poll::Pending;
        };
        if let Some(stream) = &mut self.stream {
            stream.moved = true;
        }
        Poll::Ready(frame)
    }

    /// The front of a frame that is too large to be handed over at once; of trailers, what may go on.
    fn front(&mut self, mut frame: Frame<Bytes>) -> Frame<Bytes> {
        if let Some(trailers) = frame.trailers_mut() {
            sanitize_answer_trailers(trailers);
            return frame;
        }
        if self.stream.is_none() {
            return frame;
        }
        match frame.into_data() {
            Ok(mut data) => {
                if data.len() > PIECE {
                    self.rest = data.split_off(PIECE);
                }
                Frame::data(data)
            }
            Err(frame) => frame,
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        if let Some(why) = stall::is_cut().then_some(Abort::WriteStall).or_else(|| self.ended.activity.cut())
        {
            self.finish.aborts(why);
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
        let frame = if this.rest.is_empty() {
            ready!(this.poll_body(cx))
        } else {
            Some(Ok(Frame::data(std::mem::take(&mut this.rest))))
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
            // The answer is made of what the client sends, or goes on while it does.
            Some(Err(BodyError::Client(_))) => this.finish.aborts(Abort::ClientGone),
            Some(Err(error)) => this.finish.broke(&broken_body(error)),
            None => this.finish.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let left = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + left);
        }
        hint.set_lower(hint.lower() + left);
        hint
    }
}
