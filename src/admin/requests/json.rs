//! For programs.

use serde_json::{Value, json};

use super::waterfall::{Bar, Waterfall, What, waterfall};
use crate::telemetry::{
    Finished, RequestError,
    access_log::rfc3339,
    keep::{Keep, KeptRoute},
};

/// Every route with its slowest and its failed requests.
pub(in crate::admin) fn json(keep: &Keep) -> Value {
    let route = |kept: KeptRoute| {
        json!({
            "route": &*kept.name,
            "slowest": kept.slowest.iter().map(|one| request(one)).collect::<Vec<_>>(),
            "left": kept.left.iter().map(|one| request(one)).collect::<Vec<_>>(),
            "failed": kept.failed.iter().map(|one| request(one)).collect::<Vec<_>>(),
        })
    };
    json!({ "routes": keep.all().into_iter().map(route).collect::<Vec<_>>() })
}

fn request(request: &Finished) -> Value {
    let record = &request.record;
    let Waterfall { bars, omitted, gateway_us } = waterfall(request);
    json!({
        "id": &*request.id,
        "traceId": format!("{:032x}", request.trace.id),
        "time": time(request),
        "method": request.method.as_str(),
        "path": &*request.path,
        "status": record.status.map(|status| status.as_u16()),
        "outcome": request.outcome.as_str(),
        "code": request.code().as_ref().map(RequestError::as_text),
        "principal": request.principal,
        "generation": record.route.as_ref().map(|route| route.generation.number),
        "answeredMs": Some(record.answered_us).filter(|us| *us > 0).map(millis),
        "durationMs": millis(request.us),
        "gatewayMs": millis(gateway_us),
        "degraded": record.degraded,
        "bars": bars.iter().map(bar).collect::<Vec<_>>(),
        "omitted": omitted,
    })
}

fn bar(bar: &Bar) -> Value {
    let (kind, wave) = match bar.what {
        What::Step { wave } => ("step", Some(wave)),
        What::Attempt => ("attempt", None),
    };
    json!({
        "kind": kind,
        "wave": wave,
        "name": bar.name,
        "depth": bar.depth,
        "startMs": millis(bar.start_us),
        "headMs": bar.head_us.map(millis),
        "endMs": millis(bar.end_us),
        "outcome": bar.outcome,
        "code": bar.code,
        "critical": bar.critical,
        "notes": bar.notes,
    })
}

/// When it began.
pub(super) fn time(request: &Finished) -> String {
    let mut text = [0; 24];
    rfc3339(request.started, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn millis(us: u64) -> f64 {
    us as f64 / 1000.0
}
