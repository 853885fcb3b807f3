//! The body of an answer as it comes in. Chunks are judged as strictly as those of clients are.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{head::Framing, io::Io};
use crate::{
    chunked::{Chunked, Fault, Limits},
    inbox::Inbox,
};

/// A trailer section is no larger than this.
const TRAILERS: Limits = Limits { fields: 100, field_bytes: 16 * 1024 };

/// Where in the body the next byte is.
#[derive(Debug)]
pub(super) enum Download {
    /// So many bytes before its end.
    Length(u64),
    Chunked(Chunks),
    /// Before the end of the connection.
    Close,
    End,
    /// What came is no body. Nothing more is read.
    Broken,
}

/// How far a chunked body has been read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    framing: Chunked,
    /// So many bytes of data have come that are not taken.
    ready: usize,
}

impl From<Framing> for Download {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::End,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunks::default()),
            Framing::Close => Self::Close,
        }
    }
}

/// Whether a body is whole that begins with these bytes, or its connection's end is its own; and whether
/// they can be the beginning of one at all.
pub(super) fn is_whole(framing: Framing, bytes: &[u8]) -> Result<bool, Fault> {
    match framing {
        Framing::Length(length) => Ok(bytes.len() as u64 >= length),
        Framing::Close => Ok(true),
        Framing::Chunked => {
            let mut body = Chunked::default();
            body.read(bytes, &TRAILERS)?;
            Ok(body.is_whole())
        }
    }
}

impl Download {
    pub(super) const fn is_end(&self) -> bool {
        matches!(self, Self::End)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::End => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::Close | Self::Broken => SizeHint::new(),
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
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_end() => return Poll::Ready(None),
                Ok(None) => {}
                Err(fault) => {
                    *self = Self::Broken;
                    return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::InvalidData, fault))));
                }
            }
            match ready!(inbox.poll_fill(cx, io)) {
                Ok(0) if matches!(self, Self::Close) => {
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
    fn step(&mut self, inbox: &mut Inbox) -> Result<Option<Frame<Bytes>>, Fault> {
        match self {
            Self::End => Ok(None),
            Self::Broken => Err("the body has broken off"),
            Self::Chunked(chunks) => {
                let (frame, ended) = chunks.next(inbox)?;
                if ended {
                    *self = Self::End;
                }
                Ok(frame)
            }
            Self::Length(_) | Self::Close if inbox.is_empty() => Ok(None),
            Self::Length(left) => {
                let data = inbox.take(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                if *left == 0 {
                    *self = Self::End;
                }
                Ok(Some(Frame::data(data)))
            }
            Self::Close => Ok(Some(Frame::data(inbox.take_all()))),
        }
    }
}

impl Chunks {
    /// The next frame, if it has come, and whether the body has ended with it.
    fn next(&mut self, inbox: &mut Inbox) -> Result<(Option<Frame<Bytes>>, bool), Fault> {
        if self.ready == 0 {
            self.advance(inbox)?;
        }
        if self.ready > 0 {
            let data = inbox.take(std::mem::take(&mut self.ready));
            // Whether that was the last is worth knowing: it can go out with the end.
            self.advance(inbox)?;
            let ended = self.framing.is_whole() && !self.framing.has_trailers();
            return Ok((Some(Frame::data(data)), ended));
        }
        if !self.framing.is_whole() {
            return Ok((None, false));
        }
        Ok((self.framing.trailers()?.map(Frame::trailers), true))
    }

    /// Passes over what lies before the next data.
    fn advance(&mut self, inbox: &mut Inbox) -> Result<(), Fault> {
        if !self.framing.is_whole() {
            let part = self.framing.next(inbox.as_slice(), &TRAILERS)?;
            inbox.skip(part.framing);
            self.ready = part.data;
        }
        Ok(())
    }
}
