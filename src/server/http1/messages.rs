//! Where a client's messages begin and end on a connection, and what is in them.

use bytes::Bytes;
use http::{HeaderMap, Request};

use super::{
    Limits, Refusal,
    head::{Framing, Head},
};
use crate::{
    chunked::{self, Chunked, Fault},
    inbox::Inbox,
};

/// See the module. Bytes are taken off an inbox as they are understood.
#[derive(Debug)]
pub struct Messages {
    limits: Limits,
    state: State,
    head: Head,
    /// An empty line has been skipped before this head.
    skipped: bool,
}

#[derive(Debug)]
enum State {
    Head,
    /// A body of which so many bytes are left.
    Length(u64),
    Chunked(Chunked),
    /// What came was not as it must be. Nothing more is read.
    Broken,
}

/// A part of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes, and whether they are the last.
    Data(Bytes, bool),
    /// Trailers, after which nothing comes.
    Trailers(HeaderMap),
    /// Nothing more comes.
    End,
}

// === impl Messages ===

impl Messages {
    /// The beginning of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Head, head: Head::default(), skipped: false }
    }

    /// The next head, once it is whole. To be called when the last message has ended.
    pub fn head(&mut self, inbox: &mut Inbox) -> Result<Option<Request<()>>, Refusal> {
        // RFC 9112 §2.2: an empty line before a request is ignored; one is.
        if !self.skipped && inbox.as_slice().starts_with(b"\r\n") {
            self.skipped = true;
            inbox.skip(2);
        }
        if inbox.is_empty() || (!self.skipped && inbox.as_slice() == b"\r") {
            return Ok(None);
        }
        let read = match self.head.read(inbox.as_slice(), &self.limits) {
            Ok(Some(len)) => self.head.request(&inbox.take(len)).map(Some),
            Ok(None) => return Ok(None),
            Err(refusal) => Err(refusal),
        };
        self.state = match (&read, self.head.framing()) {
            (Err(_), _) => State::Broken,
            (Ok(_), Framing::Length(0)) => State::Head,
            (Ok(_), Framing::Length(length)) => State::Length(length),
            (Ok(_), Framing::Chunked) => State::Chunked(Chunked::default()),
        };
        self.skipped = false;
        read
    }

    /// The head that was read last, until [`next`](Self::next).
    #[must_use]
    pub const fn last(&self) -> &Head {
        &self.head
    }

    /// Forgets the last head.
    pub fn next(&mut self) {
        self.head.clear();
    }

    /// How long the body is that follows: `None` if only its end will tell.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        match self.state {
            State::Head | State::Broken => Some(0),
            State::Length(length) => Some(length),
            State::Chunked(_) => None,
        }
    }

    /// Whether what follows of the body, as far as it has come, is as it must be.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Fault> {
        match &self.state {
            State::Chunked(body) => body.clone().read(bytes, &self.limits.trailers()).map(|_| ()),
            State::Head | State::Length(_) | State::Broken => Ok(()),
        }
    }

    /// The next part of the body, if it has come.
    pub fn body(&mut self, inbox: &mut Inbox) -> Result<Option<Piece>, Fault> {
        let piece = match &mut self.state {
            State::Head => Some(Piece::End),
            State::Length(_) if inbox.is_empty() => None,
            State::Length(left) => {
                let data = inbox.take(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                let last = *left == 0;
                Some(Piece::Data(data, last))
            }
            State::Chunked(body) => match chunk(body, inbox, &self.limits.trailers()) {
                Ok(piece) => piece,
                Err(fault) => {
                    self.state = State::Broken;
                    return Err(fault);
                }
            },
            State::Broken => return Err("the body has broken off"),
        };
        if let Some(Piece::Data(_, true) | Piece::Trailers(_) | Piece::End) = piece {
            self.state = State::Head;
        }
        Ok(piece)
    }

    /// Nothing of what follows is a message.
    pub fn give_up(&mut self) {
        self.state = State::Broken;
    }

    /// Whether the last message has ended.
    #[must_use]
    pub const fn between(&self) -> bool {
        matches!(self.state, State::Head)
    }
}

fn chunk(body: &mut Chunked, inbox: &mut Inbox, limits: &chunked::Limits) -> Result<Option<Piece>, Fault> {
    let part = body.next(inbox.as_slice(), limits)?;
    inbox.skip(part.framing);
    if part.data > 0 {
        let data = inbox.take(part.data);
        // Whether that was the last is worth knowing: it can go on with the end.
        let mut ahead = body.clone();
        // What is wrong with what follows is found in its turn.
        let end = ahead.next(inbox.as_slice(), limits).ok().filter(|_| ahead.is_whole());
        let last = match end {
            Some(end) if !ahead.has_trailers() => {
                inbox.skip(end.framing);
                true
            }
            _ => false,
        };
        return Ok(Some(Piece::Data(data, last)));
    }
    if !body.is_whole() {
        return Ok(None);
    }
    Ok(Some(body.trailers()?.map_or(Piece::End, Piece::Trailers)))
}

#[cfg(test)]
mod tests;
