//! The one body type: empty, whole in memory, or streaming from a peer.

use std::{
    any::Any,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

pub mod inbound;
pub mod pace;
mod ruled;

use inbound::Inbound;
use pace::{Pace, Upload};
use ruled::Ruled;

/// A request's or an answer's body.
pub struct Body {
    source: Source,
    watch: Option<Box<dyn Watch>>,
    /// See [`Body::carry`].
    cargo: Option<Arc<dyn Any + Send + Sync>>,
}

enum Source {
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Client(FromClient, Box<Pace>),
    Ruled(Box<Ruled>),
    /// Absent once it has ended.
    Exchange(Option<Box<dyn Exchange>>),
    Other(Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>),
}

/// The body of a client's request as a codec delivers it.
#[derive(Debug)]
pub enum FromClient {
    /// There is none.
    Nothing,
    /// What has come of it is not as it must be, for this reason.
    Broken(&'static str),
    /// Over HTTP/1.
    Http1(Inbound),
    /// Over HTTP/2.
    Http2(Incoming),
}

/// A connection that delivers an answer's body and is given back when that has ended. Dropped before,
/// the answer was not read to its end.
pub trait Exchange: Send {
    /// As [`HttpBody::poll_frame`].
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;
    /// As [`HttpBody::is_end_stream`].
    fn is_end_stream(&self) -> bool;
    /// As [`HttpBody::size_hint`].
    fn size_hint(&self) -> SizeHint;
    /// The body has ended as it should.
    fn end(self: Box<Self>);
}

/// Follows a streaming body: returns a connection to its pool, counts bytes, releases a permit.
pub trait Watch: Send {
    /// Some bytes passed.
    fn data(&mut self, len: usize) {
        let _ = len;
    }
    /// The body ended: `Ok` after its last frame, `Err` when it broke. Not called when it is dropped
    /// early; dropping the watch says that.
    fn end(self: Box<Self>, outcome: Result<(), &BodyError>);
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The HTTP codec or the connection under it.
    #[error("the peer's body broke off")]
    Hyper(#[from] hyper::Error),
    /// The client's connection, or what it sent.
    #[error("the client's body broke off: {0}")]
    Client(&'static str),
    /// The upstream's connection, or what it sent.
    #[error("the upstream's answer broke off")]
    Peer(#[source] io::Error),
    /// It is larger than it may be.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Nothing came for too long.
    #[error("the body stalled")]
    Stalled,
    /// The time of the call that it answers is over.
    #[error("the time of the call is over")]
    Late,
    /// The time of the request that it is part of is over.
    #[error("the time of the request is over")]
    Overdue,
}

// === impl Body ===

impl Body {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self { source: Source::Empty, watch: None, cargo: None }
    }

    /// A body in memory.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let source = if bytes.is_empty() { Source::Empty } else { Source::Full(bytes) };
        Self { source, watch: None, cargo: None }
    }

    /// A client's, who must send it at `rate` bytes per second on average (0: at any rate); none where
    /// both sides may be quiet, so that nobody is late.
    #[must_use]
    pub fn of_client(incoming: FromClient, rate: Option<u32>) -> Self {
        let ended = incoming.is_end_stream();
        let source = if ended { Source::Empty } else { Source::Client(incoming, Box::new(Pace::new(rate))) };
        Self { source, watch: None, cargo: None }
    }

    /// What becomes of it, if it is a client's and not at its end.
    #[must_use]
    pub fn upload(&self) -> Option<Arc<Upload>> {
        match &self.source {
            Source::Client(_, pace) => Some(Arc::clone(&pace.upload)),
            Source::Ruled(ruled) => ruled.upload(),
            Source::Empty
            | Source::Full(_)
            | Source::Incoming(_)
            | Source::Exchange(_)
            | Source::Other(_) => None,
        }
    }

    /// Why what a client has sent of it so far is no body.
    #[must_use]
    pub fn malformed(&self) -> Option<&'static str> {
        match &self.source {
            Source::Client(FromClient::Broken(why), _) => Some(why),
            Source::Ruled(ruled) => ruled.malformed(),
            _ => None,
        }
    }

    /// The body that a connection delivers.
    #[must_use]
    pub fn exchange(connection: Box<dyn Exchange>) -> Self {
        Self { source: Source::Exchange(Some(connection)), watch: None, cargo: None }
    }

    /// Lets what belongs to the whole request ride along. `http::Extensions` would do, at the price of a
    /// hash table for each request.
    pub fn carry(&mut self, cargo: Arc<dyn Any + Send + Sync>) {
        self.cargo = Some(cargo);
    }

    /// What rides along, if it is this.
    #[must_use]
    pub fn carried<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.cargo.clone().and_then(|cargo| cargo.downcast().ok())
    }

    /// A look at what rides along, if it is this.
    #[must_use]
    pub fn cargo<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.cargo.as_deref()?.downcast_ref()
    }

    /// Takes off what rides along, if it is this.
    pub fn unload<T: Any + Send + Sync>(&mut self) -> Option<Arc<T>> {
        self.cargo.take().and_then(|cargo| cargo.downcast().ok())
    }

    /// Any other streaming body; one allocation.
    pub fn other(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self { source: Source::Other(Box::pin(body)), watch: None, cargo: None }
    }

    /// The same body once more, for a request that may have to be sent again; none of one that streams
    /// or is watched.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        match (&self.source, &self.watch) {
            (Source::Empty, None) => Some(Self::empty()),
            (Source::Full(bytes), None) => Some(Self::full(bytes.clone())),
            _ => None,
        }
    }

    /// All of it, if it is in memory and nobody follows it.
    #[must_use]
    pub fn whole(&self) -> Option<Bytes> {
        match (&self.source, &self.watch) {
            (Source::Full(bytes), None) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// The same body with a frame before it, which was taken off it.
    #[must_use]
    pub fn after(self, first: Frame<Bytes>) -> Self {
        Self::other(After { first: Some(first), rest: self })
    }

    /// Follows the body to its end. A body that is at its end already is ended at once.
    #[must_use]
    pub fn watched(mut self, watch: Box<dyn Watch>) -> Self {
        debug_assert!(self.watch.is_none(), "one watch per body; wrap with `other` for more");
        if self.is_end_stream() {
            watch.end(Ok(()));
        } else {
            self.watch = Some(watch);
        }
        self
    }

    /// The same body, which breaks off where it passes `limit` bytes; an error if it says so already.
    pub fn capped(self, limit: u64) -> Result<Self, BodyError> {
        let hint = self.size_hint();
        if hint.lower() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        if hint.upper().is_some_and(|upper| upper <= limit) {
            return Ok(self);
        }
        Ok(self.ruled(|body| Ruled::capped(body, limit)))
    }

    /// Whether it comes from somewhere, perhaps with trailers, and is not in memory.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        !matches!(self.source, Source::Empty | Source::Full(_))
    }

    /// The same body, whose trailers do not have these fields.
    #[must_use]
    pub fn without_trailers(self, names: Arc<[HeaderName]>) -> Self {
        self.ruled(|body| Ruled::without_trailers(body, names))
    }

    fn ruled(mut self, rule: impl FnOnce(Self) -> Ruled) -> Self {
        let cargo = self.cargo.take();
        Self { source: Source::Ruled(Box::new(rule(self))), watch: None, cargo }
    }

    /// Reads it whole, up to `limit` bytes. Trailers are dropped.
    pub async fn collect(mut self, limit: u64) -> Result<Bytes, BodyError> {
        if let (Source::Full(bytes), None) = (&mut self.source, &self.watch) {
            let bytes = std::mem::take(bytes);
            return if bytes.len() as u64 > limit { Err(BodyError::TooLarge { limit }) } else { Ok(bytes) };
        }
        if self.size_hint().lower() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        // What grows as it comes is copied again and again.
        let all = self.size_hint().exact().and_then(|all| usize::try_from(all).ok());
        let mut first = Bytes::new();
        let mut joined: Option<Vec<u8>> = None;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            let have = joined.as_ref().map_or(first.len(), Vec::len);
            if (have + data.len()) as u64 > limit {
                return Err(BodyError::TooLarge { limit });
            }
            // One frame is the common case: it is kept as it came.
            match &mut joined {
                Some(joined) => joined.extend_from_slice(&data),
                None if first.is_empty() => first = data,
                None => {
                    let have = first.len() + data.len();
                    let mut both = Vec::with_capacity(all.map_or(have * 2, |all| all.max(have)));
                    both.extend_from_slice(&first);
                    both.extend_from_slice(&data);
                    joined = Some(both);
                }
            }
        }
        Ok(joined.map_or(first, Bytes::from))
    }
}

/// A body with a frame before it.
struct After {
    first: Option<Frame<Bytes>>,
    rest: Body,
}

impl HttpBody for After {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        let rest = self.rest.size_hint();
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(first + rest),
            None => SizeHint::new(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        let source = if incoming.is_end_stream() { Source::Empty } else { Source::Incoming(incoming) };
        Self { source, watch: None, cargo: None }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = match &mut this.source {
            Source::Empty => None,
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.source = Source::Empty;
                Some(Ok(Frame::data(bytes)))
            }
            Source::Incoming(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(BodyError::Hyper))
            }
            Source::Client(body, pace) => ready!(poll_client(body, pace, cx)),
            Source::Ruled(ruled) => ready!(ruled.poll_frame(cx)),
            Source::Exchange(exchange) => {
                let Some(connection) = exchange else {
                    return Poll::Ready(None);
                };
                let frame = ready!(connection.poll_frame(cx));
                // The last frame is known as such where the length is: the connection is given back now,
                // because the codec then drops the body without asking again.
                let ended = match &frame {
                    Some(Ok(frame)) => frame.is_trailers() || connection.is_end_stream(),
                    Some(Err(_)) => false,
                    None => true,
                };
                if ended && let Some(connection) = exchange.take() {
                    connection.end();
                }
                frame
            }
            Source::Other(body) => ready!(body.as_mut().poll_frame(cx)),
        };
        if let Some(watch) = &mut this.watch {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        watch.data(data.len());
                    }
                    // The last frame is known as such where the length is: end now, because the codec
                    // then drops the body without asking again.
                    if (frame.is_trailers() || this.is_end_stream_source())
                        && let Some(watch) = this.watch.take()
                    {
                        watch.end(Ok(()));
                    }
                }
                Some(Err(error)) => {
                    if let Some(watch) = this.watch.take() {
                        watch.end(Err(error));
                    }
                }
                None => {
                    if let Some(watch) = this.watch.take() {
                        watch.end(Ok(()));
                    }
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_end_stream_source()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Incoming(body) => body.size_hint(),
            Source::Client(body, _) => body.size_hint(),
            Source::Exchange(exchange) => {
                exchange.as_ref().map_or_else(|| SizeHint::with_exact(0), |exchange| exchange.size_hint())
            }
            Source::Ruled(ruled) => ruled.size_hint(),
            Source::Other(body) => body.size_hint(),
        }
    }
}

impl Body {
    fn is_end_stream_source(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Incoming(body) => body.is_end_stream(),
            Source::Client(body, _) => body.is_end_stream(),
            Source::Exchange(exchange) => exchange.as_ref().is_none_or(|exchange| exchange.is_end_stream()),
            Source::Ruled(ruled) => ruled.is_end_stream(),
            Source::Other(body) => body.is_end_stream(),
        }
    }
}

fn poll_client(
    body: &mut FromClient,
    pace: &mut Pace,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    let Poll::Ready(frame) = body.poll_frame(cx) else {
        return if pace.is_over(cx) { Poll::Ready(Some(Err(BodyError::Stalled))) } else { Poll::Pending };
    };
    let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
    pace.came(data.map_or(0, Bytes::len));
    let last = frame.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
    if last || body.is_end_stream() {
        pace.ended();
    }
    if let Some(Err(_)) = frame {
        pace.broke();
    }
    Poll::Ready(frame)
}

// === impl FromClient ===

impl FromClient {
    /// Whether nothing of it is to come.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Broken(_) => false,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Broken(_) => SizeHint::new(),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Nothing => Poll::Ready(None),
            Self::Broken(why) => Poll::Ready(Some(Err(BodyError::Client(why)))),
            Self::Http1(body) => body.poll_frame(cx),
            Self::Http2(body) => Poll::Ready(match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                // The codec takes a reset without an error for the end, also where END_STREAM has not come
                // (RFC 9113 §8.1).
                None if !body.is_end_stream() => Some(Err(BodyError::Client("it was reset before its end"))),
                frame => frame.map(|frame| frame.map_err(|_| BodyError::Client("its stream was reset"))),
            }),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Empty => "empty",
            Source::Full(_) => "full",
            Source::Incoming(_) => "incoming",
            Source::Client(..) => "client",
            Source::Ruled(_) => "ruled",
            Source::Exchange(_) => "exchange",
            Source::Other(_) => "other",
        };
        f.debug_struct("Body").field("source", &source).finish_non_exhaustive()
    }
}
