//! The data plane's threads: workers, each with its own runtime, sockets and pools.
//!
//! One single-threaded runtime per core: a request stays on the core that accepted its connection,
//! and so do the upstream connections it uses. What workers share is [`Shared`], all of it atomics.

use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};

use arc_swap::ArcSwapOption;
use tokio::sync::{mpsc, watch};

mod connection;
mod gather;
#[doc(hidden)]
pub mod http1;
mod http2;
mod io_watch;
mod listener;
mod outbound;
mod shared;
mod socket;
pub mod tls;
mod worker;

pub use shared::Shared;
pub use worker::Phase;

use worker::{Listen, Worker};

/// A worker's stack. The deepest expression that compiles needs less than half of it.
const STACK: usize = 4 * 1024 * 1024;

/// How long workers may take to drop what is cut.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a listener accepts with at the moment: TLS, or cleartext.
pub type Tls = ArcSwapOption<tls::Acceptor>;

/// The running workers.
#[derive(Debug)]
pub struct Workers {
    phase: watch::Sender<Phase>,
    sockets: Vec<mpsc::UnboundedSender<Listen>>,
    /// Addresses that are listened on.
    open: Vec<SocketAddr>,
    ended: mpsc::UnboundedReceiver<usize>,
    running: usize,
}

// === impl Workers ===

impl Workers {
    /// Starts the threads; they listen on nothing yet.
    pub fn start(shared: &Arc<Shared>, count: usize) -> io::Result<Self> {
        let (phase, watching) = watch::channel(Phase::Serving);
        let (ends, ended) = mpsc::unbounded_channel();
        let mut sockets = Vec::with_capacity(count);
        for index in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            let worker = Worker::new(Arc::clone(shared), watching.clone());
            let end = End(index, ends.clone());
            let builder = thread::Builder::new().name(format!("segue-worker-{index}")).stack_size(STACK);
            builder.spawn(move || {
                let _end = end;
                match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => {
                        runtime.block_on(worker.run(index, receiver));
                        runtime.shutdown_timeout(Duration::ZERO);
                    }
                    Err(error) => tracing::error!(%error, "a worker has no runtime"),
                }
            })?;
            sockets.push(sender);
        }
        Ok(Self { phase, sockets, open: Vec::new(), ended, running: count })
    }

    /// Listens on an address with every worker, over TLS while `tls` holds something. Gives the address
    /// bound, which differs for port 0.
    pub fn listen(&mut self, address: SocketAddr, tls: &Arc<Tls>) -> io::Result<SocketAddr> {
        let (bound, listeners) = listener::bind(address, self.sockets.len())?;
        for (worker, listener) in self.sockets.iter().zip(listeners) {
            // A worker that has ended ends the process; nothing else is to be done here.
            let _ = worker.send(Listen::Open(bound, listener, Arc::clone(tls)));
        }
        self.open.push(bound);
        Ok(bound)
    }

    /// Stops accepting on an address at once; requests on its connections finish.
    pub fn close(&mut self, address: SocketAddr) {
        for worker in &self.sockets {
            let _ = worker.send(Listen::Close(address));
        }
        self.open.retain(|open| *open != address);
    }

    /// Addresses that are listened on.
    #[must_use]
    pub fn open(&self) -> &[SocketAddr] {
        &self.open
    }

    /// Follows the phase.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Waits until a worker ends, which while serving only a defect makes happen.
    pub async fn one_ended(&mut self) -> usize {
        let index = self.ended.recv().await.unwrap_or_default();
        self.running = self.running.saturating_sub(1);
        index
    }

    /// Stops: not ready, but accepting for `delay`; then nothing new, and what is under way has
    /// `timeout` to end. Whether everything ended in time.
    pub async fn drain(&mut self, delay: Duration, timeout: Duration) -> bool {
        self.phase.send_replace(Phase::Draining);
        tokio::time::sleep(delay).await;
        self.phase.send_replace(Phase::Closing);
        let all = async {
            while self.running > 0 {
                self.one_ended().await;
            }
        };
        if tokio::time::timeout(timeout, all).await.is_ok() {
            return true;
        }
        // What is cut is told in every signal, if its worker is still there to do so.
        self.phase.send_replace(Phase::Cut);
        let all = async {
            while self.running > 0 {
                self.one_ended().await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, all).await;
        false
    }
}

/// Says that a worker's thread has ended, by a panic too.
struct End(usize, mpsc::UnboundedSender<usize>);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}
