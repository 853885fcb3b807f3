//! What has been received on a connection and not yet been taken.

use std::{
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for a read at first, which is that of most answers; and at most, for those that stream. More would be
/// held for each client that takes its answer slowly.
const ROOM: (usize, usize) = (8 * 1024, 64 * 1024);
/// Less room than this is not worth a read.
const LEAST: usize = 1024;

/// See the module.
#[derive(Debug)]
pub struct Inbox {
    bytes: BytesMut,
    room: usize,
}

impl Inbox {
    /// Nothing yet, and no room for it either.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: BytesMut::new(), room: ROOM.0 }
    }

    /// All of it.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether what is to come needs more room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.capacity() - self.bytes.len() < LEAST
    }

    /// Takes the first `len` bytes, at most all.
    pub fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len.min(self.bytes.len())).freeze()
    }

    /// Takes the first `len` bytes and throws them away.
    pub fn skip(&mut self, len: usize) {
        let len = len.min(self.bytes.len());
        self.bytes.advance(len);
    }

    /// Takes everything.
    pub fn take_all(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }

    /// Reads once. 0 is the end of the stream.
    pub fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
    ) -> Poll<io::Result<usize>> {
        if self.is_full() {
            self.bytes.reserve(self.room);
        }
        // What its buffer has grown to beyond that is not for one read.
        let free = (self.bytes.capacity() - self.bytes.len()).min(self.room);
        let read = ready!(pin!(io.read_buf(&mut (&mut self.bytes).limit(free))).poll(cx))?;
        // A read that fills all there was is followed by larger ones.
        if read == free && self.room < ROOM.1 {
            self.room *= 2;
        }
        Poll::Ready(Ok(read))
    }

    /// Puts bytes behind what there is.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives back all room, if nothing is in it.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::new();
        }
    }

    /// Gives back what a large message took.
    pub fn rest(&mut self) {
        self.room = ROOM.0;
        if self.bytes.capacity() > 2 * ROOM.0 {
            self.bytes = BytesMut::new();
        }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}
