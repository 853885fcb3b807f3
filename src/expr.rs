//! Expressions: CEL parsed once, resolved to slots at load, evaluated over borrowed JSON.
//!
//! source → `parse` (own tree, byte offsets) → `resolve` (scoped references, names become [`Slot`]s)
//! → [`Program`] → evaluation that writes bytes. At request time no name is looked up.
//!
//! Source, nesting, work and output are bounded, so an expression can be refused but cannot hang or
//! exhaust the process. There are no user functions and no recursion in the language.

mod arithmetic;
mod ast;
mod calendar;
mod decimal;
mod eval;
mod function;
mod lex;
mod literal;
mod meter;
mod op;
mod parse;
mod pattern;
mod principal;
mod program;
mod resolve;
mod shape;
mod slot;
mod split;
mod text;
mod time;
mod types;
mod value;
mod zone;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

pub use meter::{Meter, bounded, is_cut, sliced};
pub use parse::is_keyword;
pub use program::Program;
pub use shape::Shape;
pub use slot::{AnswerField, ErrorField, PrincipalField, Reference, Scope, Slot, StepField, StepScope};
pub use split::{Piece, SplitError, split};
pub use text::{Part, Text};
pub use types::Type;
pub use value::Value;

/// What is wrong with an expression's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which rule it breaks.
    pub code: crate::diagnostic::Code,
    /// Byte offset into the expression's source.
    pub offset: usize,
    /// How many bytes of the source it covers, at least 1.
    pub len: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Fault {
    fn new(code: crate::diagnostic::Code, span: ast::Span, message: impl Into<String>) -> Self {
        let len = span.end.saturating_sub(span.start).max(1);
        Self { code, offset: span.start, len, message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What an evaluation reads: the data behind the slots, the meter, and the loop variables around it.
pub struct Frame<'a, 'f> {
    /// The data behind the slots.
    pub data: &'a dyn Data,
    /// What this execution may still spend.
    pub meter: &'f Meter,
    /// Values of the scope's locals, in order.
    pub locals: &'f [Value<'a>],
    /// Which turn of the loops around it this is, so that `uuid()` differs between elements; 0 outside
    /// of loops.
    pub turn: u64,
}

impl<'a, 'f> Frame<'a, 'f> {
    /// A frame whose turn is told by the innermost local: the element of a list that is walked.
    #[must_use]
    pub fn new(data: &'a dyn Data, meter: &'f Meter, locals: &'f [Value<'a>]) -> Self {
        let turn = match locals.last() {
            Some(Value::Json(element)) => element.offset() as u64,
            _ => 0,
        };
        Self { data, meter, locals, turn }
    }
}

impl fmt::Debug for Frame<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("meter", &self.meter).field("locals", &self.locals.len()).finish()
    }
}

/// Gives the value behind a slot.
pub trait Data: Sync {
    /// `Ok(None)` when the thing is absent now: an undeclared parameter, the body of a failed step.
    /// `Err` when reading it fails, for example a body that is not the JSON it should be.
    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError>;

    /// Random bytes that stay the same for a whole execution and differ between executions: what
    /// `uuid()` is made of.
    fn seed(&self) -> [u8; 16];
}

/// A native map whose members are made when asked for: headers, an item of a `forEach`.
pub trait Object: Sync {
    /// The member, if it is there.
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError>;
    /// Every member name in order.
    fn keys(&self) -> Vec<Cow<'_, str>>;
    /// All values of a repeated field, for `headerValues` and `queryValues`.
    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        let _ = key;
        Vec::new()
    }
}

/// Why an evaluation gave no value.
#[derive(Clone, Debug)]
pub enum EvalError {
    /// An absent key, a wrong type, a division by zero …; the words are ours and may be shown.
    Failed(Cow<'static, str>),
    /// Fuel or bytes are spent.
    Budget,
    /// Reading a slot failed for its own reason (a body that is not JSON).
    Data(crate::error::Error),
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(words) => f.write_str(words),
            Self::Budget => f.write_str("the expression does or produces more than it may"),
            Self::Data(error) => write!(f, "{error:?}"),
        }
    }
}
