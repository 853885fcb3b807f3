//! Authorizes: `authorize` of a Policy.

use std::sync::Arc;

use crate::expr::Program;

/// Every rule that holds for a route, of all its layers.
#[derive(Debug, Default)]
pub struct Settings {
    /// One entry per layer (a Policy, in order): with any `allow` in it, one of its must hold; deny wins.
    pub layers: Vec<Arc<[Rule]>>,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// `allow`, or else `deny`.
    pub allow: bool,
    /// The condition; an error denies.
    pub condition: Program,
    /// `message`, which becomes the problem's `detail`.
    pub message: Option<String>,
}
