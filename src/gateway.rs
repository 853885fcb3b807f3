//! A plan made runnable: addresses and secrets resolved, upstreams built, routes indexed.
//!
//! A [`Gateway`] holds no socket and never changes; a reload builds the next one and swaps it in.
//! Each worker serves it through a [`Handle`] of its own.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use crate::{
    config::{gateway::AddressTemplate, service::SecretTemplate},
    diagnostic::{Code, Diagnostic, Diagnostics, Place},
    id::RouteId,
    identity::Store,
    plan::{self, Listener, Plan},
    policy::{
        authenticate::{self, Authenticator, Settings},
        counters::Counters,
    },
    telemetry::{self, Instruments, RouteInstruments, trace::Sampler},
    upstream::{self, Upstream, secret::Sources},
};

pub mod admission;
pub mod handle;
pub mod path;
mod composed;
mod forward;
mod proxy;
mod readings;
pub mod router;
mod stack;
mod tunnel;
mod outlook;
mod words;
pub mod upgrade;

#[cfg(test)]
mod tests;

pub use handle::{Begun, Handle};

use router::Router;

/// See the module.
#[derive(Debug)]
pub struct Gateway {
    /// Counts up with every swap.
    pub generation: u64,
    /// What it was compiled from.
    pub plan: Arc<Plan>,
    /// One per service, in the order of their ids.
    pub upstreams: Arc<[Arc<Upstream>]>,
    /// Listener names and addresses.
    pub listeners: Vec<(String, SocketAddr, Place)>,
    /// The admin listener.
    pub admin: Option<AdminListener>,
    /// What is said to whom.
    pub telemetry: telemetry::settings::Settings,
    /// Which requests are traced, if any are: without a route, and by route.
    sampling: Option<(Sampler, Box<[Sampler]>)>,
    /// One per policy that a route has, by route; most routes share theirs.
    authenticators: Box<[Arc<[Arc<Authenticator>]>]>,
    router: Router,
    /// What limits have counted.
    counters: Counters,
    routes: Box<[Arc<RouteInstruments>]>,
    instruments: Arc<Instruments>,
}

/// What building a gateway needs besides the plan.
#[derive(Clone)]
pub struct Surroundings {
    /// Environment variables, and files of secrets and certificates.
    pub sources: Arc<dyn Sources + Send + Sync>,
    /// Resolver and forbidden addresses of all upstreams.
    pub network: Arc<upstream::Network>,
    /// Metrics.
    pub instruments: Arc<Instruments>,
    /// Keys that verify tokens.
    pub keys: Arc<Store>,
    /// Listeners besides those of the plan.
    pub listeners: Vec<Listener>,
}

/// Where the admin pages are, and what opens them.
#[derive(Clone)]
pub struct AdminListener {
    /// Its address.
    pub address: SocketAddr,
    /// Required, except for health, when present.
    pub token: Option<Box<[u8]>>,
    /// Where the template names it.
    pub place: Place,
}

impl std::fmt::Debug for AdminListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is a secret.
        f.debug_struct("AdminListener").field("address", &self.address).finish_non_exhaustive()
    }
}

// === impl Gateway ===

impl Gateway {
    fn authenticators(&self, route: RouteId) -> &Arc<[Arc<Authenticator>]> {
        &self.authenticators[route.index()]
    }

    /// Forgets the series of what this one does not have.
    pub fn retain_series(&self) {
        let routes: HashSet<&str> = self.plan.routes.iter().map(|route| &*route.name).collect();
        let services: HashSet<&str> = self.upstreams.iter().map(|one| &*one.name).collect();
        let methods = self.plan.routes.iter().flat_map(|route| &route.policies.authenticate);
        let issuers = methods.flat_map(|settings| &settings.methods).flat_map(|method| match method {
            authenticate::Method::Jwt(jwt) => &jwt.issuers[..],
            authenticate::Method::ApiKey(_) | authenticate::Method::Mtls(_) => &[],
        });
        let issuers: HashSet<&str> = issuers.map(|issuer| &*issuer.issuer).collect();
        self.instruments.retain_routes(|name| routes.contains(name));
        self.instruments.retain_services(|name| services.contains(name));
        self.instruments.retain_issuers(|name| issuers.contains(name));
    }

    /// Resolves what the plan leaves open. An upstream that `previous` has in the same form is kept,
    /// with its connections and load. Every missing secret or address is a finding.
    pub fn build(
        plan: impl Into<Arc<Plan>>,
        generation: u64,
        previous: Option<&Self>,
        around: &Surroundings,
    ) -> Result<Self, Diagnostics> {
        let plan = plan.into();
        let mut findings = Diagnostics::default();
        let sources = &*around.sources;
        let mut listeners = Vec::new();
        for Listener { name, address, place, .. } in &plan.gateway.listeners {
            if let Some(address) = resolve(address, sources, place, &mut findings) {
                listeners.push((name.clone(), address, place.clone()));
            }
        }
        let mut admin = None;
        if let Some((address, token, place)) = &plan.gateway.admin {
            let address = resolve(address, sources, place, &mut findings);
            let token = token.as_ref().map(|token| secret(token, sources, place, &mut findings));
            if let (Some(address), None | Some(Some(_))) = (address, &token) {
                if token.is_none() && !address.ip().is_loopback() {
                    findings.push(
                        Diagnostic::new(
                            Code::InvalidValue,
                            place.clone(),
                            "`admin` off loopback needs a token",
                        )
                        .help("add `token: {env: SEGUE_ADMIN_TOKEN}`"),
                    );
                }
                admin = Some(AdminListener { address, token: token.flatten(), place: place.clone() });
            }
        }
        let mut upstreams = Vec::with_capacity(plan.services.len());
        for service in &plan.services {
            match Upstream::build(service, sources, &around.network) {
                Ok(fresh) => {
                    let named = |old: &&Arc<Upstream>| old.name == fresh.name;
                    let before = previous.and_then(|gateway| gateway.upstreams.iter().find(named));
                    upstreams.push(match before {
                        Some(before) if before.same(&fresh) => Arc::clone(before),
                        Some(before) => Arc::new(fresh.after(before)),
                        None => Arc::new(fresh),
                    });
                }
                Err(wrong) => wrong.into_iter().for_each(|finding| findings.push(finding)),
            }
        }
        let telemetry = outlook::settings(&plan.gateway.telemetry, sources, &mut findings);
        let authenticators = authenticators(&plan, around, &mut findings);
        if findings.has_errors() {
            findings.finish();
            return Err(findings);
        }
        let sampling = telemetry.otlp.as_ref().map(|_| {
            let own = |route: &plan::Route| route.policies.tracing.as_ref()?.sample;
            let of = |route| Sampler::new(own(route).unwrap_or(telemetry.sample));
            (Sampler::new(telemetry.sample), plan.routes.iter().map(of).collect())
        });
        let routes = words::instruments(&plan, generation, &upstreams, &around.instruments);
        let router = Router::new(&plan.routes);
        let policies = plan.routes.iter().map(|route| &*route.policies);
        let counters = Counters::new(policies, previous.map(|gateway| &gateway.counters));
        Ok(Self {
            generation,
            upstreams: upstreams.into(),
            listeners,
            admin,
            telemetry,
            sampling,
            authenticators,
            router,
            counters,
            routes,
            instruments: Arc::clone(&around.instruments),
            plan,
        })
    }
}

/// Prepares each policy once, however many routes have it.
fn authenticators(
    plan: &Plan,
    around: &Surroundings,
    findings: &mut Diagnostics,
) -> Box<[Arc<[Arc<Authenticator>]>]> {
    let consumers = around.keys.consumers(&plan.consumers);
    let mut prepared: HashMap<*const Settings, Arc<Authenticator>> = HashMap::new();
    let mut wrong = Vec::new();
    let routes = plan.routes.iter().map(|route| {
        let policies = route.policies.authenticate.iter();
        let policies = policies.map(|settings| {
            let known = prepared.entry(Arc::as_ptr(settings)).or_insert_with(|| {
                Arc::new(around.keys.authenticator(settings, &consumers, &*around.sources, &mut wrong))
            });
            Arc::clone(known)
        });
        policies.collect()
    });
    let routes = routes.collect();
    wrong.into_iter().for_each(|finding| findings.push(finding));
    routes
}

fn resolve(
    address: &AddressTemplate,
    sources: &dyn Sources,
    place: &Place,
    findings: &mut Diagnostics,
) -> Option<SocketAddr> {
    let (name, default) = match address {
        AddressTemplate::Socket(address) => return Some(*address),
        AddressTemplate::Env { name, default } => (name, default),
    };
    let Some(text) = sources.variable(name) else {
        if default.is_none() {
            let message = format!("the environment variable `{name}` is not set");
            findings.push(
                Diagnostic::new(Code::MissingSecret, place.clone(), message)
                    .help(format!("set `{name}` or give a `default`")),
            );
        }
        return *default;
    };
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let message = format!("the environment variable `{name}` is not an address such as 127.0.0.1:8080");
        findings.push(Diagnostic::new(Code::InvalidUrl, place.clone(), message));
    }
    parsed
}

fn secret(
    token: &SecretTemplate,
    sources: &dyn Sources,
    place: &Place,
    findings: &mut Diagnostics,
) -> Option<Box<[u8]>> {
    upstream::secret::read(token, "admin.token", place, sources)
        .map_err(|finding| findings.push(finding))
        .ok()
        .map(|secret| secret.into_bytes().into())
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}
