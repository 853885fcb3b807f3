//! A client's connection that leaves HTTP for a protocol which both sides have agreed on, on its way from
//! whoever speaks HTTP to whoever speaks that protocol.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A connection and what lives as long as it is open.
#[derive(Debug)]
pub struct Held<S, T> {
    stream: S,
    _held: T,
}

impl<S, T> Held<S, T> {
    /// Keeps both together.
    pub const fn new(stream: S, held: T) -> Self {
        Self { stream, _held: held }
    }
}

impl<S: AsyncRead + Unpin, T: Unpin> AsyncRead for Held<S, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin, T: Unpin> AsyncWrite for Held<S, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

type Boxed = Box<dyn Duplex>;

/// The end of whoever has the connection. Dropped, the connection stays with HTTP.
pub struct Handover(oneshot::Sender<Boxed>);

/// The end of whoever waits for it. It rides in a request's extensions, which must be cloneable; the
/// connection is there once.
#[derive(Clone)]
pub struct Promise(Arc<Mutex<Option<oneshot::Receiver<Boxed>>>>);

/// Both ends.
#[must_use]
pub fn promise() -> (Handover, Promise) {
    let (sender, receiver) = oneshot::channel();
    (Handover(sender), Promise(Arc::new(Mutex::new(Some(receiver)))))
}

impl Handover {
    /// Hands the connection over.
    pub fn keep(self, connection: impl Duplex + 'static) {
        // Nobody may want it any more, and then it closes.
        let _ = self.0.send(Box::new(connection));
    }
}

impl Promise {
    /// Waits for the connection. None if it stayed with HTTP, or was handed over before.
    pub async fn wait(self) -> Option<Box<dyn Duplex>> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver?.await.ok()
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handover")
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}
