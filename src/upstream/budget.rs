//! How many retries calls of a service may have: a share of these calls, and a few per second whatever their number.
//!
//! The rule is that of tower's `TpsBudget`; this one takes no lock, and can say how much is left, which a signal
//! is made of.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::time::Instant;

/// Calls and retries count for so many parts of so many milliseconds.
const SLOTS: u64 = 10;
const SLOT_MS: u64 = 100;
/// How many calls pay for a retry: 20 %.
const PRICE: i64 = 5;
/// Retries per second that nobody pays for.
const FREE: i64 = 3;

/// See the module.
#[derive(Debug)]
pub struct Budget {
    began: Instant,
    /// Each the number of its part of time, and above that the balance of that part.
    slots: [AtomicU64; SLOTS as usize],
    /// Of the service, however often a reload changes it: calls of an older generation count on.
    refused: Arc<AtomicU64>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), slots: Default::default(), refused: Arc::default() }
    }

    /// Counts on what another has refused, and together with it.
    pub(super) fn after(self, before: &Self) -> Self {
        Self { refused: Arc::clone(&before.refused), ..self }
    }

    /// A call is made that may be made again.
    pub fn deposit(&self) {
        self.add(1);
    }

    /// Takes a retry out, if there is one.
    pub fn withdraw(&self) -> bool {
        // Two that meet here may both pass: a bound on what retries add need not be exact.
        let some = self.balance() >= PRICE;
        if some {
            self.add(-PRICE);
        } else {
            self.refused.fetch_add(1, Relaxed);
        }
        some
    }

    /// How many retries there are now.
    #[must_use]
    pub fn left(&self) -> u32 {
        u32::try_from(self.balance() / PRICE).unwrap_or(0)
    }

    /// How many there were not, so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn slot(&self) -> u64 {
        // Counted from 1, so that what was never written is old.
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        SLOTS + ms / SLOT_MS
    }

    fn add(&self, amount: i64) {
        let now = self.slot();
        let _ = self.slots[(now % SLOTS) as usize].fetch_update(Relaxed, Relaxed, |packed| {
            let (slot, balance) = unpacked(packed);
            let balance = if slot == now & 0xffff_ffff { balance } else { 0 };
            Some(now << 32 | u64::from(balance.saturating_add(amount as i32) as u32))
        });
    }

    fn balance(&self) -> i64 {
        let now = self.slot();
        let slots = self.slots.iter().map(|packed| unpacked(packed.load(Relaxed)));
        let fresh = slots.filter(|(slot, _)| (now & 0xffff_ffff).wrapping_sub(*slot) < SLOTS);
        fresh.map(|(_, balance)| i64::from(balance)).sum::<i64>() + FREE * PRICE
    }
}

const fn unpacked(packed: u64) -> (u64, i32) {
    (packed >> 32, packed as u32 as i32)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_are_free_and_a_fifth_of_the_calls_is_paid() {
        let budget = Budget::new();
        assert_eq!(budget.left(), 3);
        (0..10).for_each(|_| budget.deposit());
        assert_eq!(budget.left(), 5);
        assert!((0..5).all(|_| budget.withdraw()));
        assert_eq!((budget.withdraw(), budget.left(), budget.refused()), (false, 0, 1));
        // Calls of the generation before a reload go on.
        let after = Budget::new().after(&budget);
        assert_eq!((budget.withdraw(), after.refused(), after.left()), (false, 2, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_a_second_ago_counts_no_more() {
        let budget = Budget::new();
        (0..3).for_each(|_| assert!(budget.withdraw()));
        advance(Duration::from_millis(500)).await;
        (0..50).for_each(|_| budget.deposit());
        assert_eq!(budget.left(), 10);
        advance(Duration::from_millis(600)).await;
        assert_eq!(budget.left(), 13, "the retries are forgotten, the calls are not");
        advance(Duration::from_millis(500)).await;
        assert_eq!(budget.left(), 3);
    }
}
