//! A tree of which some units have errors: the others compile without them, for commands that look at one
//! route or run tests.

use std::{collections::BTreeMap, sync::Arc};

use super::draft;
use crate::{
    config::Tree,
    diagnostic::{Code, Diagnostic, Diagnostics, Severity},
    plan::Plan,
};

/// Rounds of leaving out what needs what was left out. A longer chain of units is not worth the time.
const MOST_ROUNDS: usize = 8;

/// What could be compiled.
#[derive(Debug)]
pub struct Partial {
    /// The tree without what is left out.
    pub tree: Tree,
    /// Nothing if the fault is not a unit's.
    pub plan: Option<Plan>,
    /// Every finding of the whole tree.
    pub findings: Diagnostics,
    /// Units that are left out, and how many errors each has; one without needs what is left out.
    pub left_out: BTreeMap<Arc<str>, usize>,
}

/// Compiles a tree without the units that have errors, those of `findings` included, and without the units
/// that need them. A route that could only call too often stays.
#[must_use]
pub fn partial(tree: Tree, mut findings: Diagnostics) -> Partial {
    let (mut plan, more) = draft(&tree);
    findings.extend(more);
    findings.finish();
    let Some(mut left_out) = units(&findings) else {
        return Partial { tree, plan: None, findings, left_out: BTreeMap::new() };
    };
    let mut rest = tree;
    for _ in 0..MOST_ROUNDS {
        if left_out.is_empty() {
            return Partial { tree: rest, plan, findings, left_out };
        }
        rest = rest.without(|unit| left_out.contains_key(unit));
        let found;
        (plan, found) = draft(&rest);
        match units(&found) {
            Some(more) if more.is_empty() => return Partial { tree: rest, plan, findings, left_out },
            Some(more) => left_out.extend(more.into_keys().map(|unit| (unit, 0))),
            None => break,
        }
    }
    Partial { tree: rest, plan: None, findings, left_out }
}

/// The units that have errors, and how many. Nothing if one is not a unit's.
fn units(findings: &Diagnostics) -> Option<BTreeMap<Arc<str>, usize>> {
    let mut units = BTreeMap::new();
    for finding in findings.items().iter().filter(|finding| hinders(finding)) {
        *units.entry(Tree::unit_of(&finding.place.file)?).or_default() += 1;
    }
    Some(units)
}

fn hinders(finding: &Diagnostic) -> bool {
    finding.severity == Severity::Error && finding.code != Code::TooManyCalls
}
