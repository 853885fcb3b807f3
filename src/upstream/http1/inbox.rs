//! What has been received and not yet been taken.

use std::{
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::io::Io;

/// Room for a read at first, which is that of most answers; and at most, for those that stream. More would be
/// held for each client that takes its answer slowly.
const ROOM: (usize, usize) = (8 * 1024, 64 * 1024);
/// Less room than this is not worth a read.
const LEAST: usize = 1024;

pub(super) struct Inbox {
    bytes: BytesMut,
    room: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { bytes: BytesMut::new(), room: ROOM.0 }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the first `len` bytes, at most all.
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len.min(self.bytes.len())).freeze()
    }

    /// Takes the first `len` bytes and throws them away.
    pub(super) fn skip(&mut self, len: usize) {
        let len = len.min(self.bytes.len());
        self.bytes.advance(len);
    }

    /// Takes everything.
    pub(super) fn take_all(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }

    /// Reads once. 0 is the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, io: &mut Io) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < LEAST {
            self.bytes.reserve(self.room);
        }
        let free = self.bytes.capacity() - self.bytes.len();
        let read = ready!(pin!(io.read_buf(&mut self.bytes)).poll(cx))?;
        // A read that fills all there was is followed by larger ones.
        if read == free && self.room < ROOM.1 {
            self.room *= 2;
        }
        Poll::Ready(Ok(read))
    }

    /// Gives back what a large answer took.
    pub(super) fn rest(&mut self) {
        self.room = ROOM.0;
        if self.bytes.capacity() > 2 * ROOM.0 {
            self.bytes = BytesMut::new();
        }
    }
}
