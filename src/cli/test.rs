//! `test`: the tests beside the templates, offline and on a paused clock.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Outcome, arguments::Format, check};
use crate::{
    config::Tree,
    suite::{self, report},
};

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
            writeln!(
                err,
                "  help: a test file or a folder, as from here: `segue test routes/UNIT`; without it, all"
            )?;
            return Ok(Outcome::Usage);
        }
    };
    let (tree, mut partial) = check::load_what_works(root);
    let wanted = |file: &str| is_below(root, file, below.as_ref());
    let Some(plan) = partial.plan.take() else {
        let loaded = check::Loaded { tree, plan: None, findings: partial.findings };
        loaded.report(format, out, err)?;
        return Ok(Outcome::Findings);
    };
    check::left_out(&partial, err)?;
    let mut report = suite::run(&partial.tree, plan, &wanted);
    // Tests of what is left out cannot run: its findings say why.
    let wants = |unit: &Arc<str>| {
        let tests = tree.files.iter().filter(|file| Tree::is_test(&file.path) && wanted(&file.path));
        tests.filter_map(|file| file.unit.as_ref()).any(|of| of == unit)
    };
    let lost: Vec<_> = partial.left_out.keys().filter(|unit| wants(unit)).collect();
    for finding in partial.findings.items() {
        if Tree::unit_of(&finding.place.file).is_some_and(|unit| lost.contains(&&unit)) {
            report.findings.push(finding.clone());
        }
    }
    report.findings.finish();
    let source = |path: &str| tree.text(path);
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
    Ok(if report.is_fine() && lost.is_empty() { Outcome::Fine } else { Outcome::Findings })
}

/// Whether a file of the tree is the one asked for, or lies in the folder asked for.
fn is_below(root: &Path, file: &str, below: Option<&PathBuf>) -> bool {
    let Some(below) = below else { return true };
    std::fs::canonicalize(root.join(file)).is_ok_and(|file| file.starts_with(below))
}
