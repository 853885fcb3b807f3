//! How many lines a route may have in the log for requests that fail.
//!
//! One mistake in a template or one dead upstream makes every request fail, and a line for each would be a load of its
//! own, for which clients decide. So a route has a few lines a second, which tell what is wrong; how often it is wrong
//! is told by metrics, and of which request by traces and the access log.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Relaxed},
};

use super::clock;

/// Lines within a second.
const MOST: u32 = 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The second that is counted, and how many lines it has had.
    second: AtomicU32,
    written: AtomicU32,
    /// Lines that were not written since the last one that was.
    left_out: AtomicU64,
}

// === impl Lines ===

impl Lines {
    pub(super) const fn new() -> Self {
        Self { second: AtomicU32::new(0), written: AtomicU32::new(0), left_out: AtomicU64::new(0) }
    }

    /// Whether there may be one more line, and how many were left out before it.
    pub(super) fn one_more(&self) -> Option<u64> {
        self.at(clock::now())
    }

    fn at(&self, now: u32) -> Option<u64> {
        let was = self.second.load(Relaxed);
        if was != now && self.second.compare_exchange(was, now, AcqRel, Relaxed).is_ok() {
            self.written.store(0, Relaxed);
        }
        // Looked at first, so that the count cannot run over.
        if self.written.load(Relaxed) < MOST && self.written.fetch_add(1, Relaxed) < MOST {
            return Some(self.left_out.swap(0, Relaxed));
        }
        self.left_out.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_a_few_lines_and_the_next_one_says_how_many_were_left_out() {
        let lines = Lines::new();
        let written = |second| (0..1000).filter_map(|_| lines.at(second)).collect::<Vec<_>>();
        assert_eq!(written(0), [0; 10]);
        assert_eq!(written(7), [&[990][..], &[0; 9]].concat());
        assert_eq!(lines.at(7), None);
        assert_eq!(lines.at(8), Some(991));
    }
}
