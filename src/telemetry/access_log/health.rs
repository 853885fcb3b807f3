//! What the log of diagnostics is told of an access log that is not written: once when it fails and once when it
//! works again, however often it changes.

use std::{
    io,
    time::{Duration, Instant},
};

/// How long nothing more is said of it.
const EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Health {
    fails: bool,
    /// That it fails was said, and not yet that it works again.
    open: bool,
    said: Option<Instant>,
    lost: u64,
}

/// What is to be said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Say {
    Nothing,
    /// It fails.
    Fails,
    /// It works again; so many lines were lost since it failed.
    Works {
        lost: u64,
    },
}

// === impl Health ===

impl Health {
    /// Judges a round of writing, of which so many lines were lost.
    pub(super) fn judge(&mut self, lost: u64, failed: bool, now: Instant) -> Say {
        self.lost += lost;
        if lost > 0 || failed {
            self.fails = true;
            if self.open || self.said.is_some_and(|said| now.saturating_duration_since(said) < EVERY) {
                return Say::Nothing;
            }
            (self.open, self.said) = (true, Some(now));
            return Say::Fails;
        }
        if !std::mem::take(&mut self.fails) || !std::mem::take(&mut self.open) {
            return Say::Nothing;
        }
        Say::Works { lost: std::mem::take(&mut self.lost) }
    }

    /// Says it.
    pub(super) fn tell(&mut self, lost: u64, error: Option<&io::Error>, now: Instant) {
        match self.judge(lost, error.is_some(), now) {
            Say::Nothing => {}
            Say::Fails => match error {
                Some(error) => {
                    tracing::warn!(%error, lost, "the access log cannot be written: lines are lost");
                }
                None => {
                    tracing::warn!(lost, "the access log is not taken as fast as lines come: some are lost");
                }
            },
            Say::Works { lost } => tracing::info!(lost, "the access log is written again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_said_once_and_what_works_again_once() {
        let (mut health, start) = (Health::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(health.judge(0, false, at(0)), Say::Nothing);
        assert_eq!(health.judge(3, true, at(1)), Say::Fails);
        assert_eq!(health.judge(4, true, at(2)), Say::Nothing);
        assert_eq!(health.judge(0, false, at(3)), Say::Works { lost: 7 });
        // What comes and goes is not told of each time.
        for second in 4..60 {
            assert_eq!(health.judge(1, true, at(second)), Say::Nothing);
            assert_eq!(health.judge(0, false, at(second)), Say::Nothing);
        }
        assert_eq!(health.judge(1, true, at(62)), Say::Fails);
        assert_eq!(health.judge(0, false, at(63)), Say::Works { lost: 57 });
        // Half of a line: nothing is lost yet.
        assert_eq!(health.judge(0, true, at(200)), Say::Fails);
    }
}
