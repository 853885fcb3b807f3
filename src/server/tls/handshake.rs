//! Handshakes, and how many strangers can make a worker compute.
//!
//! A handshake costs as much as many requests, and whoever wants one need not have been here before. So they
//! **take turns**: between any two polls of the worker's sockets one handshake goes one step, and everything else that
//! is ready goes first. However many there are, a request waits for one step at a time. They are
//! **bounded** too: a client that has begun and does not go on is given up when the room is needed, the oldest
//! first, because who is honest is done within two round trips. And all of it ends by `limits.headerTimeout`. Until
//! its first byte comes, a connection is a socket and nothing else.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use rustls::Error as TlsError;
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore, oneshot},
};
use tokio_rustls::TlsAcceptor;

use super::{Acceptor, Stream, UNSENT};
use crate::{headers::ClientCertificate, telemetry::HandshakeFailure as Failure};

/// Handshakes that a worker has begun and not ended.
const MOST: usize = 512;
/// What a record of a handshake begins with (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// A worker's handshakes.
#[derive(Debug)]
pub(in crate::server) struct Handshakes {
    turn: Semaphore,
    begun: Mutex<Begun>,
}

#[derive(Debug, Default)]
struct Begun {
    next: u64,
    /// Dropping one gives it up.
    going: BTreeMap<u64, oneshot::Sender<()>>,
}

/// How a connection begins.
#[derive(Debug)]
pub(in crate::server) enum Opened {
    /// The handshake is done.
    Secure(Box<Stream>, Option<ClientCertificate>),
    /// The client does not speak TLS, but letters: HTTP most likely, on the wrong port.
    Clear(TcpStream),
}

// === impl Handshakes ===

impl Handshakes {
    pub(in crate::server) fn new() -> Self {
        Self { turn: Semaphore::new(1), begun: Mutex::default() }
    }

    /// Does a handshake within a time.
    pub(in crate::server) async fn open(
        &self,
        stream: TcpStream,
        acceptor: &Acceptor,
        within: Duration,
    ) -> Result<Opened, Failure> {
        match tokio::time::timeout(within, self.run(stream, acceptor)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Timeout),
        }
    }

    async fn run(&self, stream: TcpStream, acceptor: &Acceptor) -> Result<Opened, Failure> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0].is_ascii_alphabetic() => return Ok(Opened::Clear(stream)),
            Ok(1) if first[0] != HANDSHAKE => return Err(Failure::NotTls),
            Ok(1) => {}
            Ok(_) | Err(_) => return Err(Failure::ClientGone),
        }
        let mut going = self.begin();
        let accept = TlsAcceptor::from(Arc::clone(&acceptor.config))
            .accept_with(stream, |session| session.set_buffer_limit(Some(UNSENT)));
        let accepted = tokio::select! {
            accepted = self.in_turns(accept) => accepted,
            _ = &mut going.given_up => return Err(Failure::Crowded),
        };
        let stream = Stream::new(accepted.map_err(|error| failure(&error))?);
        let certificate = stream.certificate().map_err(|()| Failure::BadClientCertificate)?;
        Ok(Opened::Secure(Box::new(stream), certificate))
    }

    /// Polls when it is this one's turn, and then lets everybody else go first.
    async fn in_turns<F: Future + Unpin>(&self, mut handshake: F) -> F::Output {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            // Never closed.
            let turn = self.turn.acquire().await;
            let polled = Pin::new(&mut handshake).poll(&mut Context::from_waker(&waker));
            // Comes back once the sockets have been looked at again.
            tokio::task::yield_now().await;
            drop(turn);
            if let Poll::Ready(output) = polled {
                return output;
            }
            woken.0.notified().await;
        }
    }

    fn begin(&self) -> Going<'_> {
        let (sender, given_up) = oneshot::channel();
        let mut begun = self.lock();
        if begun.going.len() >= MOST {
            begun.going.pop_first();
        }
        let id = begun.next;
        begun.next += 1;
        begun.going.insert(id, sender);
        Going { handshakes: self, id, given_up }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handshake that has begun.
struct Going<'a> {
    handshakes: &'a Handshakes,
    id: u64,
    given_up: oneshot::Receiver<()>,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.handshakes.lock().going.remove(&self.id);
    }
}

/// Remembers that something came while it was another one's turn.
#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// Why it failed.
fn failure(error: &io::Error) -> Failure {
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()) else {
        return Failure::ClientGone;
    };
    tracing::debug!(%error, "a TLS handshake failed");
    match error {
        TlsError::PeerIncompatible(_) => Failure::NothingInCommon,
        TlsError::NoApplicationProtocol => Failure::NoProtocolInCommon,
        TlsError::NoCertificatesPresented => Failure::NoClientCertificate,
        TlsError::InvalidCertificate(_) => Failure::BadClientCertificate,
        TlsError::AlertReceived(_) => Failure::ClientRefused,
        TlsError::InvalidMessage(_)
        | TlsError::InappropriateMessage { .. }
        | TlsError::InappropriateHandshakeMessage { .. }
        | TlsError::PeerMisbehaved(_)
        | TlsError::PeerSentOversizedRecord
        | TlsError::DecryptError => Failure::Malformed,
        _ => Failure::Internal,
    }
}
