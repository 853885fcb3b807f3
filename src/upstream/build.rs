//! From a plan's Service to an [`Upstream`]: addresses, secrets and certificates are read here, once.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32},
    },
};

use http::{HeaderName, HeaderValue};

use super::{Budget, Network, Upstream, endpoint::Endpoint, pool, secret, secret::Sources, tls};
use crate::{
    config::service::UrlTemplate,
    diagnostic::{Code, Diagnostic},
    plan::Service,
};

impl Upstream {
    /// Builds a service's upstream. Everything that is missing or wrong is found, each with the place
    /// in the template that named it.
    pub fn build(
        service: &Service,
        sources: &dyn Sources,
        network: &Arc<Network>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut findings = Vec::new();
        // Two builds of one process are compared, so the hasher needs no secret key of its own.
        let mut hash = DefaultHasher::new();
        let mut endpoints = endpoints(service, sources, &mut hash, &mut findings);
        endpoints.sort_by_key(|endpoint| endpoint.priority);
        let headers = headers(service, sources, &mut hash, &mut findings);
        let loaded = endpoints
            .iter()
            .any(|endpoint| endpoint.secure)
            .then(|| tls::Settings::load(&service.tls, service.protocol, &service.place, sources, &mut hash));
        let tls = loaded.and_then(|loaded| loaded.map_err(|found| findings.extend(found)).ok());
        (service.protocol, service.timeout, service.connect_timeout).hash(&mut hash);
        (service.in_flight, service.idle_per_endpoint, service.max_age).hash(&mut hash);
        (service.asset as u8, service.balance as u8).hash(&mut hash);
        if !findings.is_empty() {
            return Err(findings);
        }
        Ok(Self {
            name: Arc::clone(&service.name),
            asset: service.asset,
            timeout: service.timeout,
            seat: pool::Seat::take(),
            fingerprint: hash.finish(),
            prefixed: endpoints.iter().any(|endpoint| endpoint.prefix.is_some()),
            endpoints: endpoints.into(),
            protocol: service.protocol,
            balance: service.balance,
            turn: AtomicU32::new(0),
            connect_timeout: service.connect_timeout,
            in_flight: service.in_flight,
            idle_per_endpoint: service.idle_per_endpoint as usize,
            max_age: u32::try_from(service.max_age.as_secs().max(1)).unwrap_or(u32::MAX),
            tls,
            headers,
            network: Arc::clone(network),
            retries: Budget::new(),
            retired: AtomicBool::new(false),
            counters: Arc::default(),
            before: Vec::new(),
        })
    }
}

fn endpoints(
    service: &Service,
    sources: &dyn Sources,
    hash: &mut DefaultHasher,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Endpoint> {
    let mut endpoints = Vec::with_capacity(service.endpoints.len());
    for (url, weight, priority, place) in &service.endpoints {
        let text = match secret::url(url, place, sources) {
            Ok(text) => text,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        if !is_granted(service, url, &text) {
            let message = format!("`url` is `{text}`, whose host is not granted to the Service's unit");
            let help = "IT can grant it in the Unit: grants: {egress: [HOST]}";
            findings.push(Diagnostic::new(Code::NotGranted, place.clone(), message).help(help));
            continue;
        }
        (&text, weight, priority).hash(hash);
        match Endpoint::parse(&text, *weight, *priority) {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(why) => {
                let message = format!("`url` is `{text}`, which is not valid: {why}");
                findings.push(Diagnostic::new(Code::InvalidUrl, place.clone(), message));
            }
        }
    }
    if service.endpoints.is_empty() {
        let message = "`endpoints` is empty";
        findings.push(Diagnostic::new(Code::MissingKey, service.place.clone(), message));
    }
    endpoints
}

/// Whether the unit may reach the host of a URL. One written in the template was judged at load.
fn is_granted(service: &Service, url: &UrlTemplate, text: &str) -> bool {
    let (Some(granted), UrlTemplate::Env { .. }) = (&service.egress, url) else { return true };
    let Ok(uri) = text.parse::<http::Uri>() else { return true };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    granted.iter().any(|grant| grant.covers(host))
}

fn headers(
    service: &Service,
    sources: &dyn Sources,
    hash: &mut DefaultHasher,
    findings: &mut Vec<Diagnostic>,
) -> Box<[(HeaderName, HeaderValue)]> {
    let mut headers = Vec::with_capacity(service.headers.len());
    for (name, source, place) in &service.headers {
        let (text, sensitive) = match secret::header(source, name.as_str(), place, sources) {
            Ok(value) => value,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        (name.as_str(), &text).hash(hash);
        match HeaderValue::from_str(&text) {
            Ok(mut value) => {
                value.set_sensitive(sensitive);
                headers.push((name.clone(), value));
            }
            // The text stays out of the message: it may be a secret.
            Err(_) => findings.push(Diagnostic::new(
                Code::InvalidValue,
                place.clone(),
                format!("`headers.{name}` has a character that a header value may not have"),
            )),
        }
    }
    headers.into()
}
