//! A running gateway: workers, admin, reload and signals, from start to the end of the drain.

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::spawn_blocking,
};

use crate::{
    admin::Admin,
    config::Tree,
    descriptors::Descriptors,
    diagnostic::{Code, Diagnostic, Diagnostics},
    export::{self, Exports},
    gateway::{AdminListener, Surroundings},
    identity::Store,
    memory,
    plan::Listener,
    policy::overload,
    reload::{Outcome, Reloader, watch},
    server::{Shared, Tls, Workers},
    telemetry::{Instruments, identity::KeyInstruments, registry::Registry},
    upstream::{Network, secret::Sources},
};

/// How often the process's memory is measured.
const MEMORY_EVERY: Duration = Duration::from_millis(100);

/// What to serve and how.
pub struct Options {
    /// The configuration directory.
    pub root: PathBuf,
    /// Environment variables and files that templates name.
    pub sources: Arc<dyn Sources + Send + Sync>,
    /// Whether SIGTERM and SIGINT drain and SIGHUP reloads; off where another program is the host.
    pub signals: bool,
}

/// Why a gateway does not start.
#[derive(Debug)]
pub enum StartError {
    /// The tree has errors.
    Findings(Diagnostics, Box<Tree>),
    /// A listener cannot be bound.
    Bind(SocketAddr, io::Error),
    /// The system refuses threads or signals.
    System(io::Error),
}

/// A gateway that serves on threads of its own.
#[derive(Debug)]
pub struct Running {
    /// Addresses that are listened on, in the order of the Gateway document.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The admin listener's address.
    pub admin: Option<SocketAddr>,
    commands: mpsc::UnboundedSender<Command>,
    control: JoinHandle<Result<(), Ended>>,
}

#[derive(Debug)]
enum Command {
    Drain,
    Reload(std::sync::mpsc::Sender<Outcome>),
}

/// How a gateway ended that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A worker's thread ended while it should serve.
    #[error("worker {0} ended unexpectedly")]
    Worker(usize),
    /// The control thread broke.
    #[error("the control plane ended unexpectedly")]
    Control,
}

/// Starts a gateway. When this returns, its listeners accept.
pub fn start(options: Options) -> Result<Running, StartError> {
    start_with(options, Vec::new())
}

/// The same with listeners besides those of the Gateway document.
pub fn start_with(options: Options, more: Vec<Listener>) -> Result<Running, StartError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let registry = Arc::new(Registry::new(cores));
    let instruments = Arc::new(Instruments::new(Arc::clone(&registry)));
    let network = Arc::new(Network::system(Descriptors::raise(cores)));
    // The control plane's runtime: it fetches keys as soon as a gateway needs some.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(StartError::System)?;
    let around = Surroundings {
        sources: options.sources,
        network: Arc::clone(&network),
        instruments: Arc::clone(&instruments),
        keys: Store::new(runtime.handle().clone(), Arc::clone(&network), KeyInstruments::new(registry)),
        listeners: more,
    };
    let (gateway, reloader) = match Reloader::load(options.root.clone(), around) {
        Ok(loaded) => loaded,
        Err(refused) => {
            // Waiting for its threads is not for whoever called, who may have a runtime of their own.
            runtime.shutdown_background();
            return Err(StartError::Findings(refused.0, Box::new(refused.1)));
        }
    };
    // Signals before ports: whoever sees one open may send one.
    let signals = {
        let _entered = runtime.enter();
        Signals::new(options.signals).map_err(StartError::System)?
    };
    let settings = gateway.plan.gateway.clone();
    let wanted = gateway.listeners.clone();
    let admin_at = gateway.admin.clone();
    let count = settings.workers.map_or(cores, |workers| workers.max(1) as usize);
    let shared = Arc::new(Shared::new(gateway, instruments, Arc::clone(&network)));
    let exports = Exports::new(options.root.clone(), count, Arc::clone(&shared.instruments));
    exports.open_log(&shared.gateway.load().telemetry);
    let mut workers = Workers::start(&shared, count).map_err(StartError::System)?;
    let mut open: Vec<Open> = Vec::new();
    let tls = reloader.tls();
    for (name, address, _) in wanted {
        let tls = Arc::new(Tls::from(tls.get(&name)));
        let bound = workers.listen(address, &tls).map_err(|error| StartError::Bind(address, error))?;
        tracing::info!(name, address = %bound, tls = tls.load().is_some(), "listening");
        open.push(Open { name, address: bound, tls });
    }
    let listeners: Vec<_> = open.iter().map(|open| (open.name.clone(), open.address)).collect();
    let mut admin = None;
    let mut admin_socket = None;
    let mut token = None;
    if let Some(AdminListener { address, token: secret, .. }) = admin_at {
        let socket = std::net::TcpListener::bind(address)
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .map_err(|error| StartError::Bind(address, error))?;
        admin = socket.local_addr().ok();
        admin_socket = Some(socket);
        token = secret;
    }
    let own = listeners.iter().map(|(_, address)| *address).chain(admin).collect();
    network.egress.set_own(own);
    let (commands, received) = mpsc::unbounded_channel();
    let reloader = Arc::new(reloader);
    let page = Admin { shared: Arc::clone(&shared), reloader, phase: workers.phase(), token };
    let control = Control {
        root: options.root,
        admin: Arc::new(page),
        admin_socket,
        workers,
        network,
        listeners: open,
        own_admin: admin,
        commands: received,
        signals,
        exports,
    };
    let (ready, started) = std::sync::mpsc::channel();
    let control = thread::Builder::new()
        .name("segue-control".to_owned())
        .spawn(move || {
            let ended = runtime.block_on(control.run(ready));
            runtime.shutdown_timeout(Duration::ZERO);
            ended
        })
        .map_err(StartError::System)?;
    match started.recv() {
        Ok(Ok(())) => Ok(Running { listeners, admin, commands, control }),
        Ok(Err(error)) => Err(StartError::System(error)),
        Err(_) => Err(StartError::System(io::Error::other("the control plane did not start"))),
    }
}

// === impl Running ===

impl Running {
    /// Begins to drain; [`Running::wait`] returns when that is done.
    pub fn drain(&self) {
        let _ = self.commands.send(Command::Drain);
    }

    /// Reads the tree again. `None` when the gateway has ended.
    pub fn reload(&self) -> Option<Outcome> {
        let (answer, outcome) = std::sync::mpsc::channel();
        self.commands.send(Command::Reload(answer)).ok()?;
        outcome.recv().ok()
    }

    /// Waits until the gateway has ended.
    pub fn wait(self) -> Result<(), Ended> {
        self.control.join().unwrap_or(Err(Ended::Control))
    }
}

/// The control thread: everything that is not a client's request.
struct Control {
    root: PathBuf,
    admin: Arc<Admin>,
    admin_socket: Option<std::net::TcpListener>,
    workers: Workers,
    network: Arc<Network>,
    listeners: Vec<Open>,
    own_admin: Option<SocketAddr>,
    commands: mpsc::UnboundedReceiver<Command>,
    signals: Signals,
    exports: Exports,
}

/// A listener that is open.
struct Open {
    name: String,
    address: SocketAddr,
    /// What its workers look at with each connection.
    tls: Arc<Tls>,
}

// === impl Control ===

impl Control {
    async fn run(mut self, ready: std::sync::mpsc::Sender<io::Result<()>>) -> Result<(), Ended> {
        if let Some(socket) = self.admin_socket.take() {
            match TcpListener::from_std(socket) {
                Ok(listener) => drop(tokio::spawn(Arc::clone(&self.admin).serve(listener))),
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return Err(Ended::Control);
                }
            }
        }
        tokio::spawn(export::sweep(Arc::clone(&self.admin)));
        tokio::spawn(watch_memory(Arc::clone(&self.admin.shared)));
        self.follow_telemetry();
        let reloader = Arc::clone(&self.admin.reloader);
        let mut changes = watch::start(&self.root, move || reloader.folders_elsewhere());
        let mut generations = self.admin.shared.generations.subscribe();
        let _ = ready.send(Ok(()));
        loop {
            tokio::select! {
                // `None` when the handle was dropped without a drain: signals decide then.
                Some(command) = self.commands.recv() => match command {
                    Command::Drain => break,
                    Command::Reload(answer) => {
                        let outcome = self.reload().await;
                        let _ = answer.send(outcome);
                    }
                },
                () = received(&mut self.signals.terminate) => break,
                () = received(&mut self.signals.interrupt) => break,
                () = received(&mut self.signals.hangup) => { self.reload().await; }
                Some(()) = changes.recv() => { self.reload().await; }
                // Whoever made it; the admin page may reload too.
                Ok(()) = generations.changed() => {
                    self.follow_listeners();
                    self.follow_telemetry();
                }
                index = self.workers.one_ended() => return Err(Ended::Worker(index)),
            }
        }
        let (delay, timeout) = {
            let gateway = self.admin.shared.gateway.load();
            (gateway.plan.gateway.drain_delay, gateway.plan.gateway.drain_timeout)
        };
        tracing::info!(?delay, ?timeout, "draining");
        if self.workers.drain(delay, timeout).await {
            tracing::info!("drained");
        } else {
            tracing::warn!("requests were cut: `drain.timeout` passed before they ended");
        }
        self.exports.end().await;
        Ok(())
    }

    async fn reload(&self) -> Outcome {
        let admin = Arc::clone(&self.admin);
        let outcome = spawn_blocking(move || admin.reloader.reload(&admin.shared)).await;
        outcome.unwrap_or(Outcome::Rejected)
    }

    fn follow_telemetry(&mut self) {
        let gateway = self.admin.shared.gateway.load_full();
        self.exports.follow(&gateway, &self.admin);
    }

    /// Opens and closes listeners as the new generation says. One that cannot be bound is reported
    /// and everything else applies.
    fn follow_listeners(&mut self) {
        let gateway = self.admin.shared.gateway.load_full();
        // Port 0 was bound to some port; it stays that listener's as long as its name stays.
        let kept = |name: &str, address: SocketAddr, open: &Open| {
            open.address == address
                || (address.port() == 0 && open.name == name && open.address.ip() == address.ip())
        };
        let wanted = &gateway.listeners;
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.listeners)
            .into_iter()
            .partition(|open| wanted.iter().any(|(name, address, _)| kept(name, *address, open)));
        for Open { name, address, .. } in go {
            tracing::info!(name, %address, "no longer listening");
            self.workers.close(address);
        }
        self.listeners = stay;
        let tls = self.admin.reloader.tls();
        for (name, address, place) in wanted {
            let tls = tls.get(name);
            if let Some(open) = self.listeners.iter_mut().find(|open| kept(name, *address, open)) {
                open.name.clone_from(name);
                open.tls.store(tls);
                continue;
            }
            let tls = Arc::new(Tls::from(tls));
            match self.workers.listen(*address, &tls) {
                Ok(bound) => {
                    tracing::info!(name, address = %bound, tls = tls.load().is_some(), "listening");
                    self.listeners.push(Open { name: name.clone(), address: bound, tls });
                }
                Err(error) => {
                    tracing::error!(name, %address, %place, %error, "cannot listen");
                    let message = format!("cannot listen on {address}: {error}");
                    self.admin.reloader.note(Diagnostic::new(Code::CannotListen, place.clone(), message));
                }
            }
        }
        if let (Some(wanted), Some(own)) = (&gateway.admin, self.own_admin)
            && wanted.address != own
            && wanted.address.port() != 0
        {
            tracing::warn!(%own, wanted = %wanted.address, "the admin address changes at the next start");
        }
        let own = self.listeners.iter().map(|open| open.address).chain(self.own_admin).collect();
        self.network.egress.set_own(own);
    }
}

/// Measures the process's memory against what the Gateway document, or the system, lets it have.
async fn watch_memory(shared: Arc<Shared>) {
    let system = memory::allowed().map(|allowed| allowed / 5 * 4);
    let mut ticks = tokio::time::interval(MEMORY_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let bound = match shared.gateway.load().plan.gateway.limits.memory {
            0 => system,
            own => Some(own),
        };
        overload::beside::bounded(bound);
        if let (Some(bound), Some(used)) = (bound, memory::used()) {
            shared.memory.note(used, Some(bound));
        }
    }
}

struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    fn new(wanted: bool) -> io::Result<Self> {
        if !wanted {
            return Ok(Self { terminate: None, interrupt: None, hangup: None });
        }
        Ok(Self {
            terminate: Some(signal(SignalKind::terminate())?),
            interrupt: Some(signal(SignalKind::interrupt())?),
            hangup: Some(signal(SignalKind::hangup())?),
        })
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("root", &self.root)
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Findings(..) => f.write_str("the tree has errors"),
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
