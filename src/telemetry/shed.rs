//! What was shed because there was too much to do.

use metrics::Counter;

use super::{metric::SHED, registry::Registry};

/// Counts requests that were shed, by priority from the lowest to the highest.
#[derive(Clone, Debug)]
pub struct Shed {
    /// Because a worker could not keep up.
    pub work: [Counter; 4],
    /// Because the process is short of memory.
    pub memory: [Counter; 4],
}

// === impl Shed ===

impl Shed {
    pub(super) fn new(registry: &Registry) -> Self {
        let of = |reason: &str| {
            ["low", "normal", "high", "critical"].map(|priority| registry.counter(&SHED, &[reason, priority]))
        };
        Self { work: of("work"), memory: of("memory") }
    }
}

impl Default for Shed {
    /// Counts nothing.
    fn default() -> Self {
        let nothing = || std::array::from_fn(|_| Counter::noop());
        Self { work: nothing(), memory: nothing() }
    }
}
