//! Templates → plan: names resolved, cycles refused, every finding at once. Pure: no I/O, no clock,
//! no secret, so `check` runs anywhere and the server accepts exactly what `check` accepts.

use crate::{config::Tree, diagnostic::Diagnostics, plan::Plan};

/// Compiles a tree. The plan is there only when no finding is an error.
#[must_use]
pub fn compile(tree: &Tree) -> (Option<Plan>, Diagnostics) {
    let _ = tree;
    todo!()
}
