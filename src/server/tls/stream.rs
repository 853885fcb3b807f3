//! A connection after its handshake.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use rustls::{HandshakeKind, ProtocolVersion};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::headers::ClientCertificate;

/// See the module.
#[derive(Debug)]
pub(in crate::server) struct Stream {
    inner: TlsStream<TcpStream>,
    /// The end has been said, or saying it makes no sense any more.
    ended: bool,
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(inner: TlsStream<TcpStream>) -> Self {
        Self { inner, ended: false }
    }

    pub(in crate::server) fn tcp(&self) -> &TcpStream {
        self.inner.get_ref().0
    }

    /// Whether something that was read waits to be taken: nothing on the socket tells of it.
    pub(in crate::server) fn has_plaintext(&self) -> bool {
        !self.inner.get_ref().1.wants_read()
    }

    /// Whether both have agreed on HTTP/2.
    pub(in crate::server) fn is_http2(&self) -> bool {
        self.inner.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    pub(in crate::server) fn is_tls13(&self) -> bool {
        self.inner.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Whether a ticket was resumed.
    pub(in crate::server) fn is_resumed(&self) -> bool {
        self.inner.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The client's certificate, which has been verified. `Err` if it cannot be read.
    pub(super) fn certificate(&self) -> Result<Option<ClientCertificate>, ()> {
        let chain = self.inner.get_ref().1.peer_certificates();
        chain.and_then(<[_]>::first).map(|leaf| ClientCertificate::read(leaf).ok_or(())).transpose()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        // Whoever leaves without a word has not earned one.
        this.ended |= matches!(read, Poll::Ready(Err(_)));
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.ended = true;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }
}

impl Drop for Stream {
    /// Says that this is the end and not an attack (RFC 8446 §6.1), if the kernel takes it at once.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (tcp, session) = self.inner.get_mut();
        session.send_close_notify();
        let _ = session.write_tls(&mut AtOnce(tcp));
    }
}

/// A socket that takes something now or not at all.
struct AtOnce<'a>(&'a TcpStream);

impl io::Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
