//! The access log: a line per request, written from its record when the answer has ended, and every five
//! minutes while a long one lasts.
//!
//! A worker appends the line to a buffer of its own; one thread writes all buffers out. No worker waits for
//! a file: what finds no room is dropped and counted.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread::Thread,
};

use super::{Exchange, Record, RequestError, registry};

pub mod field;
mod health;
mod line;
mod sink;
mod writer;

pub use field::Field;
pub use line::rfc3339;
pub use sink::{obstacle, probe};

/// What one worker's lines may take while nobody writes them.
const MOST_BYTES: usize = 1 << 20;

/// `accessLog`
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How lines look.
    pub format: Format,
    /// Where they go.
    pub target: Target,
    /// What is in them, in this order.
    pub fields: Vec<Field>,
    /// The share of requests that have one.
    pub sample: f64,
    /// They go to the collector too.
    pub otlp: bool,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object per line.
    Json,
    /// `key=value` pairs.
    Text,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// The end of a file, opened anew when it was moved away.
    File(PathBuf),
}

/// What a line says that the record does not.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Microseconds since the request's head.
    pub us: u64,
    /// How the request ended, or that it has not.
    pub outcome: &'static str,
    /// Why, if there is anything to say.
    pub code: Option<RequestError>,
    /// Its spans go to the collector.
    pub traced: bool,
}

/// See the module.
#[derive(Debug)]
pub struct AccessLog {
    settings: Settings,
    /// Of one million.
    share: u32,
    /// What is in lines, for those that go to the collector.
    fields: Arc<[Field]>,
    buffers: Arc<Buffers>,
}

#[derive(Debug)]
struct Buffers {
    /// One per worker, and one for other threads.
    all: Box<[Mutex<Vec<u8>>]>,
    dropped: AtomicU64,
    /// The writer waits to be woken.
    resting: AtomicBool,
    /// Nobody adds lines any more.
    closed: AtomicBool,
    writer: OnceLock<Thread>,
}

impl AccessLog {
    /// Opens a log at `target` and starts its writer. `dropped` is told of lines that were lost.
    pub fn open(
        settings: Settings,
        target: Target,
        workers: usize,
        dropped: impl Fn(u64) + Send + 'static,
    ) -> std::io::Result<Self> {
        let buffers = Arc::new(Buffers {
            all: (0..=workers).map(|_| Mutex::default()).collect(),
            dropped: AtomicU64::new(0),
            resting: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            writer: OnceLock::new(),
        });
        writer::start(target, Arc::clone(&buffers), dropped)?;
        let share = (settings.sample.clamp(0.0, 1.0) * 1e6) as u32;
        let fields = settings.fields.as_slice().into();
        Ok(Self { settings, share, fields, buffers })
    }

    /// What it was opened with.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is in lines that go to the collector too; none if they do not.
    #[must_use]
    pub fn exported(&self) -> Option<&Arc<[Field]>> {
        self.settings.otlp.then_some(&self.fields)
    }

    /// Lines that found no room since the last time, while the writer is held up.
    #[must_use]
    pub fn take_dropped(&self) -> u64 {
        self.buffers.dropped.swap(0, Relaxed)
    }

    /// Whether all lines so far are written.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let buffers = &*self.buffers;
        buffers.resting.load(SeqCst) && buffers.all.iter().all(|buffer| lock(buffer).is_empty())
    }

    /// Whether the request that ends now has a line.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.share >= 1_000_000 || fastrand::u32(..1_000_000) < self.share
    }

    /// Adds a line of a request.
    pub(super) fn add(&self, exchange: &Exchange, record: &Record, now: &Now) {
        let buffers = &*self.buffers;
        let mut buffer = lock(registry::own(&buffers.all));
        if buffer.len() >= MOST_BYTES {
            buffers.dropped.fetch_add(1, Relaxed);
            return;
        }
        line::write(&mut buffer, &self.settings, exchange, record, now);
        drop(buffer);
        // A swap only when it may change something: nearly always the writer is on its way already.
        if buffers.resting.load(Relaxed)
            && buffers.resting.swap(false, Relaxed)
            && let Some(writer) = buffers.writer.get()
        {
            writer.unpark();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.buffers.closed.store(true, Relaxed);
        if let Some(writer) = self.buffers.writer.get() {
            writer.unpark();
        }
    }
}

fn lock(buffer: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}
