//! Threads that do what takes long, behind the workers: long evaluations of one unit must not hold up the requests
//! of the others, whose worker may have no other processor to go to.
//!
//! A lower priority does not do: a scheduler lets whoever runs have its time slice, which is milliseconds, before
//! it looks at who else wants to (Linux, EEVDF). So the work itself offers the processor every now and then. That
//! costs it its slice, and where a worker is never idle nothing would be left: after it has waited for long it goes on
//! for a while without offering.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, task::spawn_blocking};

/// Who waits for longer than this waits for a worker that is never idle.
const LONG: Duration = Duration::from_millis(2);
/// What part of the time that it waited such work then has, and how much at most: some tenth of the processor, in pieces
/// that are lost in what a request waits for at such a worker.
const PART: u32 = 6;
const MOST: Duration = Duration::from_micros(500);

thread_local! {
    static BEHIND: Cell<bool> = const { Cell::new(false) };
    /// Until when the thread need not offer the processor.
    static OWED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Makes the calling thread one that lets the workers go first, for good.
pub fn enter() {
    BEHIND.set(true);
}

/// Whether the calling thread is such a one.
#[must_use]
pub fn is_here() -> bool {
    BEHIND.get()
}

/// Offers the processor to whoever waits for it, on such a thread. To be called every few ten microseconds.
pub fn pause() {
    if !is_here() {
        return;
    }
    let before = Instant::now();
    if OWED.get().is_some_and(|until| before < until) {
        return;
    }
    std::thread::yield_now();
    let now = Instant::now();
    let waited = now.saturating_duration_since(before);
    OWED.set(owed(waited).map(|time| now + time));
}

/// How long a thread that has waited so long need not offer the processor.
fn owed(waited: Duration) -> Option<Duration> {
    (waited > LONG).then(|| (waited / PART).min(MOST))
}

/// Drops something large behind the workers: to give memory back to the system takes a tenth of a millisecond for
/// each mebibyte.
pub fn discard(large: impl Send + 'static) {
    if is_here() || Handle::try_current().is_err() {
        return;
    }
    spawn_blocking(move || {
        enter();
        drop(large);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_for_long_has_a_part_of_that_and_never_much_at_once() {
        let micros = |us| owed(Duration::from_micros(us)).map(|owed| owed.as_micros());
        assert_eq!([500, 2_000, 2_400, 30_000].map(micros), [None, None, Some(400), Some(500)]);
    }

    #[test]
    fn a_thread_says_for_itself_that_it_goes_last() {
        std::thread::spawn(|| {
            assert!(!is_here());
            enter();
            enter();
            assert!(is_here());
            pause();
        })
        .join()
        .unwrap();
        assert!(!is_here());
    }
}
