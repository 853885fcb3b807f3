//! What expressions may spend: fuel for work, bytes for what they produce.
//!
//! An evaluation takes its allowance in plain integers and settles with the execution's meter once,
//! at its end, so counting costs a decrement per operation.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::EvalError;

/// Steps that one expression may take.
pub(super) const FUEL: u64 = 100_000;
/// Bytes that one expression may produce.
pub(super) const BYTES: u64 = 8 * 1024 * 1024;
/// How many times as much a whole execution may spend.
const EXECUTION: u64 = 10;

/// What an execution may still spend on expressions. A default one is that of a fresh execution.
#[derive(Debug)]
pub struct Meter {
    fuel: AtomicU64,
    bytes: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { fuel: AtomicU64::new(FUEL * EXECUTION), bytes: AtomicU64::new(BYTES * EXECUTION) }
    }
}

impl Meter {
    /// Takes steps for work outside of expressions that data can multiply.
    pub fn take_fuel(&self, steps: u64) -> Result<(), EvalError> {
        take(&self.fuel, steps)
    }

    /// Takes bytes that were produced outside of expressions.
    pub fn take_bytes(&self, bytes: u64) -> Result<(), EvalError> {
        take(&self.bytes, bytes)
    }

    /// What one expression may spend now.
    pub(super) fn allowance(&self) -> Allowance {
        let (fuel, bytes) = (self.fuel.load(Relaxed).min(FUEL), self.bytes.load(Relaxed).min(BYTES));
        Allowance { fuel, bytes, given: (fuel, bytes) }
    }

    /// Takes off what it has spent.
    pub(super) fn settle(&self, spent: &Allowance) {
        // An execution evaluates one expression at a time, so a plain load and store lose nothing.
        let (fuel, bytes) = spent.given;
        self.fuel.store(self.fuel.load(Relaxed).saturating_sub(fuel - spent.fuel), Relaxed);
        if bytes != spent.bytes {
            self.bytes.store(self.bytes.load(Relaxed).saturating_sub(bytes - spent.bytes), Relaxed);
        }
    }
}

fn take(left: &AtomicU64, amount: u64) -> Result<(), EvalError> {
    let rest = left.load(Relaxed).checked_sub(amount);
    left.store(rest.unwrap_or(0), Relaxed);
    rest.map(|_| ()).ok_or(EvalError::Budget)
}

/// What one evaluation may spend.
#[derive(Debug)]
pub(super) struct Allowance {
    pub(super) fuel: u64,
    pub(super) bytes: u64,
    given: (u64, u64),
}

impl Allowance {
    #[inline]
    pub(super) fn steps(&mut self, steps: u64) -> Result<(), EvalError> {
        match self.fuel.checked_sub(steps) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => {
                self.fuel = 0;
                Err(EvalError::Budget)
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
                Err(EvalError::Budget)
            }
        }
    }
}
