//! The thread that writes an access log.

use std::{
    io,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Buffers, Target, health::Health, lock, sink::Sink};

/// Lines that come within this are written together.
const GATHER: Duration = Duration::from_millis(20);
/// A safeguard against a wake-up that was missed.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Starts it. That the file can be opened is known when this returns.
pub(super) fn start(
    target: Target,
    buffers: Arc<Buffers>,
    dropped: impl Fn(u64) + Send + 'static,
) -> io::Result<()> {
    let mut sink = Sink::open(target)?;
    let shared = Arc::clone(&buffers);
    let writer = thread::Builder::new().name("segue-access-log".to_owned()).spawn(move || {
        let (mut full, mut health) = (Vec::new(), Health::default());
        loop {
            let closed = shared.closed.load(SeqCst);
            let written = write_all(&shared, &mut sink, &mut full, &mut health, &dropped);
            if closed {
                return;
            }
            if written {
                thread::sleep(GATHER);
            } else {
                shared.resting.store(true, SeqCst);
                // What was added before that store has woken nobody.
                if shared.all.iter().all(|buffer| lock(buffer).is_empty()) && !shared.closed.load(SeqCst) {
                    thread::park_timeout(LONGEST_REST);
                }
                shared.resting.store(false, Relaxed);
            }
        }
    })?;
    let _ = buffers.writer.set(writer.thread().clone());
    Ok(())
}

/// Writes what all workers have added. Whether that was anything.
fn write_all(
    buffers: &Buffers,
    sink: &mut Sink,
    full: &mut Vec<u8>,
    health: &mut Health,
    dropped: &dyn Fn(u64),
) -> bool {
    let (mut any, mut lost) = (false, 0);
    for buffer in &buffers.all {
        full.clear();
        // An exchange of buffers, so that no worker waits while this one is written.
        std::mem::swap(&mut *lock(buffer), full);
        if full.is_empty() {
            continue;
        }
        any = true;
        lost += sink.write(full);
    }
    lost += buffers.dropped.swap(0, Relaxed);
    if lost > 0 {
        dropped(lost);
    }
    if any || lost > 0 {
        health.tell(lost, sink.take_error().as_ref(), Instant::now());
    }
    any
}
