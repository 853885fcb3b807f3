//! The thread that writes an access log.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::Duration,
};

use super::{Buffers, Target, lock};

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
    let mut out = match target {
        Target::Stdout => Out::Stdout,
        Target::File(path) => Out::File(open(&path)?, path),
    };
    let shared = Arc::clone(&buffers);
    let writer = thread::Builder::new().name("segue-access-log".to_owned()).spawn(move || {
        let mut full = Vec::new();
        loop {
            let closed = shared.closed.load(SeqCst);
            let written = write_all(&shared, &mut out, &mut full, &dropped);
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
fn write_all(buffers: &Buffers, out: &mut Out, full: &mut Vec<u8>, dropped: &dyn Fn(u64)) -> bool {
    let mut any = false;
    for buffer in &buffers.all {
        full.clear();
        // An exchange of buffers, so that no worker waits while this one is written.
        std::mem::swap(&mut *lock(buffer), full);
        if full.is_empty() {
            continue;
        }
        any = true;
        if out.write(full).is_err() {
            dropped(full.iter().filter(|byte| **byte == b'\n').count() as u64);
        }
    }
    match buffers.dropped.swap(0, Relaxed) {
        0 => {}
        lost => dropped(lost),
    }
    any
}

enum Out {
    Stdout,
    File(File, PathBuf),
}

impl Out {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File(file, path) => {
                if is_moved(file, path) {
                    *file = open(path)?;
                }
                file.write_all(lines)
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Whether the name stands for another file by now, as after a rotation.
fn is_moved(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(named)) => (own.dev(), own.ino()) != (named.dev(), named.ino()),
        _ => true,
    }
}
