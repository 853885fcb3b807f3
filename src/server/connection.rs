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
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, Sleep},
};

use super::{
    io_watch::{Activity, ClientIo, Quiet},
    outbound::Ended,
    worker::{Open, Phase},
};
use crate::headers::Peer;

/// What every HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, open: Open) {
    let worker = Arc::clone(&open.worker);
    let _ = stream.set_nodelay(true);
    let limits = worker.limits();
    let mut closing = worker.phase();
    let first = tokio::select! {
        first = tokio::time::timeout(limits.header_timeout, first_bytes(&stream)) => match first {
            Ok(Ok(first)) if !first.is_empty() => first,
            // Nothing was asked, so there is nobody to answer.
            _ => return,
        },
        // A connection that has asked nothing yet does not hold up the drain.
        _ = closing.wait_for(|phase| *phase == Phase::Closing) => return,
    };
    let http2 = first == PREFACE;
    let activity = Arc::new(Activity::new());
    let io = ClientIo::new(stream, first, Arc::clone(&activity), open);
    let phase = worker.phase();
    let peer = Arc::new(Peer::new(peer));
    let seen = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let answer = worker.answer(request, &peer, Ended::of(&seen));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    if http2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
        let connection = builder.serve_connection(io, service);
        watch_over(pin!(connection), &activity, &limits, phase, |connection| connection.graceful_shutdown())
            .await;
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(limits.headers as usize)
            .max_buf_size(
                usize::try_from(limits.uri_bytes + limits.header_bytes).unwrap_or(usize::MAX).max(16_384),
            );
        let connection = builder.serve_connection(io, service).with_upgrades();
        watch_over(pin!(connection), &activity, &limits, phase, |connection| connection.graceful_shutdown())
            .await;
    }
}

/// Polls a connection together with its one timer and the worker's phase.
async fn watch_over<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    limits: &Limits,
    mut phase: watch::Receiver<Phase>,
    shut_down: impl Fn(Pin<&mut C>),
) where
    C: Future<Output = hyper::Result<()>>,
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
            Event::Ended(outcome) => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "connection ended early");
                }
                return;
            }
            Event::Timer => match activity.patience(limits, &mut quiet) {
                Some(left) => timer.as_mut().reset(Instant::now() + left),
                None => return,
            },
            Event::Phase => {
                // Without a sender the gateway is gone.
                let gone = phase.has_changed().is_err();
                closing = gone || *phase.borrow_and_update() == Phase::Closing;
                if closing {
                    shut_down(connection.as_mut());
                }
            }
        }
    }
}

enum Event {
    Ended(hyper::Result<()>),
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

/// Reads until it is clear whether the preface comes. The bytes read are given back first.
async fn first_bytes(stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut first = Vec::new();
    let mut chunk = [0u8; PREFACE.len()];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut chunk[first.len()..]) {
            Ok(0) => return Ok(first),
            Ok(len) => {
                let have = first.len();
                first.extend_from_slice(&chunk[have..have + len]);
                if first.len() == PREFACE.len() || !PREFACE.starts_with(&first) {
                    return Ok(first);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
