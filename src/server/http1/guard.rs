//! A client's connection as the codec may see it: bytes come through once they have been judged.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use super::{Limits, Refusal, messages::Messages};
use crate::server::io_watch::Activity;

/// The most bytes of one read.
const READ: usize = 64 * 1024;

/// The most bytes that are read and dropped after the last answer, so that the client gets to see it:
/// closing a socket with unread bytes resets it (RFC 9112 §9.6).
const LINGER: usize = 1024 * 1024;

thread_local! {
    /// Bytes on their way from a socket to the codec. Nothing of it outlives a call.
    static BYTES: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// See the module.
#[derive(Debug)]
pub(in crate::server) struct Guard<I> {
    inner: I,
    messages: Messages,
    activity: Arc<Activity>,
    /// The read side is being emptied; so many bytes more.
    lingering: Option<usize>,
}

impl<I: Read + Unpin> Guard<I> {
    pub(in crate::server) fn new(inner: I, limits: Limits, activity: Arc<Activity>) -> Self {
        Self { inner, messages: Messages::new(limits), activity, lingering: None }
    }

    pub(in crate::server) const fn inner(&self) -> &I {
        &self.inner
    }

    pub(in crate::server) const fn limits(&self) -> &Limits {
        self.messages.limits()
    }

    /// Takes back what the codec has not read.
    pub(in crate::server) fn give_back(&mut self, bytes: &[u8]) {
        self.messages.give_back(bytes);
    }

    /// Reads once and judges. Gives how many bytes passed; `None` at the end of the stream.
    fn read_some(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<Option<usize>>> {
        BYTES.with_borrow_mut(|bytes| {
            let room = bytes.len().min(out.remaining());
            let mut buffer = ReadBuf::new(&mut bytes[..room]);
            ready!(Pin::new(&mut self.inner).poll_read(cx, buffer.unfilled()))?;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(None));
            }
            let good = self.messages.take(bytes);
            out.put_slice(&bytes[..good]);
            Poll::Ready(Ok(Some(good)))
        })
    }

    fn note(&self) {
        self.activity.judged(self.messages.head_has_begun(), self.messages.between());
        if let Some(refusal) = self.messages.refusal() {
            self.activity.http1.refuse(refusal);
        }
        if let Some(fault) = self.messages.fault() {
            tracing::debug!(fault, "a request's body is malformed");
        }
    }
}

impl<I: Read + Unpin> Read for Guard<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.messages.refusal() == Some(Refusal::Foreign) && !this.activity.is_answering() {
                // An answer of HTTP/1 would be noise to it. A preface of HTTP/2 gone wrong is the usual
                // case, and then RFC 9113 §3.4 wants the connection closed.
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "not HTTP")));
            }
            let ready = this.messages.ready();
            if !ready.is_empty() {
                let count = ready.len().min(out.remaining());
                out.put_slice(&ready[..count]);
                this.messages.passed(count);
                return Poll::Ready(Ok(()));
            }
            if this.messages.is_aside() {
                return Pin::new(&mut this.inner).poll_read(cx, out);
            }
            if this.messages.refusal().is_some() {
                // What stands in for the refused head has passed, and its answer closes the connection.
                return Poll::Pending;
            }
            if let Some(fault) = this.messages.fault() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
            }
            if this.messages.is_open() {
                if this.activity.http1.is_switched() {
                    this.messages.step_aside();
                    continue;
                }
                if !this.activity.is_answering() {
                    this.messages.resume();
                    this.note();
                    continue;
                }
                this.activity.http1.hold();
                if this.messages.is_full() {
                    return Poll::Pending;
                }
            }
            if this.activity.http1.is_misplaced() {
                this.messages.refuse(Refusal::Misplaced);
                this.note();
                continue;
            }
            if this.activity.http1.is_late() && this.messages.head_has_begun() {
                this.messages.refuse(Refusal::Slow);
                this.note();
                continue;
            }
            match ready!(this.read_some(cx, &mut out))? {
                Some(0) => this.note(),
                Some(_) => {
                    this.note();
                    return Poll::Ready(Ok(()));
                }
                None if this.messages.head_has_begun() => {
                    this.messages.refuse(Refusal::Malformed("the head of the request is not whole"));
                    this.note();
                }
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<I: Read + Write + Unpin> Write for Guard<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if this.messages.between() {
                return Poll::Ready(Ok(()));
            }
            this.activity.http1.linger();
        }
        let left = this.lingering.get_or_insert(LINGER);
        BYTES.with_borrow_mut(|bytes| {
            while *left > 0 {
                let mut buffer = ReadBuf::new(bytes);
                // Whatever ends it: the client has seen what there was to see.
                let Ok(()) = ready!(Pin::new(&mut this.inner).poll_read(cx, buffer.unfilled())) else {
                    break;
                };
                match buffer.filled().len() {
                    0 => break,
                    count => *left = left.saturating_sub(count),
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }
}
