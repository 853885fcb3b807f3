//! `/status`: what serves, since when, and what is wrong with the tree that was read last.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    diagnostic::{Diagnostic, Severity, render},
    expr::{self, Meter},
    reload::State,
};

pub(super) fn page(state: &State) -> Value {
    let since = timestamp(state.since);
    let part = |belongs: &dyn Fn(&str) -> bool| {
        let findings: Vec<&Diagnostic> =
            state.findings.items().iter().filter(|finding| belongs(&finding.place.file)).collect();
        let broken = findings.iter().any(|finding| finding.severity == Severity::Error);
        json!({
            "state": if broken { "rejected" } else { "applied" },
            "hash": state.hash,
            "since": since,
            "findings": findings.into_iter().map(render::value).collect::<Vec<_>>(),
        })
    };
    let mut units = BTreeMap::new();
    for file in &state.tree.files {
        if let Some(unit) = &file.unit {
            let folder = format!("routes/{unit}/");
            units.entry(unit.to_string()).or_insert_with(|| part(&|file| file.starts_with(&folder)));
        }
    }
    json!({
        "generation": state.generation,
        "hash": state.hash,
        "since": since,
        "units": units,
        "policies": part(&|file| !file.starts_with("routes/")),
    })
}

/// RFC 3339, to the second.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let value = expr::Value::Timestamp(i64::try_from(seconds).unwrap_or(0), 0);
    let mut text = String::new();
    // A whole second since 1970 always has a text.
    let _ = value.write_text(&mut text, &Meter::default());
    text
}
