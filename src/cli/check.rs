//! `check`: every finding on standard output, one line of summary on standard error.
//!
//! Every command that needs a tree loads it here, so what `check` accepts is what they accept.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{Outcome, arguments::Format, output::count};
use crate::{
    compile::{self, Partial},
    config::Tree,
    diagnostic::{Diagnostics, Severity, render},
    plan::Plan,
    reload,
};

/// A tree as read and what the compiler says of it.
pub(super) struct Loaded {
    pub(super) tree: Tree,
    pub(super) plan: Option<Plan>,
    pub(super) findings: Diagnostics,
}

/// Reads and compiles the tree of a configuration directory.
pub(super) fn load(root: &Path) -> Loaded {
    let (tree, findings, plan) = reload::read(root);
    Loaded { tree, plan, findings }
}

/// Reads a tree and compiles what has no error.
pub(super) fn load_what_works(root: &Path) -> (Tree, Partial) {
    let mut findings = Diagnostics::default();
    let tree = Tree::read(root, &mut findings);
    (tree.clone(), compile::partial(tree, findings))
}

/// Says which units are left out of what a command shows.
pub(super) fn left_out(partial: &Partial, err: &mut dyn Write) -> io::Result<()> {
    for (unit, errors) in &partial.left_out {
        let why = match errors {
            0 => "which needs what is left out".to_owned(),
            errors => format!("which has {}: see `segue check`", count(*errors, "error")),
        };
        writeln!(err, "left out: unit `{unit}`, {why}")?;
    }
    Ok(())
}

impl Loaded {
    /// Writes the findings to `out` and their number to `err`.
    pub(super) fn report(&self, format: Format, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        let text = match format {
            // Refused for all but `test`, whose templates may have findings too.
            Format::Text | Format::Junit => render::text(&self.findings, &|path| self.tree.text(path)),
            Format::Json => render::json(&self.findings),
            Format::Github => render::github(&self.findings),
        };
        out.write_all(text.as_bytes())?;
        writeln!(err, "{}", self.summary())
    }

    /// One line: the number of findings, or what the tree holds.
    fn summary(&self) -> String {
        let of = |severity| self.findings.items().iter().filter(|item| item.severity == severity).count();
        let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
        let mut parts = Vec::new();
        if errors > 0 {
            parts.push(count(errors, "error"));
        }
        if warnings > 0 {
            parts.push(count(warnings, "warning"));
        }
        match &self.plan {
            Some(plan) if parts.is_empty() => {
                let (services, routes) = (plan.services.len(), plan.routes.len());
                format!("ok: {}, {}", count(services, "service"), count(routes, "route"))
            }
            _ => format!("{} in {}", parts.join(", "), count(self.tree.files.len(), "file")),
        }
    }
}

/// Runs the command.
pub(super) fn run(
    root: &Path,
    format: Format,
    strict: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let loaded = load(root);
    loaded.report(format, out, err)?;
    let fails = loaded.findings.has_errors() || strict && !loaded.findings.items().is_empty();
    Ok(if fails { Outcome::Findings } else { Outcome::Fine })
}
