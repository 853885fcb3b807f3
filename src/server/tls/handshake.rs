//! Handshakes, and how many strangers can make a worker compute.
//!
//! A handshake costs as much as many requests, and whoever wants one need not have been here before. So they
//! **take turns**: between any two polls of the worker's sockets one handshake goes one step, and everything else that
//! is ready goes first. However many there are, a request waits for one step at a time. They are
//! **bounded** too: of the clients that have begun and are waited for, the one that lets us wait longest is given up
//! when the room is needed, because who is honest is done within two round trips. Who waits for a turn is not at
//! fault and is not given up for others. And all of it ends by `limits.headerTimeout`. Until its first byte comes, a
//! connection is a socket and nothing else.

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

/// Clients whose next message a worker waits for: what it can begin in a second, so that none who is honest and
/// far away is given up. A handshake holds some 10 KiB.
const MOST: usize = 4096;
/// What a record of a handshake begins with (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// A worker's handshakes.
#[derive(Debug)]
pub(in crate::server) struct Handshakes {
    turn: Semaphore,
    awaited: Mutex<Awaited>,
    most: usize,
}

#[derive(Debug, Default)]
struct Awaited {
    next: u64,
    /// In the order in which waiting began. Dropping one gives it up.
    clients: BTreeMap<u64, oneshot::Sender<()>>,
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
        Self::with(MOST)
    }

    fn with(most: usize) -> Self {
        Self { turn: Semaphore::new(1), awaited: Mutex::default(), most }
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
        let accept = TlsAcceptor::from(Arc::clone(&acceptor.config))
            .accept_with(stream, |session| session.set_buffer_limit(Some(UNSENT)));
        let accepted = self.in_turns(accept).await?;
        let stream = Stream::new(accepted.map_err(|error| failure(&error))?);
        let certificate = stream.certificate().map_err(|()| Failure::BadClientCertificate)?;
        Ok(Opened::Secure(Box::new(stream), certificate))
    }

    /// Polls when it is this one's turn, and then lets everybody else go first.
    async fn in_turns<F: Future + Unpin>(&self, mut handshake: F) -> Result<F::Output, Failure> {
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
                return Ok(output);
            }
            let mut wait = self.wait();
            tokio::select! {
                biased;
                () = woken.0.notified() => {}
                _ = &mut wait.given_up => return Err(Failure::Crowded),
            }
        }
    }

    /// Begins to wait for a client. Makes room if there is none.
    fn wait(&self) -> Wait<'_> {
        let (sender, given_up) = oneshot::channel();
        let mut awaited = self.lock();
        if awaited.clients.len() >= self.most {
            awaited.clients.pop_first();
        }
        let id = awaited.next;
        awaited.next += 1;
        awaited.clients.insert(id, sender);
        Wait { handshakes: self, id, given_up }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Awaited> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client is waited for.
struct Wait<'a> {
    handshakes: &'a Handshakes,
    id: u64,
    given_up: oneshot::Receiver<()>,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.handshakes.lock().clients.remove(&self.id);
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn in_time<F: Future>(one: F) -> Option<F::Output> {
        tokio::time::timeout(Duration::from_secs(1), one).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_that_is_waited_for_longest_makes_room() {
        let handshakes = Handshakes::with(2);
        let never = || Box::pin(std::future::pending::<()>());
        let (first, second, third) =
            (handshakes.in_turns(never()), handshakes.in_turns(never()), handshakes.in_turns(never()));
        tokio::pin!(first, second, third);
        assert!(in_time(first.as_mut()).await.is_none());
        assert!(in_time(second.as_mut()).await.is_none());
        // The third finds no room, so the first is given up, and it alone.
        assert!(in_time(third.as_mut()).await.is_none());
        assert_eq!(in_time(first.as_mut()).await, Some(Err(Failure::Crowded)));
        assert!(in_time(second.as_mut()).await.is_none());
        assert!(in_time(third.as_mut()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_left_takes_no_room() {
        let handshakes = Handshakes::with(1);
        let never = || Box::pin(std::future::pending::<()>());
        for _ in 0..3 {
            assert!(in_time(handshakes.in_turns(never())).await.is_none());
        }
        assert!(handshakes.lock().clients.is_empty());
    }
}
