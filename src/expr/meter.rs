//! What expressions may spend: fuel for work, bytes for what they produce.
//!
//! An evaluation takes its allowance in plain integers and settles with the execution's meter once,
//! at its end, so counting costs a decrement per operation.
//!
//! A worker serves other requests too, so it evaluates in a [`sliced`] way: what is not done within a slice is
//! given up, and whoever asked for it runs it again on a thread that may take its time. That costs the
//! short case nothing, and expressions can be run again because they have no effect.

use std::{
    cell::Cell,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

use super::EvalError;
use crate::background;

/// Steps that one expression may take.
pub(super) const FUEL: u64 = 100_000;
/// Bytes that one expression may produce.
pub(super) const BYTES: u64 = 8 * 1024 * 1024;
/// How many times as much a whole execution may spend.
const EXECUTION: i64 = 10;

/// Steps of a slice: mostly less than a twentieth of a millisecond, 0.15 ms at worst (texts full of escapes). Whoever
/// is served next waits so long, whatever unit's route it was: it is to be lost in what a call takes anyhow.
const SLICE_FUEL: u64 = 1_000;
/// Steps where nothing can be run aside: a policy may look through all groups of a principal.
const WHOLE_FUEL: u64 = 2_000;
/// Steps after which a thread behind the workers looks whether one of them waits.
const BREATH: u64 = 100;
/// Steps after which an execution lets others of its worker go first.
const TURN: i64 = SLICE_FUEL as i64;
/// Bytes of a body that cost as much to read as a step.
const READ: usize = 32;
/// Bytes of a slice.
const SLICE_BYTES: u64 = 128 * 1024;

/// What an execution may still spend on expressions. A default one is that of a fresh execution.
#[derive(Debug)]
pub struct Meter {
    // Signed, as two evaluations at the same time may both spend what is left.
    fuel: AtomicI64,
    bytes: AtomicI64,
    /// What `fuel` was when others last went first.
    turn: AtomicI64,
}

/// A turn of an execution on its worker.
#[derive(Clone, Copy, Debug)]
pub struct Turn(i64);

/// What is left of this thread's slice.
#[derive(Clone, Copy)]
struct Slice {
    fuel: u64,
    bytes: u64,
    /// Something wanted more than there was.
    cut: bool,
}

thread_local! {
    static SLICE: Cell<Option<Slice>> = const { Cell::new(None) };
}

/// Runs evaluations of an execution as far as one slice goes. `None` when it does not go far enough: what
/// `work` gave then means nothing, and what it spent is given back.
pub fn sliced<T>(meter: &Meter, work: impl FnOnce() -> T) -> Option<T> {
    up_to(SLICE_FUEL, meter, work)
}

/// The same for evaluations that cannot be run elsewhere, and have twice as much.
pub fn bounded<T>(meter: &Meter, work: impl FnOnce() -> T) -> Option<T> {
    up_to(WHOLE_FUEL, meter, work)
}

fn up_to<T>(fuel: u64, meter: &Meter, work: impl FnOnce() -> T) -> Option<T> {
    let fresh = Slice { fuel, bytes: SLICE_BYTES, cut: false };
    let around = SLICE.replace(Some(fresh));
    let result = work();
    let slice = SLICE.replace(around).unwrap_or(fresh);
    if !slice.cut {
        return Some(result);
    }
    let wasted = (fuel - slice.fuel) as i64;
    meter.fuel.fetch_add(wasted, Relaxed);
    meter.turn.fetch_add(wasted, Relaxed);
    meter.bytes.fetch_add((SLICE_BYTES - slice.bytes) as i64, Relaxed);
    None
}

/// Whether the slice that is under way is spent, so that no failure means anything.
#[must_use]
pub fn is_cut() -> bool {
    SLICE.get().is_some_and(|slice| slice.cut)
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            fuel: AtomicI64::new(FUEL as i64 * EXECUTION),
            bytes: AtomicI64::new(BYTES as i64 * EXECUTION),
            turn: AtomicI64::new(FUEL as i64 * EXECUTION),
        }
    }
}

impl Meter {
    /// Takes steps for work outside of expressions that data can multiply.
    pub fn take_fuel(&self, steps: u64) -> Result<(), EvalError> {
        self.take(|allowance| allowance.steps(steps))
    }

    /// Notes a body that was read, which no budget bounds.
    pub fn worked(&self, bytes: usize) {
        self.turn.fetch_add((bytes / READ) as i64, Relaxed);
    }

    /// The execution's turn, if it has worked for as long as one slice lasts.
    #[must_use]
    pub fn turn_is_over(&self) -> Option<Turn> {
        let turn = self.turn.load(Relaxed);
        (turn - self.fuel.load(Relaxed) > TURN).then_some(Turn(turn))
    }

    /// Others have gone first since that turn. Of the steps that waited for that together, one begins the next.
    pub fn begin_turn(&self, last: Turn) {
        let now = self.fuel.load(Relaxed);
        let _ = self.turn.compare_exchange(last.0, now, Relaxed, Relaxed);
    }

    /// Takes bytes that were produced outside of expressions.
    pub fn take_bytes(&self, bytes: u64) -> Result<(), EvalError> {
        self.take(|allowance| allowance.produce(usize::try_from(bytes).unwrap_or(usize::MAX)))
    }

    /// Takes steps for looking at this many bytes outside of expressions.
    pub fn take_work(&self, bytes: usize) -> Result<(), EvalError> {
        self.take_fuel(bytes as u64 / 128)
    }

    fn take(&self, take: impl FnOnce(&mut Allowance) -> Result<(), EvalError>) -> Result<(), EvalError> {
        let mut allowance = self.limited(u64::MAX, u64::MAX);
        let result = take(&mut allowance);
        self.settle(&allowance);
        result
    }

    /// Steps and bytes that are left.
    #[cfg(test)]
    pub(super) fn left(&self) -> (i64, i64) {
        (self.fuel.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// What one expression may spend now.
    #[inline]
    pub(super) fn allowance(&self) -> Allowance {
        self.limited(FUEL, BYTES)
    }

    #[inline]
    fn limited(&self, fuel: u64, bytes: u64) -> Allowance {
        let left = |left: &AtomicI64| left.load(Relaxed).max(0) as u64;
        let (fuel, bytes) = (fuel.min(left(&self.fuel)), bytes.min(left(&self.bytes)));
        let given = match SLICE.get() {
            Some(slice) => (fuel.min(slice.fuel), bytes.min(slice.bytes)),
            None => (fuel, bytes),
        };
        let first = if background::is_here() { given.0.min(BREATH) } else { given.0 };
        let (later, whole) = (given.0 - first, (fuel, bytes));
        Allowance { fuel: first, later, bytes: given.1, given, whole, short: Short::Nothing }
    }

    /// Takes off what it has spent.
    #[inline]
    pub(super) fn settle(&self, spent: &Allowance) {
        let (fuel, bytes) = (spent.given.0 - spent.fuel - spent.later, spent.given.1 - spent.bytes);
        self.fuel.fetch_sub(fuel as i64, Relaxed);
        if bytes != 0 {
            self.bytes.fetch_sub(bytes as i64, Relaxed);
        }
        if let Some(mut slice) = SLICE.get() {
            slice.fuel = slice.fuel.saturating_sub(fuel);
            slice.bytes = slice.bytes.saturating_sub(bytes);
            slice.cut |= match spent.short {
                Short::Nothing => false,
                Short::Fuel => spent.given.0 < spent.whole.0,
                Short::Bytes => spent.given.1 < spent.whole.1,
            };
            SLICE.set(Some(slice));
        }
    }
}

/// What one evaluation may spend.
#[derive(Debug)]
pub(super) struct Allowance {
    fuel: u64,
    /// Fuel behind that, for a thread that lets others go first in between.
    later: u64,
    bytes: u64,
    given: (u64, u64),
    /// What it could spend if there were no slices.
    whole: (u64, u64),
    short: Short,
}

/// What there was too little of.
#[derive(Debug)]
enum Short {
    Nothing,
    Fuel,
    Bytes,
}

impl Allowance {
    #[inline]
    pub(super) fn steps(&mut self, steps: u64) -> Result<(), EvalError> {
        match self.fuel.checked_sub(steps) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None if self.later > 0 => self.breathe(steps),
            None => {
                self.fuel = 0;
                self.spent(Short::Fuel)
            }
        }
    }

    /// Takes steps from what is left in all, after others have been let go first.
    #[cold]
    fn breathe(&mut self, steps: u64) -> Result<(), EvalError> {
        background::pause();
        let all = self.fuel + std::mem::take(&mut self.later);
        match all.checked_sub(steps) {
            Some(left) => {
                self.fuel = left.min(BREATH);
                self.later = left - self.fuel;
                Ok(())
            }
            None => {
                self.fuel = 0;
                self.spent(Short::Fuel)
            }
        }
    }

    #[inline]
    pub(super) fn produce(&mut self, bytes: usize) -> Result<(), EvalError> {
        match self.bytes.checked_sub(bytes as u64) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => {
                self.bytes = 0;
                self.spent(Short::Bytes)
            }
        }
    }

    /// How many bytes are left.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[cold]
    fn spent(&mut self, what: Short) -> Result<(), EvalError> {
        self.short = what;
        Err(EvalError::Budget)
    }
}
