//! The plan for people.

use std::io::{self, Write};

use super::{Sheet, duration};
use crate::{
    cli::output::{self, count},
    plan::{Endpoint, Step, estimate::Outline},
};

const MIB: u64 = 1024 * 1024;

pub(super) fn write(sheet: &Sheet<'_>, out: &mut dyn Write) -> io::Result<()> {
    let route = sheet.route;
    writeln!(out, "{}  {}:{}", route.name, route.place.file, route.place.line)?;
    steps(sheet, sheet.steps, &sheet.outline, out)?;
    if let Endpoint::Proxy { proxy, .. } = &route.endpoint {
        let after = if sheet.steps.is_empty() { "" } else { ", after all steps" };
        writeln!(out, "\nproxy to {}{after}", sheet.plan.services[proxy.service.index()].name)?;
    }
    for (callable, outline) in &sheet.nested {
        writeln!(out, "\ncomposition {}  {}:{}", callable.name, callable.place.file, callable.place.line)?;
        steps(sheet, &callable.composition.steps, outline, out)?;
    }
    writeln!(out)?;
    let mut critical = Vec::new();
    for &index in &sheet.outline.critical {
        critical.push(format!(
            "{} {}",
            sheet.steps[index].name,
            duration(sheet.outline.steps[index].cost.time)
        ));
    }
    if !critical.is_empty() {
        writeln!(out, "critical path   {}", critical.join(" → "))?;
    }
    let (time, timeout) = (sheet.cost.time, route.timeout);
    if time > timeout {
        let all = duration(time);
        writeln!(
            out,
            "worst time      {}: the route's timeout ends what could take {all}",
            duration(timeout)
        )?;
    } else {
        writeln!(out, "worst time      {} of the route's {}", duration(time), duration(timeout))?;
    }
    let most = sheet.plan.gateway.limits.max_calls;
    writeln!(out, "upstream calls  at most {} of {most}", sheet.cost.calls)?;
    let again = sheet.on_the_wire() - sheet.cost.calls;
    if again > 0 {
        let whole = sheet.on_the_wire();
        writeln!(out, "on the wire     at most {whole}: {again} could be sent again on a new connection")?;
    }
    writeln!(out, "held in memory  at most {} MiB of bodies", sheet.cost.bytes / MIB)?;
    let typed = sheet.typed;
    writeln!(
        out,
        "typed           {} % ({} of {})",
        typed.percent(),
        typed.known,
        count(typed.all, "expression")
    )
}

fn steps(sheet: &Sheet<'_>, steps: &[Step], outline: &Outline, out: &mut dyn Write) -> io::Result<()> {
    if steps.is_empty() {
        return writeln!(out, "\nno steps");
    }
    let head = ["WAVE", "STEP", "DOES", "AFTER", "ITEMS", "ATTEMPTS", "CALLS", "WORST", ""];
    let mut rows = vec![head.map(str::to_owned)];
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|&index| steps[index].wave);
    for index in order {
        let (step, cost) = (&steps[index], &outline.steps[index]);
        let needs: Vec<&str> = step.needs.iter().map(|need| &*steps[need.index()].name).collect();
        let items =
            step.for_each.as_ref().map(|each| format!("{}, {} at a time", each.max, each.concurrency));
        let words = [
            step.when.as_ref().map(|_| "when"),
            step.tolerance.word(),
            (!step.safe).then_some("unsafe"),
            outline.critical.contains(&index).then_some("critical"),
        ];
        rows.push([
            (step.wave + 1).to_string(),
            step.name.to_string(),
            sheet.action(step),
            if needs.is_empty() { "-".to_owned() } else { needs.join(", ") },
            items.unwrap_or_else(|| "-".to_owned()),
            if cost.composition.is_some() { "-".to_owned() } else { cost.attempts.to_string() },
            cost.cost.calls.to_string(),
            duration(cost.cost.time),
            words.into_iter().flatten().collect::<Vec<_>>().join(", "),
        ]);
    }
    writeln!(out)?;
    output::table(out, &rows)
}
