//! A client's connection of HTTP/1: one request at a time, read, answered, and the next one after it.
//!
//! A codec of our own, because every byte that a client sends has to be judged by the letter anyway: a second
//! one behind that would read each head again, and could be shown only what looks like a request to it.
//!
//! The answer is polled here and so is what reads the request's body. What a client sends behind its request
//! waits: it is read only to see whether the client is still there.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Limits, Refusal,
    answer::{self, Asked, Framing},
    messages::{Messages, Piece},
    outbox::Outbox,
    sending::Sending,
};
use crate::{
    body::{
        Body, FromClient,
        inbound::{self, Demand, Feed},
    },
    duplex::{self, Handover},
    gateway::Begun,
    headers::Peer,
    inbox::Inbox,
    server::{
        io_watch::{Activity, ClientIo},
        outbound::{Ended, Outbound},
        worker::Worker,
    },
    switched::Switched,
    turn::Turn,
};

/// The most bytes that are read and dropped after the last answer, so that the client gets to see it:
/// closing a socket with unread bytes resets it (RFC 9112 §9.6).
const LINGER: usize = 1024 * 1024;

/// See the module.
pub(super) struct Connection {
    io: ClientIo,
    inbox: Inbox,
    messages: Messages,
    outbox: Outbox,
    worker: Arc<Worker>,
    peer: Arc<Peer>,
    activity: Arc<Activity>,
    /// A request was answered here.
    served: bool,
    /// The client waits to be told that its body is wanted.
    expects: bool,
    /// The request's body has broken off, so that nothing more is read.
    deaf: bool,
    /// So many bytes more are read and dropped at the end.
    linger: usize,
    turn: Turn,
}

/// What comes next on a connection.
enum Next {
    Request(Request<()>),
    Refused(Refusal),
    /// Nothing: it has ended.
    Nothing,
}

/// What a look at the client's side came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Whoever reads the body has something new to see.
    Moved,
    Waiting,
    /// The client has gone.
    Gone,
}

/// How a request was left.
enum Left {
    /// Another one may follow.
    Kept,
    /// None may.
    Closed,
    /// The connection speaks another protocol now.
    Switched(Handover),
}

impl Connection {
    pub(super) fn new(
        io: ClientIo,
        limits: Limits,
        worker: Arc<Worker>,
        peer: Arc<Peer>,
        activity: Arc<Activity>,
    ) -> Self {
        Self {
            io,
            inbox: Inbox::new(),
            messages: Messages::new(limits),
            outbox: Outbox::default(),
            worker,
            peer,
            activity,
            served: false,
            expects: false,
            deaf: false,
            linger: LINGER,
            turn: Turn::default(),
        }
    }

    /// Serves until the connection has ended or leaves HTTP. May be dropped between two requests, and called
    /// again.
    pub(super) async fn serve(&mut self) -> io::Result<Option<Handover>> {
        loop {
            let left = match poll_fn(|cx| self.poll_next(cx)).await? {
                Next::Nothing => Left::Closed,
                // An answer would be noise to it. A preface of HTTP/2 gone wrong is the usual case, and then
                // RFC 9113 §3.4 wants the connection closed.
                Next::Refused(Refusal::Foreign) if !self.served => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "not HTTP"));
                }
                Next::Refused(refusal) => self.refuse(refusal).await?,
                Next::Request(request) => self.request(request).await?,
            };
            match left {
                Left::Kept => self.messages.next(),
                Left::Closed => break,
                Left::Switched(handover) => return Ok(Some(handover)),
            }
        }
        poll_fn(|cx| self.poll_shutdown(cx)).await.map(|()| None)
    }

    /// Gives back what is kept for the next request. Waits until there is something to read, the end included.
    pub(super) async fn rest(&mut self) -> io::Result<()> {
        self.inbox.release();
        self.outbox.release();
        self.io.readable().await
    }

    /// What is left of it for the other protocol.
    pub(super) fn into_duplex(mut self) -> Switched<ClientIo> {
        Switched::new(self.inbox.take_all(), self.io)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Next>> {
        if self.activity.http1.is_misplaced() {
            return Poll::Ready(Ok(Next::Refused(Refusal::Misplaced)));
        }
        loop {
            match self.messages.head(&mut self.inbox) {
                Ok(Some(request)) => {
                    self.activity.judged(false, false);
                    return Poll::Ready(Ok(Next::Request(request)));
                }
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Ok(Next::Refused(refusal))),
            }
            let begun = !self.inbox.is_empty();
            self.activity.judged(begun, !begun);
            if begun && self.activity.http1.is_late() {
                return Poll::Ready(Ok(Next::Refused(Refusal::Slow)));
            }
            if !begun && self.activity.http1.is_closing() {
                return Poll::Ready(Ok(Next::Nothing));
            }
            let read = ready!(self.inbox.poll_fill(cx, &mut self.io))?;
            if read == 0 {
                return Poll::Ready(Ok(if begun {
                    Next::Refused(Refusal::Malformed("the head of the request is not whole"))
                } else {
                    Next::Nothing
                }));
            }
        }
    }

    async fn refuse(&mut self, refusal: Refusal) -> io::Result<Left> {
        self.messages.give_up();
        self.activity.judged(false, false);
        let ended = Ended::of(&self.activity);
        let begun = self.worker.refuse(&self.peer, refusal);
        self.deaf = true;
        let asked = Asked { head_only: false, old: false, trailers: false, keep: false };
        self.answer(begun, asked, ended, None, None).await
    }

    async fn request(&mut self, mut request: Request<()>) -> io::Result<Left> {
        let head = self.messages.last();
        let asked = Asked {
            head_only: *request.method() == Method::HEAD,
            old: head.is_old(),
            trailers: head.takes_trailers(),
            keep: head.keeps(),
        };
        self.expects = head.expects();
        let handover = head.asks_upgrade().then(|| {
            let (handover, promise) = duplex::promise();
            request.extensions_mut().insert(promise);
            handover
        });
        // What has come of the body is judged before anything is sent on.
        let checked = self.messages.check(self.inbox.as_slice());
        let (feed, body) = match (self.messages.length(), checked) {
            (Some(0), _) => (None, FromClient::Nothing),
            (_, Err(fault)) => {
                self.deaf = true;
                self.messages.give_up();
                (None, FromClient::Broken(fault))
            }
            (length, Ok(())) => {
                let (feed, body) = inbound::channel(length);
                (Some(feed), FromClient::Http1(body))
            }
        };
        let ended = Ended::of(&self.activity);
        let begun = self.worker.begin(request.map(|()| body), &self.peer);
        self.answer(begun, asked, ended, feed, handover).await
    }

    /// Sends an answer as it comes.
    async fn answer(
        &mut self,
        mut begun: Begun,
        asked: Asked,
        ended: Ended,
        mut feed: Option<Feed>,
        handover: Option<Handover>,
    ) -> io::Result<Left> {
        let response = poll_fn(|cx| {
            loop {
                if let Poll::Ready(response) = begun.poll_answer(cx) {
                    return Poll::Ready(Some(response));
                }
                match self.look(cx, &mut feed) {
                    Look::Moved if self.turn.is_over(cx) => return Poll::Pending,
                    Look::Moved => {}
                    Look::Waiting => return Poll::Pending,
                    Look::Gone => return Poll::Ready(None),
                }
            }
        });
        let Some(response) = response.await else {
            return Err(io::ErrorKind::ConnectionReset.into());
        };
        let (finish, upload) = begun.into_parts();
        self.served = true;
        self.expects = false;
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        // What has not been read to its end closes the connection; the client learns so in time (RFC 9112 §9.6).
        let unread = upload.is_some_and(|upload| !upload.has_ended());
        let keep = asked.keep && !unread && self.worker.is_serving();
        let (framing, keep) = self.begin_answer(&response, Asked { keep, ..asked });
        let announced = if asked.trailers && framing == Framing::Chunked {
            answer::announced(response.headers())
        } else {
            Vec::new()
        };
        let body = Outbound::new(response.into_body(), finish, ended, None);
        let mut sending = Sending::new(body, framing, announced);
        poll_fn(|cx| self.poll_answer(cx, &mut sending, &mut feed)).await?;
        match handover {
            Some(handover) if switching => Ok(Left::Switched(handover)),
            _ if keep && !switching && self.messages.between() && !self.activity.http1.is_closing() => {
                Ok(Left::Kept)
            }
            _ => Ok(Left::Closed),
        }
    }

    fn begin_answer(&mut self, response: &Response<Body>, asked: Asked) -> (Framing, bool) {
        let body = response.body();
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        answer::write(self.outbox.bytes(), response, asked, length)
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending,
        feed: &mut Option<Feed>,
    ) -> Poll<io::Result<()>> {
        loop {
            let all = match sending.fill(cx, &mut self.outbox) {
                Ok(all) => all,
                Err(error) => {
                    if sending.framing == Framing::Close {
                        // Its end would look like that of the body.
                        self.io.reset_on_close();
                    } else {
                        // Without a byte of it, its client would take the connection for one that was closed
                        // before the request, and send that again.
                        let _ = self.outbox.poll_write(cx, &mut self.io);
                    }
                    return Poll::Ready(Err(error));
                }
            };
            let waiting = self.outbox.len();
            match self.outbox.poll_write(cx, &mut self.io) {
                Poll::Ready(Ok(())) if sending.body.is_none() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if !all => {
                    self.turn.moved(waiting);
                    if self.turn.is_over(cx) {
                        return Poll::Pending;
                    }
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            match self.look(cx, feed) {
                Look::Moved if self.turn.is_over(cx) => return Poll::Pending,
                Look::Moved => {}
                Look::Waiting => return Poll::Pending,
                Look::Gone => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
    }

    /// Receives what somebody waits for of the request's body; without one, sees whether the client has gone.
    fn look(&mut self, cx: &mut Context<'_>, feed: &mut Option<Feed>) -> Look {
        let Some(reader) = feed else {
            if self.deaf || !self.inbox.is_empty() {
                return Look::Waiting;
            }
            return match self.inbox.poll_fill(cx, &mut self.io) {
                Poll::Pending | Poll::Ready(Ok(1..)) => Look::Waiting,
                Poll::Ready(Ok(0) | Err(_)) => Look::Gone,
            };
        };
        match reader.demand(cx) {
            Demand::Next => {}
            Demand::Later | Demand::Never => return Look::Waiting,
        }
        loop {
            match self.messages.body(&mut self.inbox) {
                Ok(Some(piece)) => {
                    let (frame, last) = match piece {
                        Piece::Data(data, last) => (Some(Frame::data(data)), last),
                        Piece::Trailers(trailers) => (Some(Frame::trailers(trailers)), true),
                        Piece::End => (None, true),
                    };
                    self.expects = false;
                    reader.give(cx, frame, last);
                    if last {
                        *feed = None;
                    }
                    return Look::Moved;
                }
                Ok(None) => {}
                Err(fault) => {
                    tracing::debug!(fault, "a request's body is malformed");
                    return self.broke(feed, fault);
                }
            }
            if std::mem::take(&mut self.expects) {
                self.outbox.bytes().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            if !self.outbox.is_empty()
                && let Poll::Ready(Err(_)) = self.outbox.poll_write(cx, &mut self.io)
            {
                return Look::Gone;
            }
            match self.inbox.poll_fill(cx, &mut self.io) {
                Poll::Pending => return Look::Waiting,
                Poll::Ready(Ok(read @ 1..)) => self.turn.moved(read),
                Poll::Ready(Ok(0) | Err(_)) => return self.broke(feed, "the connection was closed"),
            }
        }
    }

    fn broke(&mut self, feed: &mut Option<Feed>, why: &'static str) -> Look {
        self.deaf = true;
        self.messages.give_up();
        if let Some(feed) = feed.take() {
            feed.fail(why);
        }
        Look::Moved
    }

    /// Ends the connection so that the client gets to see the last answer.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.activity.http1.is_lingering() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            if self.messages.between() && self.inbox.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.activity.http1.linger();
        }
        let mut sink = [0; 8 * 1024];
        while self.linger > 0 {
            let mut buffer = ReadBuf::new(&mut sink);
            // Whatever ends it: the client has seen what there was to see.
            let Ok(()) = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) else { break };
            match buffer.filled().len() {
                0 => break,
                count => {
                    self.linger = self.linger.saturating_sub(count);
                    self.turn.moved(count);
                    if self.turn.is_over(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
