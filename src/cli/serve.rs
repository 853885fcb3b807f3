//! `serve`: the gateway until it has drained.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use super::{Outcome, arguments::Format, check::Loaded, logging};
use crate::{
    serve::{Options, Running, StartError, start},
    upstream::secret::Process,
};

/// Runs the command: a tree that is broken at the start is reported, not served.
pub(super) fn run(
    root: &Path,
    format: Format,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    // The codec warns of what clients do, which would let them write our log.
    let _log = logging::start("info,h2=error");
    let sources = Arc::new(Process::new(root));
    let running = start(Options { root: root.to_owned(), sources, signals: true });
    match started(running, format, out, err)? {
        Some(running) => until_drained(running, err),
        None => Ok(Outcome::Findings),
    }
}

/// The gateway, or nothing once it has been said why there is none.
pub(super) fn started(
    running: Result<Running, StartError>,
    format: Format,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Option<Running>> {
    match running {
        Ok(running) => return Ok(Some(running)),
        Err(StartError::Findings(findings, tree)) => {
            Loaded { tree: *tree, plan: None, findings }.report(format, out, err)?;
        }
        Err(error) => writeln!(err, "error: {error}")?,
    }
    Ok(None)
}

/// Waits for the end of a gateway and says if it was not a good one.
pub(super) fn until_drained(running: Running, err: &mut dyn Write) -> io::Result<Outcome> {
    match running.wait() {
        Ok(()) => Ok(Outcome::Fine),
        Err(error) => {
            writeln!(err, "error: {error}")?;
            Ok(Outcome::Findings)
        }
    }
}
