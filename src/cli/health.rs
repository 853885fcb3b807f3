//! `health`: asks the admin listener of this configuration, for images that have no other client.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use super::{Outcome, check, request};
use crate::{config::gateway::AddressTemplate, plan::Plan};

/// Runs the command.
pub(super) fn run(root: &Path, err: &mut dyn Write) -> io::Result<Outcome> {
    let Some(address) = check::load(root).plan.as_ref().and_then(admin) else {
        writeln!(err, "error: no admin address in {}", root.display())?;
        return Ok(Outcome::Findings);
    };
    match request::get(address, "/healthz", Duration::from_secs(2)) {
        Ok(answer) if answer.status.is_success() => Ok(Outcome::Fine),
        Ok(answer) => {
            writeln!(err, "unhealthy: {address} answered {}", answer.status)?;
            Ok(Outcome::Findings)
        }
        Err(error) => {
            writeln!(err, "unhealthy: {address}: {error}")?;
            Ok(Outcome::Findings)
        }
    }
}

/// Where the admin listener can be reached from this machine.
fn admin(plan: &Plan) -> Option<SocketAddr> {
    let mut address = match &plan.gateway.admin.as_ref()?.0 {
        AddressTemplate::Socket(address) => *address,
        AddressTemplate::Env { name, default } => {
            std::env::var(name).ok().and_then(|text| text.parse().ok()).or(*default)?
        }
    };
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    Some(address)
}
