//! The body of an answer as it comes in.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};

use super::{head::Framing, io::Io};
use crate::inbox::Inbox;

/// A chunk's size line with its extensions is no longer than this, of which the codec reads the size.
const MOST_LINE: usize = 4 * 1024;
/// A trailer section is no larger than this.
const MOST_TRAILERS: usize = 16 * 1024;
const MOST_TRAILER_FIELDS: usize = 100;

/// Where in the body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Download {
    /// So many bytes before its end.
    Length(u64),
    /// At a chunk's size line.
    Size,
    /// So many bytes before the end of a chunk.
    Chunk(u64),
    /// At the CRLF after a chunk's bytes.
    Between,
    /// After the last chunk.
    Trailers,
    /// Before the end of the connection.
    Close,
    End,
}

/// What a step came to.
enum Step {
    Frame(Frame<Bytes>),
    /// More bytes are needed.
    More,
    End,
}

impl From<Framing> for Download {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::End,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Size,
            Framing::Close => Self::Close,
        }
    }
}

impl Download {
    pub(super) fn is_end(self) -> bool {
        self == Self::End
    }

    pub(super) fn size_hint(self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(left),
            Self::End => SizeHint::with_exact(0),
            Self::Size | Self::Chunk(_) | Self::Between | Self::Trailers | Self::Close => SizeHint::new(),
        }
    }

    /// The next frame.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        inbox: &mut Inbox,
        io: &mut Io,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match self.step(inbox) {
                Ok(Step::Frame(frame)) => {
                    // Whether that was the last is worth knowing: it can go out with the end.
                    if *self == Self::Between
                        && let Err(error) = self.step_over(inbox)
                    {
                        return Poll::Ready(Some(Err(error)));
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(inbox.poll_fill(cx, io)) {
                Ok(0) if *self == Self::Close => {
                    *self = Self::End;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Goes as far as what was received allows, up to a frame.
    fn step(&mut self, inbox: &mut Inbox) -> io::Result<Step> {
        self.step_over(inbox)?;
        Ok(match *self {
            Self::End => Step::End,
            _ if inbox.is_empty() => Step::More,
            Self::Length(left) => {
                let data = inbox.take(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - data.len() as u64;
                *self = if left == 0 { Self::End } else { Self::Length(left) };
                Step::Frame(Frame::data(data))
            }
            Self::Chunk(left) => {
                let data = inbox.take(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - data.len() as u64;
                *self = if left == 0 { Self::Between } else { Self::Chunk(left) };
                Step::Frame(Frame::data(data))
            }
            Self::Close => Step::Frame(Frame::data(inbox.take_all())),
            Self::Trailers => match trailers(inbox)? {
                Some(trailers) => {
                    *self = Self::End;
                    Step::Frame(Frame::trailers(trailers))
                }
                None => Step::More,
            },
            Self::Size | Self::Between => Step::More,
        })
    }

    /// Passes over the lines between chunks.
    fn step_over(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            match *self {
                Self::Size => match httparse::parse_chunk_size(inbox.as_slice()) {
                    Ok(httparse::Status::Complete((len, _))) if len > MOST_LINE => {
                        return Err(invalid("a chunk's size line is too long"));
                    }
                    Ok(httparse::Status::Complete((len, size))) => {
                        inbox.skip(len);
                        *self = if size == 0 { Self::Trailers } else { Self::Chunk(size) };
                    }
                    Ok(httparse::Status::Partial) if inbox.as_slice().len() > MOST_LINE => {
                        return Err(invalid("a chunk's size line is too long"));
                    }
                    Ok(httparse::Status::Partial) => return Ok(()),
                    Err(_) => return Err(invalid("a chunk's size is not valid")),
                },
                Self::Between => match inbox.as_slice() {
                    [b'\r', b'\n', ..] => {
                        inbox.skip(2);
                        *self = Self::Size;
                    }
                    [] | [b'\r'] => return Ok(()),
                    _ => return Err(invalid("a chunk is longer than it said")),
                },
                Self::Trailers if inbox.as_slice().starts_with(b"\r\n") => {
                    inbox.skip(2);
                    *self = Self::End;
                }
                _ => return Ok(()),
            }
        }
    }
}

/// Takes the trailer section, once it is whole.
fn trailers(inbox: &mut Inbox) -> io::Result<Option<HeaderMap>> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILER_FIELDS];
    let (len, headers) = match httparse::parse_headers(inbox.as_slice(), &mut fields) {
        Ok(httparse::Status::Complete((len, fields))) if len <= MOST_TRAILERS => {
            let mut headers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let value = HeaderValue::from_bytes(field.value);
                let (Ok(name), Ok(value)) = (name, value) else {
                    return Err(invalid("a trailer is not valid"));
                };
                headers.append(name, value);
            }
            (len, headers)
        }
        Ok(httparse::Status::Partial) if inbox.as_slice().len() <= MOST_TRAILERS => return Ok(None),
        Ok(_) => return Err(invalid("the trailers are too large")),
        Err(_) => return Err(invalid("a trailer is not valid")),
    };
    inbox.skip(len);
    Ok(Some(headers))
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
