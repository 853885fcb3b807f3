//! `test`: the tests beside the templates, offline and on a paused clock.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Outcome, arguments::Format, check};
use crate::suite::{self, report};

/// Runs the command.
pub(super) fn run(
    root: &Path,
    format: Format,
    (below, show): (Option<&Path>, bool),
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let below = match below.map(std::fs::canonicalize).transpose() {
        Ok(below) => below,
        Err(error) => {
            let path = below.unwrap_or(root).display();
            writeln!(err, "error: `{path}` cannot be read: {error}")?;
            return Ok(Outcome::Usage);
        }
    };
    let mut loaded = check::load(root);
    let Some(plan) = loaded.plan.take() else {
        loaded.report(format, out, err)?;
        return Ok(Outcome::Findings);
    };
    let report = suite::run(&loaded.tree, plan, &|file| is_below(root, file, below.as_ref()));
    let source = |path: &str| loaded.tree.text(path);
    let text = match format {
        Format::Text if show => report::show(&report, &source),
        Format::Text => report::text(&report, &source),
        Format::Json => report::json(&report),
        Format::Github => report::github(&report),
        Format::Junit => report::junit(&report, &source),
    };
    out.write_all(text.as_bytes())?;
    writeln!(err, "{}", report::summary(&report))?;
    if report.cases.is_empty() && report.findings.items().is_empty() {
        writeln!(err, "  help: write tests as `NAME.test.yaml` beside the templates")?;
        // Whoever names a place expects tests in it.
        return Ok(if below.is_some() { Outcome::Usage } else { Outcome::Fine });
    }
    Ok(if report.is_fine() { Outcome::Fine } else { Outcome::Findings })
}

/// Whether a file of the tree is the one asked for, or lies in the folder asked for.
fn is_below(root: &Path, file: &str, below: Option<&PathBuf>) -> bool {
    let Some(below) = below else { return true };
    std::fs::canonicalize(root.join(file)).is_ok_and(|file| file.starts_with(below))
}
