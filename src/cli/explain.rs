//! `explain CODE`: why a finding is one, or what a problem document's code means; `explain UNIT/ROUTE`:
//! what holds for a route, and who says so.

mod route;

use std::{
    io::{self, Write},
    path::Path,
};

use super::{Outcome, arguments::Format};
use crate::{
    diagnostic::{Code, nearest},
    problem::Kind,
};

/// The page that documents every problem code; its table is what `explain` prints.
const PROBLEMS: &str = include_str!("../docs/problems.md");

/// Runs the command.
pub(super) fn run(
    root: &Path,
    format: Format,
    what: &str,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    if what.contains('/') {
        return route::run(root, format, what, out, err);
    }
    let outcome = code(what, out, err)?;
    if outcome == Outcome::Usage {
        let meant = route::of_name(root, what);
        if !meant.is_empty() {
            writeln!(err, "  help: a route is explained by unit and name: `{}`", meant.join("`, `"))?;
        }
    }
    Ok(outcome)
}

fn code(what: &str, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Outcome> {
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == what) {
        writeln!(
            out,
            "{}[{}], found in a template\n\n{}",
            code.severity().as_str(),
            what,
            code.explanation()
        )?;
        return Ok(Outcome::Fine);
    }
    if let Some(kind) = Kind::ALL.iter().find(|kind| kind.code() == what) {
        let (status, fault) = (kind.status().as_u16(), kind.fault().as_str());
        writeln!(out, "{what}, answered to a request: {status} {}, fault of the {fault}", kind.title())?;
        if let Some(meaning) = documented(what) {
            writeln!(out, "\n{meaning}")?;
        }
        return Ok(Outcome::Fine);
    }
    writeln!(err, "error: no code `{what}`")?;
    let known = Code::ALL.iter().map(|code| code.as_str()).chain(Kind::ALL.iter().map(|kind| kind.code()));
    match nearest(what, known) {
        Some(near) => writeln!(err, "  help: did you mean `{near}`?")?,
        None => writeln!(err, "  help: codes are printed in brackets by `segue check`")?,
    }
    Ok(Outcome::Usage)
}

/// The last cell of the code's row in the page.
fn documented(code: &str) -> Option<&'static str> {
    let row = format!("| `{code}` |");
    let line = PROBLEMS.lines().find(|line| line.starts_with(&row))?;
    line.trim_end_matches(['|', ' ']).rsplit('|').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(what: &str) -> (Outcome, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = code(what, &mut out, &mut err).unwrap();
        (outcome, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn explains_every_code_of_a_finding() {
        for code in Code::ALL {
            let (outcome, out, _) = explain(code.as_str());
            assert_eq!(outcome, Outcome::Fine, "{}", code.as_str());
            assert!(out.contains(code.explanation()), "{out}");
        }
    }

    #[test]
    fn every_problem_code_has_its_row_in_the_documentation() {
        for kind in Kind::ALL {
            let meaning = documented(kind.code()).unwrap_or_default();
            assert!(meaning.len() > 20, "`{}` has no row in problems.md", kind.code());
            let (outcome, out, _) = explain(kind.code());
            assert_eq!(outcome, Outcome::Fine);
            assert!(out.contains(kind.status().as_str()), "{out}");
        }
    }

    #[test]
    fn the_documented_status_is_the_one_that_is_sent() {
        for kind in Kind::ALL {
            let row = format!("| `{}` | {} |", kind.code(), kind.status().as_u16());
            assert!(PROBLEMS.contains(&row), "problems.md lacks `{row}`");
        }
    }

    #[test]
    fn a_misspelt_code_is_misuse_and_gets_the_nearest() {
        let (outcome, out, err) = explain("unknown_stpe");
        assert_eq!((outcome, out.as_str()), (Outcome::Usage, ""));
        assert!(err.contains("did you mean `unknown_step`?"), "{err}");
    }
}
