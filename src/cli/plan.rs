//! `plan UNIT/ROUTE`: what a route runs in which order, and what a request to it can cost.

mod dot;
mod json;
mod text;

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::{
    Outcome,
    arguments::{Format, Plan as Options},
    check,
    routes::composition,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Severity, nearest, render},
    id::CompositionId,
    plan::{
        Action, Callable, Composition, PathPart, Plan, Route, Step,
        estimate::{Cost, Estimates, Outline},
        typed::Share,
    },
};

/// Runs the command.
pub(super) fn run(
    root: &Path,
    format: Format,
    options: &Options,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let (tree, partial) = check::load_what_works(root);
    let unit = options.route.split('/').next().unwrap_or_default();
    let Some(plan) = partial.plan.as_ref().filter(|_| !partial.left_out.contains_key(unit)) else {
        check::left_out(&partial, err)?;
        let loaded = check::Loaded { tree, plan: None, findings: partial.findings };
        loaded.report(format, out, err)?;
        return Ok(Outcome::Findings);
    };
    check::left_out(&partial, err)?;
    let Some(route) = plan.routes.iter().find(|route| *route.name == *options.route) else {
        writeln!(err, "error: no route `{}`", options.route)?;
        match nearest(&options.route, plan.routes.iter().map(|route| &*route.name)) {
            Some(near) => writeln!(err, "  help: did you mean `{near}`?")?,
            None => writeln!(err, "  help: `segue routes` lists them")?,
        }
        return Ok(Outcome::Usage);
    };
    let mut findings = Diagnostics::default();
    let of_route =
        |finding: &&Diagnostic| finding.place == route.place && finding.severity == Severity::Error;
    partial.findings.items().iter().filter(of_route).cloned().for_each(|finding| findings.push(finding));
    let sheet = Sheet::new(plan, route);
    let shown = || render::text(&findings, &|path| tree.text(path));
    match (options.dot, format) {
        (true, _) => {
            dot::write(&sheet, out)?;
            err.write_all(shown().as_bytes())?;
        }
        (false, Format::Json) => json::write(&sheet, &findings, out)?,
        (false, Format::Text | Format::Github | Format::Junit) => {
            text::write(&sheet, out)?;
            if findings.has_errors() {
                write!(out, "\n{}", shown())?;
            }
        }
    }
    Ok(if findings.has_errors() { Outcome::Findings } else { Outcome::Fine })
}

/// A route's estimate with all that the three forms show of it.
struct Sheet<'p> {
    plan: &'p Plan,
    route: &'p Route,
    steps: &'p [Step],
    outline: Outline,
    cost: Cost,
    typed: Share,
    /// Compositions that it runs, each once, callers before callees.
    nested: Vec<(&'p Callable, Arc<Outline>)>,
}

impl<'p> Sheet<'p> {
    fn new(plan: &'p Plan, route: &'p Route) -> Self {
        let estimates = Estimates::of(plan);
        let outline = estimates.steps(route);
        let mut found: Vec<CompositionId> = Vec::new();
        let mut next = ids(&outline);
        while let Some(id) = next.pop() {
            if !found.contains(&id) {
                found.push(id);
                next.extend(ids(&estimates.composition(id)));
            }
        }
        Self {
            plan,
            route,
            steps: composition(&route.endpoint).map_or(&[], |composition: &Composition| &composition.steps),
            cost: estimates.route(route),
            typed: Share::of(route),
            nested: found
                .into_iter()
                .map(|id| (&plan.compositions[id.index()], estimates.composition(id)))
                .collect(),
            outline,
        }
    }

    /// What a step does, in one line.
    fn action(&self, step: &Step) -> String {
        match &step.action {
            Action::Call(call) => {
                let service = &self.plan.services[call.service.index()].name;
                format!("{} {service}{}", call.method, path(&call.path))
            }
            Action::Compose(nested) => {
                format!("compose {}", self.plan.compositions[nested.composition.index()].name)
            }
        }
    }

    /// How often a request can reach origins, resends included.
    fn on_the_wire(&self) -> u64 {
        self.cost.on_the_wire(self.route.spare)
    }

    /// The worst time of a request: all of it, or what the route's timeout leaves.
    fn worst(&self) -> Duration {
        self.cost.time.min(self.route.timeout)
    }
}

/// The Compositions that steps run, the last first.
fn ids(outline: &Outline) -> Vec<CompositionId> {
    outline.steps.iter().rev().filter_map(|step| step.composition).collect()
}

fn path(parts: &[PathPart]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            PathPart::Literal(literal) => text.push_str(literal),
            PathPart::Segment(program) | PathPart::Rest(program) => {
                text.push_str(&format!("${{ {} }}", program.source().trim()));
            }
        }
    }
    text
}

/// A duration as templates write them: `900ms`, `2s`, `1.5s`, `5m`.
fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0..1000 => format!("{millis}ms"),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{}s", (millis as f64) / 1000.0),
    }
}

#[cfg(test)]
mod tests;
