//! Where log lines go: standard error, one line each, from `info` up unless `SEGUE_LOG` says otherwise.
//!
//! A thread of its own writes them: whoever reads standard error may be slow or stuck, and a worker never waits for
//! that. What finds no room is lost, and counted in a line of its own.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::telemetry::diagnostics::Exported;

/// Lines that wait to be written.
const QUEUE: usize = 4096;
/// How long the end of the process waits for them.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks for room in that time.
const TRIES: u32 = 100;

/// Starts logging. `SEGUE_LOG` takes filters such as `debug` or `segue::reload=debug,warn`. Lines are written
/// out when the guard is dropped.
#[must_use]
pub(super) fn start(default: &str) -> Guard {
    let filter = EnvFilter::try_from_env("SEGUE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = Lines::to(io::stderr());
    let guard = Guard(lines.clone());
    // Only one can be started; a host that has its own keeps it.
    let layer = tracing_subscriber::fmt::layer().with_writer(lines);
    let _ = tracing_subscriber::registry().with(filter).with(layer).with(Exported).try_init();
    guard
}

/// Writes out what waits when it is dropped.
#[derive(Debug)]
pub(super) struct Guard(Lines);

/// Takes lines without waiting.
#[derive(Clone, Debug)]
struct Lines {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    /// Says when all before it is written.
    Flush(SyncSender<()>),
}

// === impl Lines ===

impl Lines {
    fn to(out: impl Write + Send + 'static) -> Self {
        let (queue, messages) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        // Without the thread there is no log, and the gateway serves all the same.
        let _ =
            thread::Builder::new().name("segue-log".to_owned()).spawn(move || run(&messages, &counted, out));
        Self { queue, lost }
    }
}

/// Nobody is left to tell when a line cannot be written.
fn run(messages: &Receiver<Message>, lost: &AtomicU64, mut out: impl Write) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => {
                let _ = out.write_all(&line);
            }
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.try_send(());
            }
        }
        let missing = lost.swap(0, Relaxed);
        if missing > 0 {
            let _ = writeln!(out, "{missing} log lines were lost: they were not read quickly enough");
        }
    }
}

impl Write for Lines {
    /// A whole line at a time: that is how the layer writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        for _ in 0..TRIES {
            match self.0.queue.try_send(message) {
                Ok(()) => {
                    let _ = written.recv_timeout(PATIENCE);
                    return;
                }
                Err(TrySendError::Full(back)) => message = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(PATIENCE / TRIES);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// Writes when it is let.
    struct Stuck(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_stuck_holds_nobody_up_and_what_is_lost_is_told() {
        let (let_go, held) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut lines = Lines::to(Stuck(held, Arc::clone(&written)));
        for _ in 0..2 * QUEUE {
            lines.write_all(b"a line\n").unwrap();
        }
        drop(let_go);
        drop(Guard(lines));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("a line\n"), "{text}");
        assert!(text.contains("log lines were lost"), "{text}");
    }
}
