//! `demo`: mock services and a gateway on loopback, one trip search, and what composition saved.
//!
//! The gateway is the real one and knows nothing of the demo: the mocks take free ports, and the
//! templates' `{env: NAME, default: …}` lead there. The process's environment is not changed.

mod latency;
mod ledger;
mod mocks;
mod report;
mod sample;
mod services;

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use super::{
    Outcome,
    arguments::{Demo, Format},
    check, process, routes,
};
use crate::{config::Tree, diagnostic::Diagnostics, plan::Plan};
use mocks::Mocks;

/// The port that the sample's documentation uses.
const PORT: u16 = 8080;
/// The trip search that is run and printed.
const SEARCH: &str = "/v1/trips?from=avonford&to=castlebay&date=2026-12-01";
/// Its route.
const SEARCH_ROUTE: &str = "sales/trip-search";

/// Runs the command.
pub(super) fn run(
    root: &Path,
    format: Format,
    options: &Demo,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let mut findings = Diagnostics::default();
    let on_disk = root.join("routes").is_dir();
    let tree = if on_disk { Tree::read(root, &mut findings) } else { sample::tree() };
    let mut loaded = check::compiled(tree, findings);
    let Some(plan) = loaded.plan.take() else {
        loaded.report(format, out, err)?;
        return Ok(Outcome::Findings);
    };
    let waves = waves_of_the_search(&plan);

    let mocks = Mocks::start()?;
    let port = options.port.unwrap_or_else(|| if options.once { 0 } else { free_or_any(PORT) });
    let running = match process::start(plan, mocks.environment(port)) {
        Ok(running) => running,
        Err(problem) => {
            writeln!(err, "error: {problem}")?;
            return Ok(Outcome::Findings);
        }
    };

    let from = if on_disk { root.display().to_string() } else { "the built-in sample".to_owned() };
    writeln!(
        out,
        "Example Rail, from {from}: {} and a gateway on http://{}\n",
        mocks.count(),
        running.address
    )?;
    let shown = match waves {
        Some(waves) => report::search(running.address, &mocks, waves, out)?,
        None => true,
    };
    if options.once {
        running.stop();
        return Ok(if shown { Outcome::Fine } else { Outcome::Findings });
    }
    report::invitation(running.address, out)?;
    out.flush()?;
    if let Err(problem) = until_interrupted() {
        writeln!(err, "error: {problem}")?;
    }
    running.stop();
    Ok(Outcome::Fine)
}

/// The waves of the trip search, if this tree has one.
fn waves_of_the_search(plan: &Plan) -> Option<u16> {
    let route = plan.routes.iter().find(|route| &*route.name == SEARCH_ROUTE)?;
    routes::composition(&route.endpoint).map(|composition| composition.waves)
}

/// The port, or 0 for any when somebody listens on it already.
fn free_or_any(port: u16) -> u16 {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() { port } else { 0 }
}

fn until_interrupted() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c())
}

impl Mocks {
    /// How the templates' variables look to the demo's gateway.
    fn environment(&self, port: u16) -> process::Environment {
        let urls = self.urls();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        // A demo has no use for its admin listener but to be looked at, so any port does.
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_or_any(9901))).to_string();
        Arc::new(move |name| match name {
            "SEGUE_LISTEN" => Some(listen.clone()),
            "SEGUE_ADMIN" => Some(admin.clone()),
            _ => urls
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, url)| url.clone())
                .or_else(|| std::env::var(name).ok()),
        })
    }
}
