//! `serve`: the gateway until it has drained.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{Outcome, arguments::Format, check, process};

/// Runs the command: a tree that is broken at the start is reported, not served.
pub(super) fn run(
    root: &Path,
    format: Format,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let loaded = check::load(root);
    if !loaded.findings.items().is_empty() {
        loaded.report(format, out, err)?;
        out.flush()?;
    }
    if loaded.plan.is_none() {
        return Ok(Outcome::Findings);
    }
    match process::serve(root) {
        Ok(()) => Ok(Outcome::Fine),
        Err(problem) => {
            writeln!(err, "error: {problem}")?;
            Ok(Outcome::Findings)
        }
    }
}
