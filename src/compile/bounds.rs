//! What one request could cost, against what the Gateway allows. Judged on a plan that has no error,
//! because only then it is known what everything calls.

use super::findings::Findings;
use crate::{
    diagnostic::Code,
    plan::{Endpoint, Plan, Route, estimate::Estimates},
};

/// Reports every route that could make more calls than `limits.maxCalls`, and notes what that leaves for calls
/// that are sent again.
pub(super) fn check(plan: &mut Plan, findings: &mut Findings) {
    let Plan { gateway, services, compositions, routes, .. } = plan;
    let estimates = Estimates::new(services, compositions);
    let most = u64::from(gateway.limits.max_calls);
    for route in routes {
        let cost = estimates.route(route);
        let calls = cost.calls;
        route.spare = (cost.on_the_wire(None) > most)
            .then(|| u32::try_from(most.saturating_sub(calls)).unwrap_or(u32::MAX));
        if calls > most {
            findings.next_document();
            findings.advise(
                Code::TooManyCalls,
                &route.place,
                format!("a request could make {calls} upstream calls, and `limits.maxCalls` is {most}"),
                help(&estimates, route),
            );
        }
    }
}

/// Names the step that calls most.
fn help(estimates: &Estimates<'_>, route: &Route) -> String {
    let outline = estimates.steps(route);
    let steps = match &route.endpoint {
        Endpoint::Compose { composition, .. } => &*composition.steps,
        Endpoint::Proxy { composition, .. } => composition.as_ref().map_or(&[][..], |all| &all.steps),
        Endpoint::Static(_) => &[],
    };
    let most = steps.iter().zip(&outline.steps).max_by_key(|(_, cost)| cost.cost.calls);
    let Some((step, cost)) = most else { return "see `segue plan`".to_owned() };
    let why = match cost.items {
        Some(items) => format!("{} items of its `forEach`", items),
        None => "all that it runs".to_owned(),
    };
    format!(
        "`{}` alone could make {}, with {why}; a lower `max` lowers it, and `segue plan {}` shows all",
        step.name, cost.cost.calls, route.name
    )
}
