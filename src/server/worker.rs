//! A worker: one thread, one runtime, its own listening sockets, pools and handle on the gateway.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    Tls,
    connection::{self, Limits},
    http1::Refusal,
    http2::websocket,
    io_watch::Activity,
    outbound::{self, Ended, Outbound, Stream},
    shared::Shared,
    tls::handshake::Handshakes,
};
use crate::{
    body::{Body, FromClient},
    compose::{Custody, Runner},
    descriptors::Taken,
    gateway::{Begun, Handle, upgrade::Tunnels},
    headers::Peer,
    policy::{overload::Overload, respond},
    telemetry::{self, Histogram, Instruments, registry},
    upstream::Upstreams,
};

/// Executions a worker may keep for the sake of an unsafe call before it refuses new ones.
const CUSTODY: usize = 1024;
/// How often it is measured how late a worker is.
const LAG_EVERY: Duration = Duration::from_millis(50);
/// How long accepting pauses after it has failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Where the process is in its life. Later phases compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepting and serving.
    Serving,
    /// SIGTERM came: not ready any more, still accepting; answers close their connections.
    Draining,
    /// Not accepting; idle connections close, the others after their answer.
    Closing,
    /// The time to end is over: what is still under way is cut.
    Cut,
}

/// A change of a worker's listening sockets.
#[derive(Debug)]
pub(super) enum Listen {
    /// Accept on this one too.
    Open(SocketAddr, std::net::TcpListener, Arc<Tls>),
    /// Stop accepting; requests on its connections finish.
    Close(SocketAddr),
}

/// See the module.
pub(super) struct Worker {
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    runner: Runner<Upstreams>,
    tunnels: Arc<Tunnels>,
    /// The current generation as this worker runs it. Only this worker locks it.
    handle: Mutex<Arc<Handle>>,
    overload: Arc<Overload>,
    connections: AtomicUsize,
    closed: tokio::sync::Notify,
    pub(super) handshakes: Handshakes,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, phase: watch::Receiver<Phase>) -> Arc<Self> {
        let upstreams = Arc::new(Upstreams::new());
        let custody = Custody::told(CUSTODY, shared.instruments.custody.clone());
        let gateway = shared.gateway.load_full();
        let runner = Runner { caller: Arc::clone(&upstreams), custody: Arc::clone(&custody) };
        let tunnels = Arc::new(Tunnels::default());
        let overload = Arc::new(Overload::new(Arc::clone(&shared.memory), shared.instruments.shed()));
        let handle = Handle::new(gateway, runner.clone(), Arc::clone(&tunnels)).shedding(&overload);
        Arc::new(Self {
            shared,
            phase,
            runner,
            tunnels,
            handle: Mutex::new(Arc::new(handle)),
            overload,
            connections: AtomicUsize::new(0),
            closed: tokio::sync::Notify::new(),
            handshakes: Handshakes::new(),
        })
    }

    /// Serves until the drain has ended.
    pub(super) async fn run(self: Arc<Self>, index: usize, mut sockets: mpsc::UnboundedReceiver<Listen>) {
        registry::use_shard(index);
        let lag = self.shared.instruments.lag(index);
        let lag = tokio::spawn(measure_lag(lag, Arc::clone(&self.overload)));
        let mut accepting: Vec<(SocketAddr, oneshot::Sender<()>, JoinHandle<()>)> = Vec::new();
        let mut phase = self.phase.clone();
        let mut generations = self.shared.generations.subscribe();
        while *phase.borrow_and_update() < Phase::Closing {
            tokio::select! {
                changed = phase.changed() => if changed.is_err() { break },
                changed = generations.changed() => if changed.is_ok() { self.take_generation() },
                Some(change) = sockets.recv() => match change {
                    Listen::Open(address, socket, tls) => match TcpListener::from_std(socket) {
                        Ok(listener) => {
                            let (stop, stopped) = oneshot::channel();
                            let task = tokio::spawn(Arc::clone(&self).accept(listener, tls, stopped));
                            accepting.push((address, stop, task));
                        }
                        Err(error) => tracing::error!(%address, %error, "a listener could not be used"),
                    },
                    // Dropping its `stop` ends the task; what it accepted goes on.
                    Listen::Close(address) => accepting.retain(|(open, ..)| *open != address),
                },
            }
        }
        lag.abort();
        for (_, stop, task) in accepting {
            drop(stop);
            let _ = task.await;
        }
        tokio::select! {
            () = self.drained() => {}
            // Its runtime drops what is left, which is told as cut for this reason.
            _ = phase.wait_for(|phase| *phase == Phase::Cut) => self.shared.instruments.end(),
        }
    }

    /// Accepts until told to stop, then takes what the kernel has queued already.
    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Arc<Tls>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = &mut stopped => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.rest(&error).await;
                    continue;
                }
            };
            // At the limit, or short of memory, this one waits to be served, and those after it to be accepted.
            self.shared.say_if_full();
            let taken = tokio::select! {
                biased;
                taken = self.shared.place() => taken,
                _ = &mut stopped => {
                    self.serve(stream, peer, self.shared.clients().exceed(), &tls);
                    break;
                }
            };
            self.serve(stream, peer, taken, &tls);
        }
        while let Some(Ok((stream, peer))) = poll_once(listener.accept()).await {
            let Some(taken) = self.shared.clients().take() else { break };
            self.serve(stream, peer, taken, &tls);
        }
    }

    /// Waits before the next attempt to accept, which must not be made in a loop: out of descriptors,
    /// until one is given back or another process may have.
    async fn rest(&self, error: &std::io::Error) {
        if error.kind() == std::io::ErrorKind::ConnectionAborted {
            return;
        }
        tracing::warn!(%error, "a connection could not be accepted");
        let freed = self.shared.clients().freed();
        let _ = tokio::time::timeout(ACCEPT_PAUSE, freed).await;
    }

    fn serve(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, taken: Taken, tls: &Tls) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.shared.instruments.connections.increment(1.0);
        let open = Open { worker: Arc::clone(self), _taken: taken };
        let _ = stream.set_nodelay(true);
        match tls.load_full() {
            None => drop(tokio::spawn(connection::serve(stream, peer, open))),
            Some(acceptor) => drop(tokio::spawn(connection::serve_tls(stream, peer, open, acceptor))),
        }
    }

    /// Takes a request of HTTP/1 in.
    pub(super) fn begin(&self, request: Request<FromClient>, peer: &Arc<Peer>) -> Begun {
        self.handle().begin(request, peer)
    }

    /// Answers what was refused before it was a request.
    pub(super) fn refuse(&self, peer: &Arc<Peer>, refusal: Refusal) -> Begun {
        self.handle().refuse(peer, &refusal.into())
    }

    /// Whether the gateway is not about to end.
    pub(super) fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Answers one request of HTTP/2.
    pub(super) fn answer(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        peer: &Arc<Peer>,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Response<Outbound>> + Send + use<> {
        let has_body = !hyper::body::Body::is_end_stream(request.body());
        let head_only = *request.method() == Method::HEAD;
        // The connection is not idle as long as a WebSocket is open on it.
        let websocket = websocket::ask(&mut request, || Ended::of(activity));
        let ended = Ended::of(activity);
        let begun = self.handle().begin(request.map(FromClient::Http2), peer);
        let worker = Arc::clone(self);
        async move {
            if has_body {
                // The codec has read further than the head. If that broke the request, it learns so now,
                // before anything is sent on.
                tokio::task::yield_now().await;
            }
            let (mut response, finish, upload) = begun.answer().await;
            if let Some(websocket) = websocket {
                if let Err(error) = websocket.conclude(&mut response) {
                    response = respond::answer(&error, Some(finish.exchange()), false);
                }
                finish.answered(response.status());
            }
            // Over HTTP/1 the connection's own timer watches the one answer on it.
            let stream = Stream::new(worker.limits().idle_timeout, upload);
            if head_only {
                outbound::keep_length(&mut response);
                return response.map(|_| Outbound::new(Body::default(), finish, ended, Some(stream)));
            }
            response.map(|body| Outbound::new(body, finish, ended, Some(stream)))
        }
    }

    /// The current generation. A reload is seen by the first request after it.
    fn handle(&self) -> Arc<Handle> {
        let handle = self.lock();
        if self.shared.current_generation() == handle.generation() {
            return Arc::clone(&handle);
        }
        drop(handle);
        self.take_generation();
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Handle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_generation(&self) {
        let gateway = self.shared.gateway.load_full();
        let mut handle = self.lock();
        if handle.generation() == gateway.generation {
            return;
        }
        *handle = Arc::new(handle.succeeded_by(gateway));
    }

    pub(super) fn limits(&self) -> Limits {
        let handle = self.lock();
        let limits = &handle.gateway().plan.gateway.limits;
        Limits {
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            write_stall: limits.write_stall,
            uri_bytes: limits.uri_bytes,
            header_bytes: limits.header_bytes,
            headers: limits.headers,
        }
    }

    pub(super) fn instruments(&self) -> Arc<Instruments> {
        Arc::clone(&self.shared.instruments)
    }

    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    async fn drained(&self) {
        loop {
            let closed = self.closed.notified();
            if self.connections.load(Ordering::Relaxed) == 0 {
                break;
            }
            closed.await;
        }
        self.runner.custody.drained().await;
        self.tunnels.drained().await;
    }
}

/// An open connection, counted until it is dropped, which its socket does.
pub(super) struct Open {
    pub(super) worker: Arc<Worker>,
    _taken: Taken,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Open")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.shared.instruments.connections.decrement(1.0);
        if self.worker.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.worker.closed.notify_waiters();
        }
    }
}

/// Records how late this thread comes to what is due.
async fn measure_lag(lag: Histogram, overload: Arc<Overload>) {
    let mut ticks = tokio::time::interval(LAG_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = ticks.tick().await;
        telemetry::clock::tick();
        let late = due.elapsed();
        lag.record(late.as_secs_f64());
        overload.late(late);
    }
}

/// The outcome of a future if it has one now.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
