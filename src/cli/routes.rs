//! `routes`: what the gateway would serve, as a table or as JSON.

use std::{
    io::{self, Write},
    path::Path,
};

use serde_json::json;

use super::{Outcome, arguments::Format, check, output};
use crate::plan::{Composition, Endpoint, Plan, Route};

/// Runs the command.
pub(super) fn run(
    root: &Path,
    format: Format,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let loaded = check::load(root);
    let Some(plan) = &loaded.plan else {
        loaded.report(format, out, err)?;
        return Ok(Outcome::Findings);
    };
    match format {
        Format::Json => print_json(plan, out)?,
        Format::Text | Format::Github | Format::Junit => print_table(plan, out)?,
    }
    Ok(Outcome::Fine)
}

fn print_table(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let head = ["METHOD", "HOST", "PATH", "ROUTE", "KIND", "STEPS", "OWNER", "VERSION"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(in_order(plan).into_iter().map(|route| {
        [
            or_star(route.matching.methods.iter().map(http::Method::as_str)),
            or_star(route.matching.hosts.iter().map(String::as_str)),
            route.matching.path.text.clone(),
            route.name.to_string(),
            kind(&route.endpoint).to_owned(),
            steps(&route.endpoint).to_string(),
            route.owner.to_string(),
            route.version.as_deref().unwrap_or("-").to_owned(),
        ]
    }));
    output::table(out, &rows)
}

fn print_json(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let routes: Vec<_> = in_order(plan)
        .into_iter()
        .map(|route| {
            json!({
                "methods": route.matching.methods.iter().map(http::Method::as_str).collect::<Vec<_>>(),
                "hosts": route.matching.hosts,
                "path": route.matching.path.text,
                "route": &*route.name,
                "kind": kind(&route.endpoint),
                "steps": steps(&route.endpoint),
                "owner": &*route.owner,
                "version": route.version.as_deref(),
                "file": &*route.place.file,
                "line": route.place.line,
            })
        })
        .collect();
    writeln!(out, "{:#}", serde_json::Value::from(routes))
}

/// Routes by path, as a reader looks for them.
fn in_order(plan: &Plan) -> Vec<&Route> {
    let mut routes: Vec<&Route> = plan.routes.iter().collect();
    routes.sort_by(|a, b| (&a.matching.path.text, &a.name).cmp(&(&b.matching.path.text, &b.name)));
    routes
}

fn or_star<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    if words.is_empty() { "*".to_owned() } else { words.join(",") }
}

const fn kind(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Compose { .. } => "compose",
        Endpoint::Proxy { composition: None, .. } => "proxy",
        Endpoint::Proxy { composition: Some(_), .. } => "steps+proxy",
        Endpoint::Static(_) => "static",
    }
}

/// The steps of an endpoint, if it has any.
pub(super) fn composition(endpoint: &Endpoint) -> Option<&Composition> {
    match endpoint {
        Endpoint::Compose { composition, .. } => Some(composition),
        Endpoint::Proxy { composition, .. } => composition.as_deref(),
        Endpoint::Static(_) => None,
    }
}

fn steps(endpoint: &Endpoint) -> usize {
    composition(endpoint).map_or(0, |composition| composition.steps.len())
}
