//! How long a mock service takes and how often it fails: drawn from a seeded generator, so that a demo
//! can be told again.

use std::time::Duration;

/// Milliseconds from and to, evenly spread, and one failure in how many answers (0: never).
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) fails_one_in: u32,
}

impl Behaviour {
    /// Draws one answer: how long it takes, and whether it is a failure.
    pub(super) fn draw(self, random: &mut fastrand::Rng) -> (Duration, bool) {
        let takes = Duration::from_millis(random.u64(self.from..=self.to));
        (takes, self.fails_one_in > 0 && random.u32(0..self.fails_one_in) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fails_about_as_often_as_it_says_and_stays_within_its_times() {
        let behaviour = Behaviour { from: 20, to: 40, fails_one_in: 4 };
        let mut random = fastrand::Rng::with_seed(7);
        let drawn: Vec<_> = (0..1000).map(|_| behaviour.draw(&mut random)).collect();
        let failures = drawn.iter().filter(|(_, fails)| *fails).count();
        assert!((200..300).contains(&failures), "{failures} of 1000");
        assert!(drawn.iter().all(|(takes, _)| (20..=40).contains(&takes.as_millis())));
    }
}
