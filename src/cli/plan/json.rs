//! The plan for programs. Times are in milliseconds.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Sheet;
use crate::{
    diagnostic::{Diagnostics, render},
    plan::{
        Endpoint, Step,
        estimate::{Cost, Outline},
    },
};

pub(super) fn write(sheet: &Sheet<'_>, findings: &Diagnostics, out: &mut dyn Write) -> io::Result<()> {
    let route = sheet.route;
    let proxy = match &route.endpoint {
        Endpoint::Proxy { proxy, .. } => Some(&*sheet.plan.services[proxy.service.index()].name),
        Endpoint::Compose { .. } | Endpoint::Static(_) => None,
    };
    let nested = sheet.nested.iter().map(|(callable, outline)| {
        json!({
            "composition": &*callable.name,
            "file": &*callable.place.file,
            "line": callable.place.line,
            "steps": steps(sheet, &callable.composition.steps, outline),
            "criticalPath": critical(&callable.composition.steps, outline),
            "worst": cost(outline.cost),
        })
    });
    let document = json!({
        "route": &*route.name,
        "file": &*route.place.file,
        "line": route.place.line,
        "timeoutMs": millis(route.timeout),
        "steps": steps(sheet, sheet.steps, &sheet.outline),
        "proxy": proxy,
        "compositions": nested.collect::<Vec<_>>(),
        "criticalPath": critical(sheet.steps, &sheet.outline),
        "worst": cost(sheet.cost),
        "worstTimeMs": millis(sheet.worst()),
        "onTheWire": sheet.on_the_wire(),
        "maxCalls": sheet.plan.gateway.limits.max_calls,
        "findings": findings.items().iter().map(render::value).collect::<Vec<_>>(),
        "typed": {"known": sheet.typed.known, "expressions": sheet.typed.all, "percent": sheet.typed.percent()},
    });
    writeln!(out, "{document:#}")
}

fn steps(sheet: &Sheet<'_>, steps: &[Step], outline: &Outline) -> Vec<Value> {
    let one = |(step, costs): (&Step, &crate::plan::estimate::StepCost)| {
        let composition = costs.composition.map(|id| &*sheet.plan.compositions[id.index()].name);
        json!({
            "name": &*step.name,
            "wave": step.wave + 1,
            "after": step.needs.iter().map(|need| &*steps[need.index()].name).collect::<Vec<_>>(),
            "does": sheet.action(step),
            "composition": composition,
            "safe": step.safe,
            "when": step.when.is_some(),
            "tolerance": step.tolerance.word(),
            "maxItems": costs.items,
            "concurrency": step.for_each.as_ref().map(|each| each.concurrency),
            "attempts": costs.attempts,
            "attemptMs": millis(costs.attempt),
            "worst": cost(costs.cost),
        })
    };
    steps.iter().zip(&outline.steps).map(one).collect()
}

fn critical<'s>(steps: &'s [Step], outline: &Outline) -> Vec<&'s str> {
    outline.critical.iter().map(|&index| &*steps[index].name).collect()
}

fn cost(cost: Cost) -> Value {
    json!({"calls": cost.calls, "timeMs": millis(cost.time), "bytes": cost.bytes})
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
