//! Hands traces, metrics and logs to a collector, in OTLP over HTTP, and opens the access log: as the
//! generation that serves says.
//!
//! All of it runs on the control plane. Workers add to bounded queues and never wait: a collector that is
//! dead, slow or lying costs what it did not take, which is counted, and nothing else.

mod client;
mod deliver;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    admin::Admin,
    gateway::Gateway,
    telemetry::{
        Instruments, Signal,
        access_log::{AccessLog, Target},
        otlp::{self, Resource},
        settings::Settings,
        sinks::{DIAGNOSTICS, Sinks},
    },
};

use client::Client;
use deliver::Delivery;

/// How long spans and log records wait for others.
const GATHER: Duration = Duration::from_secs(1);
/// How often metrics are sent.
const METRICS_EVERY: Duration = Duration::from_secs(10);
/// Requests whose spans go in one message.
const BATCH: usize = 512;
/// What the last messages may take when the gateway ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often old requests make room.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Exports {
    root: PathBuf,
    workers: usize,
    instruments: Arc<Instruments>,
    instance: Resource,
    current: Settings,
    running: Option<(watch::Sender<bool>, Vec<JoinHandle<()>>)>,
}

// === impl Exports ===

impl Exports {
    /// Nothing is exported yet. Paths are relative to `root`.
    #[must_use]
    pub fn new(root: PathBuf, workers: usize, instruments: Arc<Instruments>) -> Self {
        let (instance, current) = (Resource::new(""), Settings::default());
        Self { root, workers, instruments, instance, current, running: None }
    }

    /// Opens the access log that a generation wants, before its first request. Nothing changes for a
    /// generation that wants the same as the one before.
    pub fn open_log(&self, wanted: &Settings) {
        let sinks = self.instruments.sinks.load();
        let open = sinks.access.as_ref().map(|log| log.settings());
        let access = if open == wanted.access_log.as_ref() {
            sinks.access.clone()
        } else {
            wanted.access_log.clone().and_then(|settings| self.log(settings))
        };
        self.instruments.sinks.store(Arc::new(sinks.with(wanted.otlp.is_some(), access)));
    }

    fn log(&self, settings: crate::telemetry::access_log::Settings) -> Option<Arc<AccessLog>> {
        let instruments = Arc::clone(&self.instruments);
        let lost = move |lines| instruments.dropped(Signal::AccessLog, lines);
        let target = match &settings.target {
            Target::Stdout => Target::Stdout,
            Target::File(path) => Target::File(self.root.join(path)),
        };
        match AccessLog::open(settings, target, self.workers, lost) {
            Ok(log) => Some(Arc::new(log)),
            Err(error) => {
                tracing::error!(%error, "the access log cannot be opened: requests go without");
                None
            }
        }
    }

    /// Follows the generation that serves. To be called on the control plane, at the start and after a swap.
    pub fn follow(&mut self, gateway: &Gateway, admin: &Arc<Admin>) {
        let wanted = &gateway.telemetry;
        if wanted.access_log != self.current.access_log
            || wanted.otlp.is_some() != self.current.otlp.is_some()
        {
            self.open_log(wanted);
        }
        let same = wanted.otlp == self.current.otlp && wanted.service_name == self.current.service_name;
        self.current = wanted.clone();
        if same {
            return;
        }
        // Tasks of a collector that is not wanted any more give up what they hold.
        if let Some((_, tasks)) = self.running.take() {
            tasks.iter().for_each(JoinHandle::abort);
        }
        let sinks = self.instruments.sinks.load_full();
        // Closed first, so that nothing of what one collector did not take goes to another.
        for open in [false, wanted.otlp.is_some()] {
            sinks.traces.open(open);
            sinks.accesses.open(open);
            DIAGNOSTICS.open(open);
        }
        let Some(collector) = &wanted.otlp else { return };
        let resource =
            Resource { name: wanted.service_name.clone(), instance: self.instance.instance.clone() };
        let (stop, stopped) = watch::channel(false);
        let deliver = |signal, path| {
            let client = Client::new(collector, path);
            Delivery::new(client, signal, Arc::clone(&self.instruments), stopped.clone())
        };
        let tasks = vec![
            tokio::spawn(traces(deliver(Signal::Traces, "/v1/traces"), resource.clone(), Arc::clone(&sinks))),
            tokio::spawn(logs(deliver(Signal::Logs, "/v1/logs"), resource.clone(), sinks)),
            tokio::spawn(metrics(deliver(Signal::Metrics, "/v1/metrics"), resource, Arc::clone(admin))),
        ];
        tracing::info!(endpoint = %collector.endpoint, "exporting to a collector");
        self.running = Some((stop, tasks));
    }

    /// Writes out what is left, as far as the collector and the log take it at once.
    pub async fn end(&mut self) {
        let access = self.instruments.sinks.load().access.clone();
        let written = async {
            while access.as_ref().is_some_and(|log| !log.is_settled()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, written).await;
        let Some((stop, tasks)) = self.running.take() else { return };
        stop.send_replace(true);
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}

async fn traces(mut delivery: Delivery, resource: Resource, sinks: Arc<Sinks>) {
    loop {
        let last = delivery.wait(GATHER, sinks.traces.filled()).await;
        let (requests, dropped) = sinks.traces.take();
        delivery.lost(dropped);
        for batch in requests.chunks(BATCH) {
            let (message, spans) = otlp::spans(&resource, batch.iter().map(AsRef::as_ref));
            delivery.deliver(message, spans).await;
        }
        if last {
            return;
        }
    }
}

async fn logs(mut delivery: Delivery, resource: Resource, sinks: Arc<Sinks>) {
    loop {
        let last = delivery.wait(GATHER, sinks.accesses.filled()).await;
        let (lines, dropped) = DIAGNOSTICS.take();
        let (requests, more) = sinks.accesses.take();
        delivery.lost(dropped + more);
        let mut lines = Some(lines);
        // Diagnostics are few: they go with the first batch.
        for batch in requests.chunks(BATCH).chain(requests.is_empty().then_some(&[][..])) {
            let lines = lines.take().unwrap_or_default();
            let (message, records) = otlp::logs(&resource, &lines, batch.iter());
            if records > 0 {
                delivery.deliver(message, records).await;
            }
        }
        if last {
            return;
        }
    }
}

async fn metrics(mut delivery: Delivery, resource: Resource, admin: Arc<Admin>) {
    let instruments = Arc::clone(&admin.shared.instruments);
    loop {
        let last = delivery.wait(METRICS_EVERY, std::future::pending()).await;
        admin.refresh();
        let now = SystemTime::now();
        let (message, points) = otlp::metrics(&resource, &instruments.snapshot(), instruments.since(), now);
        delivery.deliver(message, points).await;
        if last {
            return;
        }
    }
}

fn swept(admin: &Admin) {
    let instruments = &admin.shared.instruments;
    let gateway = admin.shared.gateway.load_full();
    let routes: HashSet<&str> = gateway.plan.routes.iter().map(|route| &*route.name).collect();
    instruments.sinks.load().keep.sweep(SystemTime::now(), |name| routes.contains(name));
    // A tree that was refused may have made series for what never came to serve.
    gateway.retain_series();
}

/// Lets requests that are kept for the admin page grow old, until the future is dropped.
pub async fn sweep(admin: Arc<Admin>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        let admin = Arc::clone(&admin);
        // A reload makes series before its generation serves. It may take a while.
        let swept = tokio::task::spawn_blocking(move || admin.reloader.between(|| swept(&admin)));
        let _ = swept.await;
    }
}
