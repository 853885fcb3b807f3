//! A connection that has left HTTP/1.1 for the protocol that both sides agreed on.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::io::Io;
use crate::upstream::pool::lock;

/// The upstream's end of an upgrade.
#[derive(Debug)]
pub struct Switched {
    /// What came behind the 101.
    first: Bytes,
    io: Io,
}

/// Its way to whoever takes the answer; an extension must be cloneable, the stream is there once.
#[derive(Clone, Debug)]
struct Offer(Arc<Mutex<Option<Switched>>>);

impl Switched {
    pub(super) fn offer<B>(response: &mut Response<B>, first: Bytes, io: Io) {
        response.extensions_mut().insert(Offer(Arc::new(Mutex::new(Some(Self { first, io })))));
    }

    /// Takes the stream of an answer with status 101.
    pub fn take<B>(response: &mut Response<B>) -> Option<Self> {
        response.extensions_mut().remove::<Offer>().and_then(|offer| lock(&offer.0).take())
    }
}

impl AsyncRead for Switched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, into);
        }
        let len = this.first.len().min(into.remaining());
        into.put_slice(&this.first[..len]);
        this.first.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Switched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
