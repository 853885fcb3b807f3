//! `/metrics`: the registry, after the upstreams' own counters were copied into it.

use crate::{server::Shared, telemetry::UpstreamCount};

pub(super) fn page(shared: &Shared) -> String {
    let gateway = shared.gateway.load();
    for upstream in &*gateway.upstreams {
        let counts = upstream.counts();
        let counts = [
            (UpstreamCount::Calls, counts.calls),
            (UpstreamCount::Connects, counts.connects),
            (UpstreamCount::Reuses, counts.reuses),
            (UpstreamCount::Resends, counts.resends),
            (UpstreamCount::Failures, counts.failures),
        ];
        shared.instruments.upstream(&upstream.name, upstream.calls_in_flight(), &counts);
    }
    shared.instruments.process();
    shared.instruments.render()
}
