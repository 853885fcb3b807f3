//! An HTTP/1.1 connection: one call at a time, driven by whoever waits for its answer.
//!
//! The codec is our own, because a connection that a task of its own drives costs each
//! call two changes of task, a channel each way and a copy of the request in case it must be sent again:
//! together more than the rest of a proxied call. Here the call's future writes and reads itself, the
//! request stays where it is until its answer has begun, and the answer's body owns the connection until
//! it has ended and then puts it back into its slot. Dropped before that, the connection closes.
//!
//! Absent on purpose: pipelining, obsolete line folding, and leniency about where an answer ends. Lines of a
//! head may end with a bare line feed, as RFC 9112 §2.2 lets a recipient take them.

mod download;
mod head;
mod io;
mod upgrade;
mod upload;

use std::{
    future::{Future, poll_fn},
    io::{Error as IoError, ErrorKind},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::EXPECT};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{
    Outgoing, failure,
    pool::{Lease, Local},
    send::Broken,
};
use crate::{
    body::{Body, BodyError, Exchange},
    inbox::Inbox,
};

use download::Download;
use head::{Head, Seen};
use upload::{Unsent, Upload};

pub(super) use head::is_valid;
pub(super) use io::Io;
pub use upgrade::switched;

/// More interim answers than this to one request are malformed.
pub(super) const MOST_INTERIM: u32 = 100;
/// How long a body is held back for a 100: old servers know none.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    io: Io,
    inbox: Inbox,
    seen: Seen,
    upload: Upload,
    download: Download,
    /// The call under way; its body is in `upload`.
    call: Option<Box<Outgoing>>,
    /// The request's body once more, where it may have to be sent again.
    copy: Option<Body>,
    /// The peer takes no more of the request.
    deaf: bool,
    /// Holds the body back until the peer says 100 or this is over.
    hold: Option<Pin<Box<Sleep>>>,
    /// Stays registered from call to call: moving a timer to later costs next to nothing.
    timer: Pin<Box<Sleep>>,
    /// The peer keeps the connection after this answer.
    keeps: bool,
    /// The tick after which it takes no call.
    retires: u32,
    pub(super) idle_since: u32,
    used: bool,
    lease: Option<Lease>,
}

/// Why no head came.
enum Headless {
    Late,
    Malformed(&'static str),
    Unsent(BodyError),
    Lost(IoError),
    /// The head came, and then the connection broke.
    Cut(IoError),
}

/// Speaks HTTP/1.1 on a byte stream.
pub(super) fn start(io: Io, local: &Local) -> Box<Connection> {
    Box::new(Connection {
        io,
        inbox: Inbox::new(),
        seen: Seen::default(),
        upload: Upload::default(),
        download: Download::End,
        call: None,
        copy: None,
        deaf: false,
        hold: None,
        timer: Box::pin(tokio::time::sleep_until(Instant::now())),
        keeps: true,
        retires: local.now().saturating_add(local.upstream.max_age),
        idle_since: local.now(),
        used: false,
        lease: None,
    })
}

/// Whether the request has a body and wants to be told to send it.
pub(super) fn expects(request: &Request<Body>) -> bool {
    !request.body().is_end_stream() && request.headers().contains_key(EXPECT)
}

impl Connection {
    /// Whether the peer has neither closed it nor said anything unasked. Costs no system call unless
    /// something has happened.
    pub(super) fn is_open(&mut self) -> bool {
        // Nobody waits for an idle connection, so nobody is to be woken.
        self.inbox.is_empty()
            && self.inbox.poll_fill(&mut Context::from_waker(Waker::noop()), &mut self.io).is_pending()
    }

    /// Whether it is too old to take a call.
    pub(super) const fn is_past(&self, now: u32) -> bool {
        now > self.retires
    }

    /// Whether another call has used it, so that the peer may have closed it meanwhile.
    pub(super) const fn is_used(&self) -> bool {
        self.used
    }

    /// Sends a request and waits for the answer's head. The request comes back if the connection broke
    /// and it may be sent again: because the peer cannot have seen it, or with `again` because it may
    /// see it twice.
    pub(super) async fn exchange(
        mut self: Box<Self>,
        mut call: Box<Outgoing>,
        deadline: Instant,
        again: bool,
        upgrades: bool,
        own_host: bool,
        lease: Lease,
    ) -> Result<Response<Body>, Broken> {
        self.copy = call.request.body().copy();
        self.hold = expects(&call.request).then(|| Box::pin(tokio::time::sleep(PATIENCE)));
        let host = own_host.then(|| &lease.slot().host);
        self.upload.begin(&mut call, host);
        let method = call.request.method().clone();
        self.call = Some(call);
        (self.deaf, self.used) = (false, true);
        self.timer.as_mut().reset(deadline);
        let mut interim = 0;
        let outcome = poll_fn(|cx| self.poll_head(cx, &method, &mut interim)).await;
        match outcome {
            Ok(head) => self.answer(head, upgrades, lease),
            Err(Headless::Late) => Err(Broken::Late),
            Err(Headless::Malformed(why)) => Err(Broken::failed(failure::malformed(why))),
            Err(Headless::Unsent(error)) => Err(Broken::failed(failure::unsent(&error))),
            Err(Headless::Cut(error)) => Err(Broken::failed(failure::lost(&error))),
            Err(Headless::Lost(error)) => {
                let seen = !self.upload.is_unseen();
                let call = self.take_back(again);
                let (reset, error) = (failure::is_lost(&error), failure::lost(&error));
                Err(Broken::Failed { error, reset, seen, call })
            }
        }
    }

    /// Sends and receives until there is a head that is not an interim answer's.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        interim: &mut u32,
    ) -> Poll<Result<Head, Headless>> {
        if let Err(error) = self.poll_send(cx) {
            return Poll::Ready(Err(Headless::Unsent(error)));
        }
        loop {
            match head::take(&mut self.inbox, &mut self.seen, method) {
                Ok(Some(head)) if is_interim(head.response.status()) => {
                    *interim += 1;
                    if *interim > MOST_INTERIM {
                        return Poll::Ready(Err(Headless::Malformed("too many interim answers")));
                    }
                    let released =
                        head.response.status() == StatusCode::CONTINUE && self.hold.take().is_some();
                    if released && let Err(error) = self.poll_send(cx) {
                        return Poll::Ready(Err(Headless::Unsent(error)));
                    }
                    continue;
                }
                Ok(Some(head)) => return Poll::Ready(self.check(cx, head)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(Headless::Malformed(error.why()))),
            }
            match self.inbox.poll_fill(cx, &mut self.io) {
                Poll::Ready(Ok(0)) => {
                    let closed = IoError::new(ErrorKind::ConnectionReset, "closed before an answer");
                    return Poll::Ready(Err(Headless::Lost(closed)));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Headless::Lost(error))),
                Poll::Pending => break,
            }
        }
        self.timer.as_mut().poll(cx).map(|()| Err(Headless::Late))
    }

    /// Looks at what has come behind a head: while nothing of the answer has gone on, it can still be refused.
    fn check(&mut self, cx: &mut Context<'_>, head: Head) -> Result<Head, Headless> {
        match download::is_whole(head.framing, self.inbox.as_slice()) {
            Err(fault) => Err(Headless::Malformed(fault)),
            Ok(false) if !self.inbox.is_full() => match self.inbox.poll_fill(cx, &mut self.io) {
                Poll::Ready(Ok(0)) => Err(Headless::Malformed("the body is not whole")),
                Poll::Ready(Err(error)) => Err(Headless::Cut(error)),
                Poll::Ready(Ok(_)) | Poll::Pending => Ok(head),
            },
            Ok(_) => Ok(head),
        }
    }

    /// Sends what can be sent now. That the peer takes no more is no error yet: it may have answered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        let Some(call) = self.call.as_ref().filter(|_| !self.deaf) else {
            return Ok(());
        };
        if let Some(hold) = &mut self.hold
            && hold.as_mut().poll(cx).is_ready()
        {
            self.hold = None;
        }
        match self.upload.poll(cx, &mut self.io, call.request.headers(), self.hold.is_none()) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(Unsent::Body(error))) => Err(error),
            Poll::Ready(Err(Unsent::Io(error))) => {
                tracing::trace!(%error, "the upstream takes no more of the request");
                self.deaf = true;
                Ok(())
            }
        }
    }

    fn take_back(&mut self, again: bool) -> Option<Box<Outgoing>> {
        let mut call = self.call.take()?;
        *call.request.body_mut() = match self.copy.take() {
            Some(body) if again || self.upload.is_unseen() => body,
            _ => self.upload.untouched()?,
        };
        Some(call)
    }

    /// Makes an answer of its head and of this connection.
    fn answer(
        mut self: Box<Self>,
        head: Head,
        upgrades: bool,
        lease: Lease,
    ) -> Result<Response<Body>, Broken> {
        let Head { mut response, framing, keeps } = head;
        self.copy = None;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if !upgrades {
                return Err(Broken::failed(failure::malformed("a 101 that was not asked for")));
            }
            // From here on the connection belongs to whoever takes that.
            let first = self.inbox.take_all();
            upgrade::offer(&mut response, first, self.io);
            return Ok(response.map(|()| Body::empty()));
        }
        if self.upload.is_done() {
            self.call = None;
        }
        self.download = Download::from(framing);
        self.keeps = keeps;
        self.lease = Some(lease);
        let body = if self.download.is_end() {
            self.end();
            Body::empty()
        } else {
            Body::exchange(self)
        };
        Ok(response.map(|()| body))
    }
}

impl Exchange for Connection {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.call.is_some() {
            if let Err(error) = self.poll_send(cx) {
                return Poll::Ready(Some(Err(error)));
            }
            if self.upload.is_done() {
                self.call = None;
            }
        }
        let frame = self.download.poll(cx, &mut self.inbox, &mut self.io);
        frame.map(|frame| frame.map(|frame| frame.map_err(BodyError::Peer)))
    }

    fn is_end_stream(&self) -> bool {
        self.download.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.download.size_hint()
    }

    fn end(mut self: Box<Self>) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        // A request that was answered before it was sent whole never ends; and what comes unasked
        // belongs to no call.
        let clean = self.keeps && self.download.is_end() && self.upload.is_done() && self.inbox.is_empty();
        if clean {
            self.call = None;
            self.inbox.rest();
            self.upload.rest();
            lease.slot().put(&lease.local, self);
        }
    }
}

/// 101 is a final answer.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}
