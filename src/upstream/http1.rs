//! An HTTP/1.1 connection: one call at a time.
//!
//! The boxed connection itself watches the answer's body and goes back to its slot when that has
//! ended, so that a call on a pooled connection allocates nothing here. Dropped with a body that was not read to
//! its end, it closes.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};

use super::{
    expect::{self, Hold},
    pool::{Lease, Local},
    send::{Broken, is_ambiguous},
};
use crate::body::{Body, BodyError, Watch};

pub(super) struct Connection {
    sender: http1::SendRequest<Body>,
    /// Stays registered from call to call: moving a timer to later costs next to nothing.
    timer: Pin<Box<Sleep>>,
    /// The request under way if it may have to be sent again, its fields apart.
    copy: Option<Copy>,
    /// Those fields; kept for its room.
    fields: Vec<(HeaderName, HeaderValue)>,
    /// The tick after which it takes no call.
    retires: u32,
    pub(super) idle_since: u32,
    used: bool,
    lease: Option<Lease>,
    hold: Option<Hold>,
}

/// Speaks HTTP/1.1 on a byte stream; a task of its own drives the connection.
pub(super) async fn start<S>(io: TokioIo<S>, local: &Local) -> hyper::Result<Box<Connection>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new().handshake(io).await?;
    tokio::spawn(async move {
        // Whoever waits for an answer learns of an error; without one there is nobody to tell.
        let _ = connection.with_upgrades().await;
    });
    Ok(Box::new(Connection {
        sender,
        timer: Box::pin(tokio::time::sleep_until(Instant::now())),
        copy: None,
        fields: Vec::new(),
        retires: local.now().saturating_add(local.upstream.max_age),
        idle_since: local.now(),
        used: false,
        lease: None,
        hold: None,
    }))
}

impl Connection {
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it is too old to take a call.
    pub(super) const fn is_past(&self, now: u32) -> bool {
        now > self.retires
    }

    /// Whether another call has used it, so that the peer may have closed it meanwhile.
    pub(super) const fn is_used(&self) -> bool {
        self.used
    }

    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        self.sender.ready().await
    }

    /// Sends a request and waits for the answer's head. With `again`, a copy of the request is kept and
    /// comes back if the connection broke.
    pub(super) async fn exchange(
        mut self: Box<Self>,
        mut request: Box<Request<Body>>,
        deadline: Instant,
        again: bool,
        upgrades: bool,
        lease: Lease,
    ) -> Result<Response<Body>, Broken> {
        self.copy = again.then(|| Copy::of(&request, &mut self.fields)).flatten();
        self.hold = expect::hold(&mut request);
        self.used = true;
        self.timer.as_mut().reset(deadline);
        let mut answer = pin!(self.sender.try_send_request(*request));
        let outcome = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Some(Box::new(error)))),
            Poll::Pending => self.timer.as_mut().poll(cx).map(|()| Err(None)),
        })
        .await;
        match outcome {
            Ok(response) => {
                let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                if is_ambiguous(response.headers()) || (switched && !upgrades) {
                    return Err(Broken::Misleading);
                }
                self.copy = None;
                self.fields.clear();
                let (mut head, body) = response.into_parts();
                // The version belongs to this hop: whoever passes the answer on speaks its own.
                head.version = Version::HTTP_11;
                let mut body = Body::from(body);
                // After an upgrade the connection belongs to whoever takes that.
                if !switched {
                    self.lease = Some(lease);
                    body = body.watched(self);
                }
                Ok(Response::from_parts(head, body))
            }
            Err(Some(mut error)) => {
                let copy = self.copy.take();
                let request =
                    error.take_message().or_else(|| copy.map(|copy| copy.restore(&mut self.fields)));
                Err(Broken::Failed { error: error.into_error(), request: request.map(Box::new) })
            }
            Err(None) => Err(Broken::Late),
        }
    }
}

impl Watch for Connection {
    fn end(mut self: Box<Self>, outcome: Result<(), &BodyError>) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        // A body that is still held back will not be sent: the exchange never ends.
        let finishes = self.hold.take().is_none_or(|hold| hold.is_open());
        if outcome.is_ok() && finishes {
            lease.slot().put(&lease.local, self);
        }
    }
}

/// What sending a request again needs besides its fields.
pub(super) struct Copy {
    method: http::Method,
    uri: http::Uri,
    version: Version,
    body: Body,
}

impl Copy {
    /// None if the body streams. Fields are put into `fields`, which is cheaper than a map of them.
    pub(super) fn of(request: &Request<Body>, fields: &mut Vec<(HeaderName, HeaderValue)>) -> Option<Self> {
        let body = request.body().copy()?;
        fields.clear();
        fields.extend(request.headers().iter().map(|(name, value)| (name.clone(), value.clone())));
        Some(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            body,
        })
    }

    /// The request as it was.
    pub(super) fn restore(self, fields: &mut Vec<(HeaderName, HeaderValue)>) -> Request<Body> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        let mut headers = HeaderMap::with_capacity(fields.len());
        for (name, value) in fields.drain(..) {
            headers.append(name, value);
        }
        *request.headers_mut() = headers;
        request
    }
}
