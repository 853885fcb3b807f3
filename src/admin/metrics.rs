//! `/metrics`: the registry, after what others count was copied into it.

use serde_json::Value;

use super::{Admin, status};
use crate::telemetry::{UpstreamCount, UpstreamState};

pub(super) fn page(admin: &Admin) -> String {
    refresh(admin);
    admin.shared.instruments.render()
}

/// Copies what is counted elsewhere. To be called before the registry is read.
pub(super) fn refresh(admin: &Admin) {
    let instruments = &admin.shared.instruments;
    let gateway = admin.shared.gateway.load();
    for upstream in &*gateway.upstreams {
        let (standing, counts) = (upstream.standing(), upstream.counts());
        let state = UpstreamState {
            in_flight: standing.in_flight,
            idle: counts.idle,
            shared: counts.shared,
            usable: standing.endpoints - standing.avoided,
            avoided: standing.avoided,
            retries_left: standing.retries_left,
        };
        let counts = [
            (UpstreamCount::Calls, counts.calls),
            (UpstreamCount::Connects, counts.connects),
            (UpstreamCount::Reuses, counts.reuses),
            (UpstreamCount::Resends, counts.resends),
            (UpstreamCount::Failures, counts.failures),
            (UpstreamCount::Unretried, standing.retries_refused),
            (UpstreamCount::Shed, counts.full),
        ];
        instruments.upstream(&upstream.name, state, &counts);
    }
    let clients = admin.shared.clients();
    instruments.clients(clients.most(), clients.refused(), admin.shared.memory.waits());
    let status = status::page(&admin.reloader.state());
    let units = status["units"].as_object().into_iter().flatten();
    let states = units.filter_map(|(unit, value)| Some((unit.as_str(), Value::as_str(&value["state"])?)));
    instruments.units(states);
    instruments.process();
}
