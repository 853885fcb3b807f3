//! The body hyper writes to a client: any [`Body`], with the request's end noted when it ends.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::io_watch::Activity;
use crate::{
    body::{Body, BodyError, pace::Upload},
    telemetry::Finish,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Outbound {
    body: Body,
    finish: Finish,
    ended: Ended,
    stream: Option<Stream>,
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

    /// The connection speaks another protocol after this answer.
    pub(super) fn switched(&self) {
        self.activity.http1.switch();
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
}

impl Stream {
    pub(super) const fn new(idle: Duration, upload: Option<Arc<Upload>>) -> Self {
        Self { idle, upload, pieces: 0, timer: None, moved: false }
    }

    /// Nothing comes. Whether that is so for too long, in both directions.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.idle)));
        if std::mem::take(&mut self.moved) {
            timer.as_mut().reset(Instant::now() + self.idle);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let pieces = self.upload.as_ref().map_or(0, |upload| upload.pieces());
            if pieces == self.pieces {
                return true;
            }
            self.pieces = pieces;
            timer.as_mut().reset(Instant::now() + self.idle);
        }
        false
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
        Self { body, finish, ended, stream }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        if self.ended.activity.is_stopped() {
            self.finish.broke();
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
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            if this.stream.as_mut().is_some_and(|stream| stream.is_over(cx)) {
                this.finish.broke();
                return Poll::Ready(Some(Err(BodyError::Stalled)));
            }
            return Poll::Pending;
        };
        if let Some(stream) = &mut this.stream {
            stream.moved = true;
        }
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.finish.sent(data.len() as u64);
                }
                if frame.is_trailers() || this.body.is_end_stream() {
                    this.finish.complete();
                }
            }
            Some(Err(_)) => this.finish.broke(),
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
