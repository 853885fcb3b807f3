//! What failed and was tolerated: the names of `execution.degraded`, the list of `segue-degraded`.

use std::fmt;

/// An entry. Inside of a step that ran a Composition its name is `step.inner`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Degraded {
    pub(super) name: String,
    pub(super) why: Why,
}

/// Why something is degraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A failure of this code.
    Code(&'static str),
    /// So many items failed.
    Items { failed: usize, of: usize },
}

impl Degraded {
    /// The same as seen from around the step of this name.
    pub(super) fn inside(&self, step: &str) -> Self {
        Self { name: format!("{step}.{}", self.name), why: self.why.clone() }
    }

    /// Adds one of the entries of an item to those of the items before it: what failed in several is
    /// one entry with a count.
    pub(super) fn add(self, items: usize, to: &mut Vec<Self>) {
        let (failed, of) = match self.why {
            Why::Code(_) => (1, items),
            Why::Items { failed, of } => (failed, of),
        };
        match to.iter_mut().find(|known| known.name == self.name) {
            Some(Self { why: Why::Items { failed: so_far, of: all }, .. }) => {
                *so_far += failed;
                if matches!(self.why, Why::Items { .. }) {
                    *all += of;
                }
            }
            Some(known) => known.why = Why::Items { failed: failed + 1, of },
            None => to.push(Self { name: self.name, why: Why::Items { failed, of } }),
        }
    }
}

/// A member of the structured field list (RFC 9651).
impl fmt::Display for Degraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Code(code) => write!(f, "{};reason={code}", self.name),
            Why::Items { failed, of } => write!(f, "{};failed={failed};of={of}", self.name),
        }
    }
}
