//! The buckets against another implementation of the same algorithm, under floods and under contention.

use std::{num::NonZeroU32, thread};

use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
use proptest::prelude::*;

use super::*;

fn buckets(limit: u64, window: Duration, depth: u64) -> Buckets {
    Buckets::new(limit, window, depth, Arc::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Times are multiples of a unit, so that both decide the same in every case.
    #[test]
    fn decides_as_governor_does(
        depth in 1u32..40,
        step in 1u64..50,
        arrivals in prop::collection::vec((0u64..600, 0u8..4), 1..300),
    ) {
        let period = Duration::from_nanos(step * 1000 * UNIT);
        let ours = buckets(1, period, depth.into());
        let clock = FakeRelativeClock::default();
        let quota = Quota::with_period(period).unwrap().allow_burst(NonZeroU32::new(depth).unwrap());
        let theirs = RateLimiter::hashmap_with_clock(quota, clock.clone());
        let mut now = ours.begun;
        for (wait, who) in arrivals {
            let wait = Duration::from_nanos(wait * step * 1000);
            clock.advance(wait);
            now += wait;
            let key = ours.key(0, &[who]);
            prop_assert_eq!(ours.take(key, now).is_ok(), theirs.check_key(&who).is_ok());
        }
    }
}

#[test]
fn a_bucket_refills_evenly_and_tells_how_long_that_takes() {
    let buckets = buckets(100, Duration::from_secs(10), 20);
    let (key, now) = (buckets.key(0, b"a"), buckets.begun + Duration::from_secs(5));
    let mut debt = Debt(0);
    for left in (0..20).rev() {
        debt = buckets.take(key, now).unwrap();
        assert_eq!(buckets.remaining(debt), left);
    }
    assert_eq!(buckets.until_full(debt), Duration::from_secs(2));
    assert_eq!(buckets.take(key, now), Err(debt));
    assert_eq!(buckets.until_next(debt), Duration::from_millis(100));
    let later = now + Duration::from_millis(250);
    assert!(buckets.take(key, later).is_ok() && buckets.take(key, later).is_ok());
    assert!(buckets.take(key, later).is_err());
    buckets.refund(key, later);
    assert!(buckets.take(key, later).is_ok());
}

#[test]
fn what_is_long_past_is_a_full_bucket_although_time_wraps() {
    let buckets = buckets(1000, Duration::from_secs(1), 10);
    let key = buckets.key(0, b"a");
    let mut now = buckets.begun;
    for _ in 0..200 {
        assert_eq!(buckets.remaining(buckets.owed(key, now)), 10);
        for _ in 0..10 {
            buckets.take(key, now).unwrap();
        }
        assert!(buckets.take(key, now).is_err());
        now += Duration::from_secs(40_000_001);
    }
}

#[test]
fn a_million_keys_take_17_mib_and_leave_other_limits_exact() {
    let buckets = buckets(100, Duration::from_secs(10), 100);
    let (polite, spent) = (buckets.key(0, b"polite"), buckets.key(0, b"spent"));
    let mut now = buckets.begun;
    while buckets.take(spent, now).is_ok() {}
    let mut served = 0;
    // All within the time in which a bucket of one request refills, while one client comes at its rate.
    for flood in 0..1_000_000u32 {
        let key = buckets.key(1, &flood.to_be_bytes());
        let _ = buckets.take(key, now);
        if flood % 10_000 == 0 {
            served += u32::from(buckets.take(polite, now).is_ok());
        }
        now += Duration::from_nanos(100);
    }
    assert!((95..=100).contains(&served), "{served} of 100");
    // It owes a second less than all, which is 10 requests of the 100.
    let again = (0..100).filter(|_| buckets.take(spent, now).is_ok()).count();
    assert!(again <= 1, "a flood gave {again} requests back");
    assert!(buckets.bytes() < 17 << 20, "{} bytes", buckets.bytes());
}

#[test]
fn where_there_is_no_room_left_nobody_gets_more_than_the_limit() {
    let room = Arc::new(Room(AtomicUsize::new(0)));
    let buckets = Buckets::new(10, Duration::from_secs(3600), 10, room);
    let now = buckets.begun;
    let victim = buckets.key(0, b"victim");
    let mut admitted = 0;
    for round in 0..200u32 {
        admitted += u32::from(buckets.take(victim, now).is_ok());
        for flood in 0..1000u32 {
            let _ = buckets.take(buckets.key(1, &(round * 1000 + flood).to_be_bytes()), now);
        }
    }
    assert!(admitted <= 10, "{admitted}");
    assert_eq!(buckets.bytes(), 32 << 10);
}

#[test]
fn threads_count_neither_twice_nor_too_little() {
    for round in 0..50u32 {
        let buckets = buckets(1, Duration::from_secs(1 << 30), 1000);
        let now = buckets.begun;
        let admitted: usize = thread::scope(|scope| {
            let one = || {
                (0..1000)
                    .filter(|_| {
                        let key = buckets.key(0, &round.to_be_bytes());
                        buckets.take(key, now).is_ok()
                    })
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 1000);
    }
}
