//! `demo`: mock services and a gateway on loopback, one trip search, and what composition saved.
//!
//! The gateway is the real one and knows nothing of the demo: the mocks take free ports, and the
//! templates' `{env: NAME, default: …}` lead there. The process's environment is not changed.

mod certificate;
mod folder;
pub(super) mod issuer;
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
    time::Duration,
};

use super::{
    Outcome,
    arguments::{Demo, Format},
    check, logging, routes, serve,
};
use crate::{
    plan::Plan,
    serve::{Options, start_with},
    upstream::secret::{Process, Sources},
};
use certificate::Development;
use issuer::{Claims, DemoKey, Issuer};
use mocks::Mocks;
use sample::Sample;

/// The port that the sample's documentation uses.
const PORT: u16 = 8080;
/// The port that it serves HTTPS on.
const TLS_PORT: u16 = 8443;
/// The admin port that the sample's documentation uses.
const ADMIN_PORT: u16 = 9901;
/// The trip search that is run and printed.
const SEARCH: &str = "/v1/trips?from=avonford&to=castlebay&date=2026-12-01";
/// Its route.
const SEARCH_ROUTE: &str = "sales/trip-search";
/// The partner that the printed token is for.
const PARTNER: Claims<'_> = Claims {
    subject: "acme-tours",
    audience: "example-rail",
    scope: "holds:write",
    lives: Duration::from_secs(60 * 60),
};

/// Runs the command.
pub(super) fn run(
    root: &Path,
    format: Format,
    options: &Demo,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let _log = logging::start("warn");
    let sample = if root.join("routes").is_dir() { None } else { Some(Sample::unpack()?) };
    let root = sample.as_ref().map_or(root, Sample::folder);
    let loaded = check::load(root);
    let waves = match &loaded.plan {
        Some(plan) => waves_of_the_search(plan),
        None => {
            loaded.report(format, out, err)?;
            return Ok(Outcome::Findings);
        }
    };

    let mocks = Mocks::start()?;
    let issuer = Issuer::make()?;
    let key = DemoKey::of(issuer.state()).map_err(io::Error::other)?;
    let sources = Arc::new(Addresses::new(root, &mocks, &key, options));
    // Only where the tree has no HTTPS of its own. `serve` never makes a certificate.
    let has_tls = loaded.plan.iter().flat_map(|plan| &plan.gateway.listeners).any(|one| one.tls.is_some());
    let development = if has_tls { None } else { Some(Development::make()?) };
    let secure = development.iter().map(|made| made.listener(usual(TLS_PORT, options))).collect();
    let running = start_with(Options { root: root.to_owned(), sources, signals: !options.once }, secure);
    let Some(running) = serve::started(running, format, out, err)? else {
        return Ok(Outcome::Findings);
    };
    let Some(address) = running.listeners.first().map(|(_, address)| *address) else {
        writeln!(err, "error: the Gateway has no listener")?;
        return Ok(Outcome::Findings);
    };

    let secure = development.as_ref().and_then(|made| made.served(&running));
    write!(out, "Example Rail: {} mock services and a gateway on http://{address}", mocks.count())?;
    match &secure {
        Some(secure) => writeln!(out, " and {}", secure.url)?,
        None => writeln!(out)?,
    }
    writeln!(out, "Templates: {} (a change is picked up while this runs)\n", root.display())?;
    let answered = match waves {
        Some(waves) => report::search(address, &mocks, waves, out)?,
        None => true,
    };
    if options.once {
        running.drain();
    } else {
        report::invitation(address, secure.as_ref(), running.admin, out)?;
        report::credentials(address, secure.as_ref(), (&key.token(PARTNER)?, issuer.state()), out)?;
        out.flush()?;
    }
    let ended = serve::until_drained(running, err)?;
    Ok(if answered { ended } else { Outcome::Findings })
}

/// The waves of the trip search, if this tree has one.
fn waves_of_the_search(plan: &Plan) -> Option<u16> {
    let route = plan.routes.iter().find(|route| &*route.name == SEARCH_ROUTE)?;
    routes::composition(&route.endpoint).map(|composition| composition.waves)
}

/// The port that is documented, if it is free. One run is for pipelines, which must not meet each other on it.
fn usual(port: u16, options: &Demo) -> u16 {
    if options.once { 0 } else { free_or_any(port) }
}

/// The port, or 0 for any when somebody listens on it already.
fn free_or_any(port: u16) -> u16 {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() { port } else { 0 }
}

/// The environment as the demo's gateway sees it: the mocks' URLs, its own addresses, and the keys of this run
/// in place of the sample's.
struct Addresses {
    process: Process,
    key_set: String,
    own: Vec<(&'static str, String)>,
}

// === impl Addresses ===

impl Addresses {
    fn new(root: &Path, mocks: &Mocks, key: &DemoKey, options: &Demo) -> Self {
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        let mut own = mocks.urls();
        own.push(("SEGUE_LISTEN", at(options.port.unwrap_or_else(|| usual(PORT, options)))));
        own.push(("SEGUE_ADMIN", at(usual(ADMIN_PORT, options))));
        Self { process: Process::new(root), key_set: key.set(), own }
    }
}

impl Sources for Addresses {
    fn variable(&self, name: &str) -> Option<String> {
        let own = self.own.iter().find(|(variable, _)| *variable == name);
        own.map(|(_, value)| value.clone()).or_else(|| self.process.variable(name))
    }

    fn file(&self, path: &str) -> io::Result<Vec<u8>> {
        if path == issuer::KEY_SET { Ok(self.key_set.clone().into_bytes()) } else { self.process.file(path) }
    }
}

#[cfg(test)]
mod tests;
