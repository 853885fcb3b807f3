//! `explain UNIT/ROUTE`: its layers in order, every effective value, and where each is written.

use std::{
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};

use crate::{
    cli::{Outcome, arguments::Format, check, output},
    compile::explained::{Explained, Explanation, Line, Rank, explain},
    config::{Templates, Tree},
    diagnostic::{Diagnostics, Place},
};

/// Runs the command.
pub(super) fn run(
    root: &Path,
    format: Format,
    name: &str,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let loaded = check::load(root);
    let explanation = match explain(&loaded.tree, name) {
        Explained::Route(explanation) => explanation,
        Explained::Unknown(near) => {
            writeln!(err, "error: no route `{name}`")?;
            match near {
                Some(near) => writeln!(err, "  help: did you mean `{near}`?")?,
                None => writeln!(err, "  help: `segue routes` lists them")?,
            }
            return Ok(Outcome::Usage);
        }
    };
    match format {
        Format::Json => writeln!(out, "{:#}", document(&explanation))?,
        Format::Text | Format::Github | Format::Junit => text(&explanation, out)?,
    }
    if loaded.findings.has_errors() {
        writeln!(err, "the tree has errors, so it would not be served so: see `segue check`")?;
        return Ok(Outcome::Findings);
    }
    Ok(Outcome::Fine)
}

/// The routes of this name, of whatever unit.
pub(super) fn of_name(root: &Path, name: &str) -> Vec<String> {
    let tree = Tree::read(root, &mut Diagnostics::default());
    let templates = Templates::parse(&tree, &mut Diagnostics::default());
    let named = templates.routes.iter().map(|template| &template.metadata).filter(|it| it.name.value == name);
    named.map(|metadata| format!("{}/{name}", metadata.unit)).collect()
}

fn at(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}

fn text(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  {}", explanation.route, at(&explanation.place))?;
    let mut layers = vec![["LAYER", "POLICY", "WRITTEN", "BY", "THERE"].map(str::to_owned)];
    for rank in &explanation.layers {
        let by = rank.by.as_deref().unwrap_or_default();
        layers.push(match &rank.policy {
            Some(policy) => {
                [rank.mode.to_owned(), policy.to_string(), at(&rank.place), by.to_owned(), at(&rank.by_place)]
            }
            None => {
                let keys = "(keys of the route)".to_owned();
                [rank.mode.to_owned(), keys, at(&rank.place), by.to_owned(), at(&rank.by_place)]
            }
        });
    }
    writeln!(out)?;
    if explanation.layers.is_empty() {
        writeln!(out, "no Policy is bound to it, and it names none")?;
    } else {
        output::table(out, &layers)?;
    }
    let mut values = vec![["FIELD", "VALUE", "LAYER", "FROM"].map(str::to_owned)];
    for line in &explanation.values {
        let from = match &line.place {
            Some(place) => at(place),
            None if line.layer == "together" => "below".to_owned(),
            None => "built in".to_owned(),
        };
        values.push([line.field.clone(), line.value.clone(), source(line), from]);
        for (value, place) in &line.tightens {
            values.push([String::new(), format!("tightens {value}"), String::new(), at(place)]);
        }
    }
    writeln!(out)?;
    output::table(out, &values)
}

/// Who says so.
fn source(line: &Line) -> String {
    match &line.policy {
        Some(policy) => format!("{} {policy}", line.layer),
        None => line.layer.to_owned(),
    }
}

fn document(explanation: &Explanation) -> Value {
    json!({
        "route": explanation.route,
        "file": &*explanation.place.file,
        "line": explanation.place.line,
        "layers": explanation.layers.iter().map(layer).collect::<Vec<_>>(),
        "values": explanation.values.iter().map(value).collect::<Vec<_>>(),
    })
}

fn layer(rank: &Rank) -> Value {
    json!({
        "layer": rank.mode,
        "policy": rank.policy.as_deref(),
        "file": &*rank.place.file,
        "line": rank.place.line,
        "by": rank.by.as_deref(),
        "byFile": &*rank.by_place.file,
        "byLine": rank.by_place.line,
    })
}

fn value(line: &Line) -> Value {
    json!({
        "field": line.field,
        "value": line.value,
        "layer": line.layer,
        "policy": line.policy.as_deref(),
        "binding": line.binding.as_deref(),
        "file": line.place.as_ref().map(|place| &*place.file),
        "line": line.place.as_ref().map(|place| place.line),
        "tightens": line.tightens.iter().map(|(value, place)| json!({
            "value": value, "file": &*place.file, "line": place.line,
        })).collect::<Vec<_>>(),
    })
}
