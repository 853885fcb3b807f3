//! What is to be written to a client.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName};
use tokio::io::AsyncWrite;

use super::answer::{self, Framing};

/// Pieces up to this size are copied behind what there is: a gathering write costs the kernel more.
const SMALL: usize = 2048;
/// Nothing is added to as much as this before it is written.
const ENOUGH: usize = 8 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    /// What follows `bytes`.
    piece: Bytes,
    /// What follows `piece`.
    after: &'static [u8],
}

/// The body is longer than it said, or shorter.
#[derive(Debug)]
pub(super) struct Uneven;

impl Outbox {
    /// Where a head goes.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are waiting.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written + self.piece.len() + self.after.len()
    }

    /// Whether more may be added.
    pub(super) fn has_room(&self) -> bool {
        self.piece.is_empty() && self.after.is_empty() && self.bytes.len() < ENOUGH
    }

    /// Adds a piece of a body. To be called only while there is room.
    pub(super) fn add(&mut self, data: Bytes, framing: &mut Framing) -> Result<(), Uneven> {
        if data.is_empty() {
            return Ok(());
        }
        match framing {
            Framing::None => return Err(Uneven),
            Framing::Length(left) => *left = left.checked_sub(data.len() as u64).ok_or(Uneven)?,
            Framing::Close => {}
            Framing::Chunked => {
                use std::io::Write;
                let _ = write!(self.bytes, "{:x}\r\n", data.len());
            }
        }
        let after: &[u8] = if *framing == Framing::Chunked { b"\r\n" } else { b"" };
        if data.len() <= SMALL {
            self.bytes.extend_from_slice(&data);
            self.bytes.extend_from_slice(after);
        } else {
            (self.piece, self.after) = (data, after);
        }
        Ok(())
    }

    /// Ends a body, with those of its trailers that were announced.
    pub(super) fn end(
        &mut self,
        framing: &mut Framing,
        trailers: Option<(&HeaderMap, &[HeaderName])>,
    ) -> Result<(), Uneven> {
        match std::mem::replace(framing, Framing::None) {
            Framing::Length(1..) => return Err(Uneven),
            Framing::Chunked => {
                let mut end = b"0\r\n".to_vec();
                if let Some((trailers, announced)) = trailers {
                    for (name, value) in trailers.iter().filter(|(name, _)| announced.contains(name)) {
                        answer::field(&mut end, name, value.as_bytes());
                    }
                }
                end.extend_from_slice(b"\r\n");
                if self.piece.is_empty() {
                    self.bytes.extend_from_slice(&end);
                } else if end == b"0\r\n\r\n" {
                    self.after = b"\r\n0\r\n\r\n";
                } else {
                    // After trailers nothing is added any more: what comes before them becomes one piece.
                    let piece = std::mem::take(&mut self.piece);
                    self.bytes.extend_from_slice(&piece);
                    self.bytes.extend_from_slice(std::mem::take(&mut self.after));
                    self.bytes.extend_from_slice(&end);
                }
            }
            Framing::None | Framing::Length(0) | Framing::Close => {}
        }
        Ok(())
    }

    /// Writes all there is.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let head = &self.bytes[self.written..];
            let count = if self.piece.is_empty() && self.after.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, head))?
            } else {
                let slices = [IoSlice::new(head), IoSlice::new(&self.piece), IoSlice::new(self.after)];
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        self.bytes.clear();
        self.written = 0;
        Pin::new(io).poll_flush(cx)
    }

    fn advance(&mut self, count: usize) {
        let head = count.min(self.bytes.len() - self.written);
        self.written += head;
        let piece = (count - head).min(self.piece.len());
        self.piece.advance(piece);
        self.after = &self.after[count - head - piece..];
    }

    /// Gives back all room, if nothing is in it.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests;
