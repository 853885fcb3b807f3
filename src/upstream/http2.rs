//! An HTTP/2 connection: shared by the calls of its worker, up to what the peer allows at once.
//!
//! **Windows.** Clients that read slowly leave their answers unread on a connection that others share.
//! So the connection's window has room for every stream's at once, and none can starve another.
//!
//! **Cancelling.** A call that is dropped resets its stream. Peers take many resets for an attack and
//! close the connection, so past some per second safe calls are left to end instead (`left`).

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};

use super::{
    Added, Outgoing,
    copy::Copy,
    failure,
    pool::{Lease, Local},
    send::Broken,
};
use crate::body::Body;

mod fields;
mod left;
mod upload;

use left::Answer;
use upload::Upload;

/// A silent connection with calls on it is asked whether it lives, and given up without an answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
const HEADER_LIST: u32 = 64 * 1024;
/// The most calls at once, whatever the peer allows.
const MOST_CALLS: u32 = 100;
/// What an answer may bring before somebody reads it.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = MOST_CALLS * STREAM_WINDOW;
/// What a request's body may buffer beyond its window.
const SEND_BUFFER: usize = 128 * 1024;
/// Calls that may be cancelled in one tick of the worker's clock, which is a second.
const RESETS: u32 = 20;

pub(super) struct Connection {
    sender: http2::SendRequest<Body>,
    /// Calls on it.
    active: AtomicU32,
    /// What the peer allows at once.
    most: Arc<Most>,
    /// An answer came, and with it the peer's settings.
    answered: AtomicBool,
    /// It broke, or the peer said that it goes away.
    retired: AtomicBool,
    retires: u32,
    idle_since: AtomicU32,
    /// Calls that were cancelled in a tick, and which tick that was.
    resets: AtomicU32,
    resets_in: AtomicU32,
    clock: Arc<AtomicU32>,
}

/// How many calls the peer allows at once, as the driver of the connection has last seen it.
struct Most {
    calls: AtomicU32,
    driver: AtomicWaker,
}

/// One call's part of a connection.
pub(super) struct Stream {
    connection: Arc<Connection>,
    reused: bool,
    lease: Option<Lease>,
    /// Nothing is changed by it, and it sends no body that could break off.
    safe: bool,
    /// The answer's head, until it is there.
    head: Option<Head>,
}

/// Dropped, it cancels its call.
pub(super) type Head =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + Send>>;

/// Speaks HTTP/2 on a byte stream; a task of its own drives the connection.
pub(super) async fn start<S>(io: TokioIo<S>, local: &Local) -> hyper::Result<Arc<Connection>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .max_header_list_size(HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .handshake(io)
        .await?;
    let allowed = |streams: usize| u32::try_from(streams).unwrap_or(u32::MAX).clamp(1, MOST_CALLS);
    let calls = AtomicU32::new(allowed(connection.current_max_send_streams()));
    let most = Arc::new(Most { calls, driver: AtomicWaker::new() });
    let told = Arc::clone(&most);
    tokio::spawn(poll_fn(move |cx| {
        told.driver.register(cx.waker());
        let done = Pin::new(&mut connection).poll(cx).map(|_| ());
        told.calls.store(allowed(connection.current_max_send_streams()), Relaxed);
        done
    }));
    Ok(Arc::new(Connection {
        sender,
        active: AtomicU32::new(0),
        most,
        answered: AtomicBool::new(false),
        retired: AtomicBool::new(false),
        retires: local.now().saturating_add(local.upstream.max_age),
        idle_since: AtomicU32::new(local.now()),
        resets: AtomicU32::new(0),
        resets_in: AtomicU32::new(local.now()),
        clock: local.clock(),
    }))
}

impl Connection {
    /// Whether it is neither closed nor too old.
    pub(super) fn takes_calls(&self, now: u32) -> bool {
        !self.sender.is_closed() && !self.retired.load(Relaxed) && now <= self.retires
    }

    /// Whether no call is on it.
    pub(super) fn is_idle(&self) -> bool {
        self.active.load(Relaxed) == 0
    }

    /// Counts one more call that is cancelled. Gives how many this tick has.
    fn cancels(&self) -> u32 {
        let now = self.clock.load(Relaxed);
        if self.resets_in.swap(now, Relaxed) != now {
            self.resets.store(0, Relaxed);
        }
        self.resets.fetch_add(1, Relaxed) + 1
    }

    /// Ticks since its last call.
    pub(super) fn idle_for(&self, now: u32) -> u32 {
        if self.active.load(Relaxed) > 0 { 0 } else { now.wrapping_sub(self.idle_since.load(Relaxed)) }
    }
}

impl Stream {
    /// The first call on a connection.
    pub(super) fn first(connection: &Arc<Connection>) -> Self {
        connection.active.fetch_add(1, SeqCst);
        Self { connection: Arc::clone(connection), reused: false, lease: None, safe: false, head: None }
    }

    /// A further call, if the peer allows one more.
    pub(super) fn claim(connection: &Arc<Connection>) -> Option<Self> {
        let active = connection.active.fetch_add(1, SeqCst);
        let connection = Arc::clone(connection);
        let stream = Self { connection, reused: true, lease: None, safe: false, head: None };
        (active < stream.connection.most.calls.load(Relaxed)).then_some(stream)
    }

    pub(super) const fn is_used(&self) -> bool {
        self.reused
    }

    /// Sends a request and waits for the answer's head. With `again`, a copy of the request is kept and
    /// comes back if the connection broke.
    pub(super) async fn exchange(
        &mut self,
        call: Outgoing,
        deadline: Instant,
        again: bool,
        lease: Lease,
    ) -> Result<Response<Incoming>, Broken> {
        let (safe, timeout, overdue, spare) = (call.safe, call.timeout, call.overdue, call.spare.clone());
        let mut request = call.into_request();
        let mut fields = Vec::new();
        let copy = again.then(|| Copy::of(&request, &mut fields)).flatten();
        self.lease = Some(lease);
        self.safe = request.method().is_safe() && request.body().is_end_stream();
        Upload::wrap(request.body_mut());
        let mut sender = self.connection.sender.clone();
        let head = self.head.insert(Box::pin(sender.try_send_request(request)));
        let Ok(head) = timeout_at(deadline, head).await else { return Err(Broken::Late) };
        self.head = None;
        match head {
            Ok(response) => {
                if let Some(why) = fields::of_head(response.status(), response.headers()) {
                    return Err(Broken::failed(failure::malformed(why)));
                }
                if !self.connection.answered.swap(true, Relaxed) {
                    self.connection.most.driver.wake();
                }
                Ok(response)
            }
            Err(mut error) => {
                let unsent = error.take_message();
                let seen = unsent.is_none();
                let request = unsent.or_else(|| copy.map(|copy| copy.restore(&mut fields)));
                let error = error.into_error();
                if !is_reset(&error) {
                    self.connection.retired.store(true, Relaxed);
                }
                Err(Broken::Failed {
                    reset: failure::is_reset(&error),
                    error: failure::broken(&error),
                    seen,
                    call: request
                        .map(|request| {
                            let added = Added::default();
                            Outgoing { request, added, safe, timeout, overdue, spare, trail: None }
                        })
                        .map(Box::new),
                })
            }
        }
    }

    /// Hands the answer over; the end of its body ends the call.
    pub(super) fn deliver(self, response: Response<Incoming>) -> Response<Body> {
        response.map(
            |body| {
                if body.is_end_stream() { Body::empty() } else { Body::other(Answer::new(body, self)) }
            },
        )
    }

    /// Whether the call, of which something is still to come, is to be left to end although nobody waits
    /// for it. Otherwise it is counted as cancelled.
    pub(super) fn is_left(&self) -> bool {
        self.connection.cancels() > RESETS && self.safe
    }

    /// Another hold on the call, which takes its lease over.
    fn succeed(&mut self) -> Self {
        let mut stream = Self::first(&self.connection);
        stream.lease = self.lease.take();
        stream
    }
}

/// Whether one call was refused, not the connection lost.
fn is_reset(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(h2::Error::is_reset)
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(head) = self.head.take()
            && self.is_left()
        {
            left::head(head, self.succeed());
        }
        let connection = &*self.connection;
        connection.idle_since.store(connection.clock.load(Relaxed), Relaxed);
        connection.active.fetch_sub(1, SeqCst);
    }
}
