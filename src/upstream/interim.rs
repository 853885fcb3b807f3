//! Counts interim (1xx) answers as they are read, because the codec skips them without a bound.
//!
//! It looks at the first bytes of what follows a request and at nothing else of a final answer, so
//! that an ordinary call pays a comparison.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More interim answers than this to one request are malformed.
const MOST: u32 = 100;

/// A byte stream on which HTTP/1.1 answers come back.
#[derive(Debug)]
pub(super) struct Interim<S> {
    stream: S,
    state: State,
    count: u32,
}

/// Where in the answer the next byte is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes into a status line, all of which fit an interim answer.
    Line(usize),
    /// In the head of an interim answer; so many bytes of `\r\n\r\n` or `\n\n` seen.
    Head(u8),
    /// In a final answer.
    Final,
}

/// What the status line of an interim answer starts with; `*` is any digit.
const LINE: &[u8; 10] = b"HTTP/1.* 1";

impl<S> Interim<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, state: State::Line(0), count: 0 }
    }

    fn see(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            self.state = match self.state {
                State::Line(at) if byte == LINE[at] || (at == 7 && byte.is_ascii_digit()) => {
                    if at + 1 < LINE.len() {
                        State::Line(at + 1)
                    } else {
                        self.count += 1;
                        if self.count > MOST {
                            return Err(io::Error::new(
                                io::ErrorKind::InvalidData,
                                "more than 100 interim answers",
                            ));
                        }
                        State::Head(0)
                    }
                }
                State::Line(_) => State::Final,
                State::Head(newlines) => match byte {
                    b'\n' if newlines == 1 => State::Line(0),
                    b'\n' => State::Head(1),
                    b'\r' => State::Head(newlines),
                    _ => State::Head(0),
                },
                State::Final => return Ok(()),
            };
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Interim<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if !matches!(this.state, State::Final) {
            this.see(&buf.filled()[before..])?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Interim<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.written();
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.written();
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
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

impl<S> Interim<S> {
    /// After a final answer, a write starts the next request. (Or continues one that was answered
    /// early; its answer's body is then taken for a head, and ends that at its first byte.)
    fn written(&mut self) {
        if matches!(self.state, State::Final) {
            self.state = State::Line(0);
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_interim_answers_whatever_the_reads() {
        let one = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        for size in [1, 3, 7, 4096] {
            let mut stream = Interim::new(());
            let bytes = one.repeat(100);
            for chunk in bytes.chunks(size) {
                stream.see(chunk).unwrap();
            }
            assert_eq!(stream.count, 100);
            assert!(one.chunks(size).any(|chunk| stream.see(chunk).is_err()), "the 101st");
        }
    }

    #[test]
    fn a_final_answer_ends_the_count() {
        let mut stream = Interim::new(());
        stream.see(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nHTTP/1.1 100 x\r\n\r\n").unwrap();
        assert_eq!(stream.count, 1);
        assert!(matches!(stream.state, State::Final));
        stream.written();
        assert!(matches!(stream.state, State::Line(0)));
    }
}
