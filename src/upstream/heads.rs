//! Counts the heads of each answer on an HTTP/2 connection, because the codec skips interim (1xx)
//! answers without a bound.
//!
//! An answer has one head besides interim ones; what has more than a hundred others before its first
//! data is malformed, and the connection with it. Ordinary answers pay a comparison per frame.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http1::MOST_INTERIM;
use crate::frames::{DATA, END_STREAM, Event, Frames, HEADERS, Head, RST_STREAM};

/// A byte stream on which HTTP/2 answers come back.
#[derive(Debug)]
pub(super) struct Heads<S> {
    stream: S,
    frames: Frames,
    /// Streams whose answer has a head and nothing else yet, with the number of its heads.
    begun: Vec<(u32, u32)>,
}

impl<S> Heads<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, frames: Frames::default(), begun: Vec::new() }
    }

    fn see(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(event) = self.frames.take(&mut bytes) {
            if let Event::Head(head) = event {
                self.frame(&head)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, head: &Head) -> io::Result<()> {
        if !matches!(head.kind, DATA | HEADERS | RST_STREAM) {
            return Ok(());
        }
        let known = self.begun.iter().position(|(stream, _)| *stream == head.stream);
        if head.kind != HEADERS || head.has(END_STREAM) {
            if let Some(known) = known {
                self.begun.swap_remove(known);
            }
            return Ok(());
        }
        let Some(known) = known else {
            self.begun.push((head.stream, 1));
            return Ok(());
        };
        let heads = &mut self.begun[known].1;
        *heads += 1;
        // One is the answer's own.
        if *heads > MOST_INTERIM + 1 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more than 100 interim answers"));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.see(&buf.filled()[before..])?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8) -> [u8; 9] {
        [0, 0, 0, kind, flags, 0, 0, 0, stream]
    }

    #[test]
    fn a_hundred_interim_answers_pass_and_no_more() {
        let mut heads = Heads::new(());
        for stream in [1, 3, 5] {
            heads.see(&frame(HEADERS, 4, stream).repeat(101)).unwrap();
        }
        heads.see(&frame(DATA, 0, 1)).unwrap();
        heads.see(&frame(HEADERS, 5, 1)).unwrap();
        heads.see(&frame(RST_STREAM, 0, 3)).unwrap();
        assert_eq!(heads.begun, [(5, 101)]);
        assert!(heads.see(&frame(HEADERS, 4, 5)).is_err());
    }

    #[test]
    fn streams_that_have_ended_are_forgotten() {
        let mut heads = Heads::new(());
        for stream in 0..100 {
            heads.see(&frame(HEADERS, 4, stream)).unwrap();
            heads.see(&frame(DATA, END_STREAM, stream)).unwrap();
            heads.see(&frame(HEADERS, 5, stream)).unwrap();
        }
        assert!(heads.begun.is_empty());
    }
}
