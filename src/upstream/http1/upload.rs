//! A request on its way out: its head, then its body piece by piece, framed by length or by chunks.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body::{Body as HttpBody, Frame};
use tokio::io::AsyncWrite;

use super::io::Io;
use crate::{
    body::{Body, BodyError},
    headers::may_trail_request,
    upstream::Outgoing,
};

/// What is sent, and how far that is.
#[derive(Default)]
pub(super) struct Upload {
    /// The head, later the framing between pieces; kept for its room.
    out: Vec<u8>,
    sent: usize,
    /// What follows `out`.
    piece: Bytes,
    /// A chunk's CRLF follows `piece`: so much of it is left.
    after: &'static [u8],
    body: Body,
    rest: Rest,
    /// The peer may have seen some of it.
    wrote: bool,
    /// What was taken of the body while the peer had seen nothing.
    first: Option<Frame<Bytes>>,
}

/// What is to come after the piece under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    Nothing,
    /// So many bytes.
    Length(u64),
    Chunks,
}

/// Why it could not be sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// The peer takes no more.
    Io(io::Error),
    /// The body broke, which is not the peer's fault.
    Body(BodyError),
}

// === impl Upload ===

impl Upload {
    /// Takes a call up: its head is encoded, with `host` unless it has its own, its body taken out.
    pub(super) fn begin(&mut self, call: &mut Outgoing, host: Option<&HeaderValue>) {
        let request = &mut call.request;
        self.out.clear();
        self.sent = 0;
        self.wrote = false;
        self.piece = Bytes::new();
        self.first = None;
        self.after = b"";
        self.body = std::mem::take(request.body_mut());
        self.rest = if self.body.is_end_stream() {
            Rest::Nothing
        } else if request.headers().contains_key(header::TRAILER) {
            // Only chunks can be followed by the trailers that it announces.
            Rest::Chunks
        } else {
            self.body.size_hint().exact().map_or(Rest::Chunks, Rest::Length)
        };
        head(&mut self.out, request, call.added.as_bytes(), host, self.rest);
    }

    /// Whether all of it was sent.
    pub(super) fn is_done(&self) -> bool {
        self.rest == Rest::Nothing && !self.is_waiting()
    }

    /// Lets go of what belongs to the call that has ended.
    pub(super) fn rest(&mut self) {
        self.body = Body::empty();
        self.piece = Bytes::new();
    }

    /// Whether the peer cannot have seen any of it.
    pub(super) const fn is_unseen(&self) -> bool {
        !self.wrote
    }

    /// The body as it was, unless the peer may have seen some of it.
    pub(super) fn untouched(&mut self) -> Option<Body> {
        if self.wrote {
            return None;
        }
        let rest = std::mem::take(&mut self.body);
        Some(match self.first.take() {
            Some(first) => rest.after(first),
            None => rest,
        })
    }

    /// Sends what can be sent now; of the body only with `open`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
        fields: &HeaderMap,
        open: bool,
    ) -> Poll<Result<(), Unsent>> {
        // The head and what there is of the body go out together.
        if open && self.piece.is_empty() && self.rest != Rest::Nothing && !self.wrote {
            // Whatever comes of it is seen below.
            if let Poll::Ready(Err(error)) = self.poll_piece(cx, fields) {
                return Poll::Ready(Err(error));
            }
        }
        loop {
            if let Err(error) = ready!(self.poll_write(cx, io)) {
                return Poll::Ready(Err(Unsent::Io(error)));
            }
            if self.rest == Rest::Nothing || !open {
                break;
            }
            match self.poll_piece(cx, fields) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        match ready!(Pin::new(io).poll_flush(cx)) {
            Ok(()) if self.rest == Rest::Nothing => Poll::Ready(Ok(())),
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(Unsent::Io(error))),
        }
    }

    fn is_waiting(&self) -> bool {
        self.sent < self.out.len() || !self.piece.is_empty() || !self.after.is_empty()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, io: &mut Io) -> Poll<io::Result<()>> {
        while self.is_waiting() {
            let head = &self.out[self.sent..];
            let written = if self.piece.is_empty() && self.after.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, head))?
            } else {
                let slices = [IoSlice::new(head), IoSlice::new(&self.piece), IoSlice::new(self.after)];
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote = true;
            self.first = None;
            self.advance(written);
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        let head = written.min(self.out.len() - self.sent);
        self.sent += head;
        written -= head;
        let piece = written.min(self.piece.len());
        self.piece.advance(piece);
        self.after = &self.after[written - piece..];
    }

    /// Takes the next piece of the body.
    fn poll_piece(&mut self, cx: &mut Context<'_>, fields: &HeaderMap) -> Poll<Result<(), Unsent>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Err(Unsent::Body(error))),
            None => return Poll::Ready(self.finish(None, fields)),
        };
        // Before anything is written there is one piece at most.
        if !self.wrote {
            self.first = match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => Some(Frame::data(data.clone())),
                (_, trailers) => trailers.cloned().map(Frame::trailers),
            };
        }
        match frame.into_data() {
            Ok(data) => {
                match &mut self.rest {
                    Rest::Length(left) => match left.checked_sub(data.len() as u64) {
                        Some(0) => self.rest = Rest::Nothing,
                        Some(less) => *left = less,
                        None => return Poll::Ready(Err(Unsent::Body(uneven()))),
                    },
                    // An empty chunk would end the body.
                    Rest::Chunks if !data.is_empty() => {
                        use std::io::Write;
                        let _ = write!(self.out, "{:x}\r\n", data.len());
                        self.after = b"\r\n";
                    }
                    Rest::Chunks | Rest::Nothing => {}
                }
                self.piece = data;
                Poll::Ready(Ok(()))
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                Poll::Ready(self.finish(Some(&trailers), fields))
            }
        }
    }

    fn finish(&mut self, trailers: Option<&HeaderMap>, fields: &HeaderMap) -> Result<(), Unsent> {
        let rest = std::mem::take(&mut self.rest);
        match rest {
            Rest::Length(left) if left > 0 => Err(Unsent::Body(uneven())),
            Rest::Length(_) | Rest::Nothing => Ok(()),
            Rest::Chunks => {
                self.out.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    for (name, value) in trailers.iter().filter(|(name, _)| is_announced(name, fields)) {
                        field(&mut self.out, name, value);
                    }
                }
                self.out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

/// The body is not as long as it said.
fn uneven() -> BodyError {
    BodyError::Peer(io::ErrorKind::UnexpectedEof.into())
}

fn head(out: &mut Vec<u8>, request: &Request<Body>, added: &[u8], host: Option<&HeaderValue>, rest: Rest) {
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    // Without a path there may be a query.
    if !target.starts_with('/') && target != "*" {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(host) = host {
        field(out, &header::HOST, host);
    }
    out.extend_from_slice(added);
    for (name, value) in request.headers() {
        match *name {
            // The framing is this hop's own.
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING => {}
            // It is for this hop, which must be said (RFC 9110 §10.1.4). An upgrade has nothing to do with it.
            header::TE if request.headers().contains_key(header::CONNECTION) => {}
            header::TE => {
                field(out, name, value);
                out.extend_from_slice(b"connection: te\r\n");
            }
            _ => field(out, name, value),
        }
    }
    match rest {
        Rest::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Rest::Chunks => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // These usually have a body; that there is none is worth saying (RFC 9110 §8.6).
        Rest::Nothing if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        Rest::Nothing => {}
    }
    out.extend_from_slice(b"\r\n");
}

fn field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether a trailer may go out: an HTTP/1 peer gets those that `trailer` has announced.
fn is_announced(name: &HeaderName, fields: &HeaderMap) -> bool {
    may_trail_request(name)
        && fields.get_all(header::TRAILER).iter().any(|line| {
            line.as_bytes()
                .split(|byte| *byte == b',')
                .any(|said| said.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::Added;

    fn outgoing(request: Request<Body>) -> Outgoing {
        let (safe, timeout) = (true, Duration::ZERO);
        Outgoing {
            request,
            added: Added::default(),
            safe,
            timeout,
            overdue: crate::problem::Kind::UpstreamTimeout,
            spare: None,
            trail: None,
        }
    }

    fn encoded(request: Request<Body>) -> String {
        let mut call = outgoing(request);
        let mut upload = Upload::default();
        upload.begin(&mut call, None);
        String::from_utf8(upload.out).unwrap()
    }

    #[test]
    fn the_framing_is_made_anew() {
        let request = Request::post("/a?b=c")
            .header("host", "h")
            .header("content-length", "7")
            .header("transfer-encoding", "chunked")
            .body(Body::full("four"))
            .unwrap();
        assert_eq!(encoded(request), "POST /a?b=c HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n");
    }

    #[test]
    fn a_request_without_a_body_says_so_where_one_is_usual() {
        let request = |method: &str| Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
        assert_eq!(encoded(request("POST")), "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(encoded(request("GET")), "GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn a_target_is_never_empty() {
        let request = Request::get("http://h").body(Body::empty()).unwrap();
        assert_eq!(encoded(request), "GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn what_the_caller_takes_of_trailers_is_for_this_hop() {
        let request = Request::get("/").header("te", "trailers").body(Body::empty()).unwrap();
        assert_eq!(encoded(request), "GET / HTTP/1.1\r\nte: trailers\r\nconnection: te\r\n\r\n");
        let request = Request::get("/").header("te", "trailers").header("connection", "upgrade");
        let request = request.header("upgrade", "a").body(Body::empty()).unwrap();
        assert_eq!(encoded(request), "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: a\r\n\r\n");
    }

    #[tokio::test]
    async fn a_streamed_body_of_which_nothing_was_written_comes_back_whole() {
        let frames = ["first", "second"].map(|piece| Ok(Frame::data(Bytes::from(piece))));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        let request = Request::post("/").body(Body::other(body)).unwrap();
        let mut call = outgoing(request);
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        let (mut upload, mut io) = (Upload::default(), Io::Within(near));
        upload.begin(&mut call, None);
        let sent = std::future::poll_fn(|cx| upload.poll(cx, &mut io, call.request.headers(), true)).await;
        assert!(matches!(sent, Err(Unsent::Io(_))) && upload.is_unseen());
        let body = upload.untouched().unwrap();
        assert_eq!(body.collect(64).await.unwrap(), "firstsecond");
    }

    #[test]
    fn only_announced_trailers_go_out() {
        let mut fields = HeaderMap::new();
        fields.insert("trailer", HeaderValue::from_static("X-Sum, authorization"));
        for (name, goes) in [("x-sum", true), ("x-other", false), ("authorization", false)] {
            assert_eq!(is_announced(&HeaderName::from_static(name), &fields), goes, "{name}");
        }
    }
}
