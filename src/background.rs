//! Threads that do what takes long, behind the workers: long evaluations of one unit must not hold up the requests
//! of the others, whose worker may have no other processor to go to.
//!
//! A lower priority alone does not do: a scheduler lets whoever runs have its time slice, which is milliseconds, before
//! it looks at who else wants to (Linux, EEVDF). So the work itself offers the processor every now and then.

use std::cell::Cell;

use tokio::{runtime::Handle, task::spawn_blocking};

/// How much less of a processor than a worker such a thread gets, where both want it: about a tenth.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

thread_local! {
    static BEHIND: Cell<bool> = const { Cell::new(false) };
}

/// Makes the calling thread one that lets the workers go first, for good.
pub fn enter() {
    if BEHIND.replace(true) {
        return;
    }
    // Only Linux has priorities of threads by these means. Should it not work, the work is as right as before.
    #[cfg(target_os = "linux")]
    if rustix::process::setpriority_process(None, NICE).is_err() {
        tracing::debug!("long evaluations run at the priority of the workers");
    }
}

/// Whether the calling thread is such a one.
#[must_use]
pub fn is_here() -> bool {
    BEHIND.get()
}

/// Offers the processor to whoever waits for it, on such a thread. To be called every few ten microseconds.
pub fn pause() {
    if is_here() {
        std::thread::yield_now();
    }
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
    fn a_thread_says_for_itself_that_it_goes_last() {
        std::thread::spawn(|| {
            assert!(!is_here());
            enter();
            enter();
            assert!(is_here());
            pause();
            #[cfg(target_os = "linux")]
            assert!(rustix::process::getpriority_process(None).unwrap() >= NICE);
        })
        .join()
        .unwrap();
        assert!(!is_here());
    }
}
