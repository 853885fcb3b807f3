//! `/metrics`: the registry, after what others count was copied into it.

use serde_json::Value;

use super::{Admin, status};
use crate::telemetry::UpstreamCount;

pub(super) fn page(admin: &Admin) -> String {
    refresh(admin);
    admin.shared.instruments.render()
}

/// Copies what is counted elsewhere. To be called before the registry is read.
pub(super) fn refresh(admin: &Admin) {
    let instruments = &admin.shared.instruments;
    let gateway = admin.shared.gateway.load();
    for upstream in &*gateway.upstreams {
        let counts = upstream.counts();
        let counts = [
            (UpstreamCount::Calls, counts.calls),
            (UpstreamCount::Connects, counts.connects),
            (UpstreamCount::Reuses, counts.reuses),
            (UpstreamCount::Resends, counts.resends),
            (UpstreamCount::Failures, counts.failures),
        ];
        instruments.upstream(&upstream.name, upstream.calls_in_flight(), &counts);
    }
    let status = status::page(&admin.reloader.state());
    let units = status["units"].as_object().into_iter().flatten();
    let states = units.filter_map(|(unit, value)| Some((unit.as_str(), Value::as_str(&value["state"])?)));
    instruments.units(states);
    instruments.process();
}
