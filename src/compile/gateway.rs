//! The Gateway document: listeners that can be told apart, an admin that is not open.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::findings::Findings;
use crate::{
    config::{
        Spanned,
        gateway::{AddressTemplate, GatewayTemplate},
        service::UrlTemplate,
        telemetry::COLLECTOR,
    },
    diagnostic::{Code, Diagnostic},
    headers::Network,
    plan::{Listener, Settings},
};

/// The settings of the one Gateway. That there is exactly one is the front end's finding.
pub(super) fn compile(templates: &[GatewayTemplate], findings: &mut Findings) -> Option<Settings> {
    let mut all = templates.iter().map(|template| settings(template, findings));
    let first = all.next()?;
    all.for_each(drop);
    first
}

fn settings(template: &GatewayTemplate, findings: &mut Findings) -> Option<Settings> {
    findings.next_document();
    let listeners = listeners(template, findings);
    collector(template, findings);
    let admin = admin(template, findings);
    let networks: Vec<_> = template
        .trusted_proxies
        .iter()
        .map(|text| {
            let network = Network::parse(text);
            if network.is_none() {
                let message = format!("`{}` is no network", text.value);
                let help = "write `10.0.0.0/8`, `2001:db8::/32` or one address";
                findings.advise(Code::InvalidValue, &text.place, message, help);
            }
            network
        })
        .collect();
    Some(Settings {
        listeners: listeners.then(|| {
            let all = template.listeners.iter().map(|one| Listener {
                name: one.name.value.clone(),
                address: one.address.value.clone(),
                place: one.address.place.clone(),
                tls: one.tls.clone(),
            });
            all.collect()
        })?,
        admin: admin.then(|| {
            let admin = template.admin.as_ref()?;
            let token = admin.token.as_ref().map(|token| token.value.clone());
            Some((admin.address.value.clone(), token, admin.address.place.clone()))
        })?,
        trusted_proxies: networks.into_iter().collect::<Option<_>>()?,
        limits: template.limits.clone(),
        drain_delay: template.drain_delay,
        drain_timeout: template.drain_timeout,
        workers: template.workers,
        telemetry: template.telemetry.clone(),
    })
}

/// Whether names and addresses are each their own, the admin's address among them.
fn listeners(template: &GatewayTemplate, findings: &mut Findings) -> bool {
    let mut fine = true;
    for (index, listener) in template.listeners.iter().enumerate() {
        let name = &listener.name;
        if let Some(first) = template.listeners[..index].iter().find(|other| other.name.value == name.value) {
            let message = format!("a listener `{}` exists already", name.value);
            findings.push(
                Diagnostic::new(Code::DuplicateName, name.place.clone(), message)
                    .related(first.name.place.clone(), "the first is here"),
            );
            fine = false;
        }
    }
    let admin = template.admin.as_ref().map(|admin| &admin.address);
    let mut seen: Vec<(SocketAddr, &Spanned<AddressTemplate>)> = Vec::new();
    for address in template.listeners.iter().map(|listener| &listener.address).chain(admin) {
        let Some(socket) = known(address).filter(|socket| socket.port() != 0) else { continue };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == socket) {
            findings.push(
                Diagnostic::new(
                    Code::InvalidUrl,
                    address.place.clone(),
                    format!("`{socket}` is taken already"),
                )
                .related(first.place.clone(), "the first is here"),
            );
            fine = false;
        }
        seen.push((socket, address));
    }
    fine
}

/// Says that a collector which is the gateway itself is none: what it takes in would be told again.
fn collector(template: &GatewayTemplate, findings: &mut Findings) {
    let Some(endpoint) = template.telemetry.otlp.as_ref().map(|otlp| &otlp.endpoint) else { return };
    let UrlTemplate::Text(text) = &endpoint.value else { return };
    let Ok(uri) = text.parse::<http::Uri>() else { return };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let ip = if host == "localhost" { Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse() };
    let Ok(ip) = ip else { return };
    let port = uri.port_u16().unwrap_or_else(|| if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let own = |address: &Spanned<AddressTemplate>| {
        let socket = known(address).filter(|socket| socket.port() == port);
        socket.is_some_and(|socket| socket.ip() == ip || (socket.ip().is_unspecified() && ip.is_loopback()))
    };
    let listener = template.listeners.iter().find(|listener| own(&listener.address));
    let what = match listener {
        Some(listener) => format!("the listener `{}`", listener.name.value),
        None if template.admin.as_ref().is_some_and(|admin| own(&admin.address)) => "`admin`".to_owned(),
        None => return,
    };
    let message = format!("`{text}` is {what} of this gateway");
    findings.advise(Code::InvalidUrl, &endpoint.place, message, COLLECTOR);
}

/// Whether the admin is out of strangers' reach.
fn admin(template: &GatewayTemplate, findings: &mut Findings) -> bool {
    let Some(admin) = &template.admin else { return true };
    let open =
        known(&admin.address).is_some_and(|socket| !socket.ip().is_loopback()) && admin.token.is_none();
    if open {
        findings.advise(
            Code::MissingKey,
            &admin.address.place,
            "off loopback, admin needs a `token`",
            "write `token: {env: NAME}`, or listen on 127.0.0.1",
        );
    }
    !open
}

/// The address as far as it is known at load.
const fn known(address: &Spanned<AddressTemplate>) -> Option<SocketAddr> {
    match &address.value {
        AddressTemplate::Socket(socket) => Some(*socket),
        AddressTemplate::Env { default, .. } => *default,
    }
}
