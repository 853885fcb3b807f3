//! What telemetry is told of a plan: names, waves, services.

use std::sync::Arc;

use crate::{
    plan::{Action, Composition, Endpoint, Plan, Route},
    telemetry::{Does, Instruments, RouteInfo, RouteInstruments, StepInfo},
    upstream::Upstream,
};

/// The instruments of every route, in the order of their ids.
pub(super) fn instruments(
    plan: &Plan,
    generation: u64,
    upstreams: &[Arc<Upstream>],
    instruments: &Instruments,
) -> Box<[Arc<RouteInstruments>]> {
    let services = upstreams.iter().map(|upstream| (Arc::clone(&upstream.name), upstream.addresses()));
    let callables = plan.compositions.iter();
    let compositions = callables.map(|one| (Arc::clone(&one.name), steps(&one.composition)));
    let generation = instruments.generation(generation, services, compositions);
    plan.routes.iter().map(|one| instruments.route(route(one), &generation)).collect()
}

fn route(route: &Route) -> RouteInfo {
    let (composition, proxied) = match &route.endpoint {
        Endpoint::Compose { composition, .. } => (Some(composition), None),
        Endpoint::Proxy { composition, proxy, .. } => (composition.as_ref(), Some(proxy.service.0)),
        Endpoint::Static(_) => (None, None),
    };
    RouteInfo {
        unit: Arc::clone(&route.unit),
        name: Arc::clone(&route.name),
        owner: Arc::clone(&route.owner),
        version: route.version.clone(),
        path: route.matching.path.text.as_str().into(),
        steps: composition.map_or_else(Box::default, |composition| steps(composition)),
        proxied,
        plain: route.policies.compress.is_none(),
    }
}

fn steps(composition: &Composition) -> Box<[StepInfo]> {
    let step = |step: &crate::plan::Step| StepInfo {
        name: Arc::clone(&step.name),
        wave: step.wave,
        needs: step.needs.iter().filter_map(|need| u16::try_from(need.index()).ok()).collect(),
        does: match &step.action {
            Action::Call(call) => Does::Calls(call.service.0),
            Action::Compose(nested) => Does::Runs(nested.composition.0),
        },
    };
    composition.steps.iter().map(step).collect()
}
