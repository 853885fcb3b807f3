//! One client connection: HTTP/1.1 or HTTP/2 told apart by the first bytes, served until it ends,
//! the gateway drains, or its time is up.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper::service::service_fn;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, Sleep},
};

use super::{
    http1, http2,
    io_watch::{Activity, ClientIo, Quiet},
    socket::Socket,
    tls::{Acceptor, handshake::Opened},
    worker::{Open, Phase, Worker},
};
use crate::{headers::Peer, telemetry::HandshakeFailure};

/// What every HTTP/2 connection begins with (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, open: Open) {
    let worker = Arc::clone(&open.worker);
    let limits = worker.limits();
    let mut closing = worker.phase();
    let mut first = Vec::new();
    let in_time = tokio::select! {
        read = tokio::time::timeout(limits.header_timeout, first_bytes(&stream, &mut first)) => read.is_ok(),
        // A connection that has asked nothing yet does not hold up the drain.
        _ = closing.wait_for(|phase| *phase >= Phase::Closing) => return,
    };
    // Nothing was asked, so there is nobody to answer.
    if first.is_empty() {
        return;
    }
    let http2 = first == PREFACE;
    let activity = Arc::new(Activity::new());
    if !in_time {
        activity.http1.began_late();
    }
    let socket = Socket::Clear(stream);
    let io = ClientIo::new(socket, first, Arc::clone(&activity), open);
    let peer = Arc::new(Peer::new(peer));
    if http2 {
        // In a box, so that a connection of HTTP/1 does not have the size of this one.
        Box::pin(serve_http2(io, worker, peer, activity, limits)).await;
    } else {
        http1::serve::serve(io, worker, peer, activity, limits).await;
    }
}

/// Serves a connection of a listener with TLS to its end.
pub(super) async fn serve_tls(stream: TcpStream, peer: SocketAddr, open: Open, acceptor: Arc<Acceptor>) {
    let worker = Arc::clone(&open.worker);
    let limits = worker.limits();
    let mut closing = worker.phase();
    let opened = tokio::select! {
        // In a box, so that what follows does not have the size of a handshake.
        opened = Box::pin(worker.handshakes.open(stream, &acceptor, limits.header_timeout)) => opened,
        _ = closing.wait_for(|phase| *phase >= Phase::Closing) => return,
    };
    let instruments = worker.instruments();
    let (stream, certificate) = match opened {
        Ok(Opened::Secure(stream, certificate)) => (stream, certificate),
        Ok(Opened::Clear(stream)) => {
            instruments.handshakes.failed(HandshakeFailure::NotTls);
            let activity = Arc::new(Activity::new());
            activity.http1.misplace();
            let socket = Socket::Clear(stream);
            let io = ClientIo::new(socket, Vec::new(), Arc::clone(&activity), open);
            return http1::serve::serve(io, worker, Arc::new(Peer::new(peer)), activity, limits).await;
        }
        Err(failure) => return instruments.handshakes.failed(failure),
    };
    instruments.handshakes.done(stream.is_tls13(), stream.is_resumed());
    let http2 = stream.is_http2();
    let socket = Socket::Tls(stream);
    // As in the clear: nothing is made for a client that asks nothing.
    tokio::select! {
        asks = tokio::time::timeout(limits.header_timeout, socket.readable()) => if !matches!(asks, Ok(Ok(()))) { return },
        _ = closing.wait_for(|phase| *phase >= Phase::Closing) => return,
    }
    let activity = Arc::new(Activity::new());
    let io = ClientIo::new(socket, Vec::new(), Arc::clone(&activity), open);
    let peer = Arc::new(Peer::over_tls(peer, certificate));
    if http2 {
        Box::pin(serve_http2(io, worker, peer, activity, limits)).await;
    } else {
        http1::serve::serve(io, worker, peer, activity, limits).await;
    }
}

async fn serve_http2(
    io: ClientIo,
    worker: Arc<Worker>,
    peer: Arc<Peer>,
    activity: Arc<Activity>,
    limits: Limits,
) {
    let phase = worker.phase();
    let instruments = worker.instruments();
    let seen = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let answer = worker.answer(request, &peer, &seen);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http2::connection(io, &activity, &limits, &instruments, service);
    watch_over(pin!(connection), &activity, &limits, phase, |connection| connection.graceful_shutdown())
        .await;
}

/// How a connection was left.
#[derive(Debug)]
pub(super) enum Left<T> {
    /// It ended with this, or its time was up.
    Ended(Option<T>),
    /// It has been idle for a while and can go on.
    Idle,
}

/// Polls a connection together with its one timer and the worker's phase.
pub(super) async fn watch_over<C, T, E>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    limits: &Limits,
    mut phase: watch::Receiver<Phase>,
    shut_down: impl Fn(Pin<&mut C>),
) -> Left<T>
where
    C: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    let mut quiet = Quiet::default();
    let first = activity.patience(limits, &mut quiet).unwrap_or_default();
    let mut timer: Pin<&mut Sleep> = pin!(tokio::time::sleep(first));
    let mut follower = phase.clone();
    let mut closing = false;
    loop {
        let event = {
            let mut changed = pin!(follower.changed());
            // Timer and phase wake this task once they have been polled; after that a look at what they
            // hold is enough, which is cheaper than polling them with every packet.
            let mut waiting = false;
            std::future::poll_fn(|cx| {
                if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Event::Ended(outcome));
                }
                if (!waiting || timer.is_elapsed()) && timer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Timer);
                }
                let news = !waiting || phase.has_changed().unwrap_or(true);
                if !closing && news && changed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Phase);
                }
                waiting = true;
                Poll::Pending
            })
            .await
        };
        match event {
            Event::Ended(Ok(end)) => return Left::Ended(Some(end)),
            Event::Ended(Err(error)) => {
                tracing::debug!(%error, "connection ended early");
                return Left::Ended(None);
            }
            Event::Timer if !closing && activity.may_rest() => return Left::Idle,
            Event::Timer => match activity.patience(limits, &mut quiet) {
                Some(left) => timer.as_mut().reset(Instant::now() + left),
                None if activity.expire() => timer.as_mut().reset(Instant::now() + limits.header_timeout),
                None => return Left::Ended(None),
            },
            Event::Phase => {
                // Without a sender the gateway is gone.
                let gone = phase.has_changed().is_err();
                closing = gone || *phase.borrow_and_update() >= Phase::Closing;
                if closing {
                    shut_down(connection.as_mut());
                }
            }
        }
    }
}

enum Event<T, E> {
    Ended(Result<T, E>),
    Timer,
    Phase,
}

/// What bounds a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    /// How long the client may take nothing of what is written; zero is no rule.
    pub(super) write_stall: Duration,
    pub(super) uri_bytes: u64,
    pub(super) header_bytes: u64,
    pub(super) headers: u32,
}

/// Reads until it is clear whether the preface comes.
async fn first_bytes(stream: &TcpStream, first: &mut Vec<u8>) -> std::io::Result<()> {
    let mut chunk = [0u8; PREFACE.len()];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut chunk[first.len()..]) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                let have = first.len();
                first.extend_from_slice(&chunk[have..have + len]);
                if first.len() == PREFACE.len() || !PREFACE.starts_with(first) {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
