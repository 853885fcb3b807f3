//! Expressions: CEL parsed once, resolved to slots at load, evaluated over borrowed JSON.
//!
//! source → `parse` (own AST, byte offsets) → `resolve` (scoped references, names become [`Slot`]s)
//! → [`Program`] → evaluation that writes bytes. At request time no name is looked up.

mod slot;
pub use slot::{AnswerField, ErrorField, Reference, Scope, Slot, StepField, StepScope};

use std::borrow::Cow;

/// A compiled expression.
#[derive(Debug)]
pub struct Program {}

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

impl Program {
    /// Parses and resolves an expression (the text between `${` and `}`). All faults at once where that is possible.
    pub fn compile(source: &str, scope: &Scope) -> Result<Self, Vec<Fault>> {
        let _ = (source, scope);
        todo!()
    }

    /// Every slot it may read, loop variables and function namespaces excluded.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        todo!()
    }

    /// If the whole expression is one slot (as in `${ steps.x.body }`), that slot.
    #[must_use]
    pub fn as_slot(&self) -> Option<Slot> {
        todo!()
    }

    /// Evaluates. `locals` are the scope's locals in their order.
    pub fn eval<'a>(&'a self, frame: &Frame<'a, '_>) -> Result<Value<'a>, EvalError> {
        let _ = frame;
        todo!()
    }

    /// Evaluates to a condition; anything but a boolean is an error.
    pub fn test<'a>(&'a self, frame: &Frame<'a, '_>) -> Result<bool, EvalError> {
        let _ = frame;
        todo!()
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
}

/// Gives the value behind a slot.
pub trait Data: Sync {
    /// `Ok(None)` when the thing is absent now: an undeclared parameter, the body of a failed step.
    /// `Err` when reading it fails, for example a body that is not the JSON it should be.
    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError>;
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

/// A value during evaluation. Cheap to clone.
#[derive(Clone)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// int64
    Int(i64),
    /// uint64
    Uint(u64),
    /// float64
    Double(f64),
    /// text
    Str(Cow<'a, str>),
    /// bytes
    Bytes(Cow<'a, [u8]>),
    /// an untouched part of a document
    Json(crate::json::Ref<'a>),
    /// a native map
    Object(&'a dyn Object),
    /// a list made by evaluation
    List(std::rc::Rc<[Value<'a>]>),
    /// a map made by evaluation, in order
    Map(std::rc::Rc<[(Value<'a>, Value<'a>)]>),
    /// a point in time: seconds and nanoseconds since 1970-01-01T00:00:00Z
    Timestamp(i64, u32),
    /// a span of time: seconds and nanoseconds of the same sign
    Duration(i64, i32),
    /// an optional
    Optional(Option<std::rc::Rc<Value<'a>>>),
    /// `omit()`: drops its key or element
    Omit,
}

impl<'a> Value<'a> {
    /// Whether it drops its key or list element: `omit()` or `optional.none()`.
    #[must_use]
    pub fn is_omitted(&self) -> bool {
        todo!()
    }
    /// Writes it as JSON.
    pub fn write_json(&self, out: &mut Vec<u8>, meter: &Meter) -> Result<(), EvalError> {
        let _ = (out, meter);
        todo!()
    }
    /// Appends it as text, as concatenation does: strings, numbers, booleans, timestamps, durations.
    pub fn write_text(&self, out: &mut String, meter: &Meter) -> Result<(), EvalError> {
        let _ = (out, meter);
        todo!()
    }
    /// The elements, if it is a list (of a document or made).
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Value<'a>>> {
        todo!()
    }
    /// The members, if it is a map of any origin.
    #[must_use]
    pub fn members(&self) -> Option<Vec<(Cow<'a, str>, Value<'a>)>> {
        todo!()
    }
}

/// What an execution may still spend on expressions: fuel and produced bytes.
#[derive(Debug, Default)]
pub struct Meter {}

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

/// A scalar of a template: a literal, one expression, or a concatenation.
#[derive(Debug)]
pub enum Text {
    /// No expression in it.
    Literal(String),
    /// Exactly one `${…}`: keeps its type.
    One(Program),
    /// Literal parts and expressions, concatenated.
    Parts(Vec<Part>),
}

/// A piece of a concatenation.
#[derive(Debug)]
pub enum Part {
    /// Literal text.
    Literal(String),
    /// An expression.
    Program(Program),
}

impl Text {
    /// Evaluates: a literal and a concatenation give strings, one expression keeps its type.
    pub fn eval<'a>(&'a self, frame: &Frame<'a, '_>) -> Result<Value<'a>, EvalError> {
        let _ = frame;
        todo!()
    }
    /// Every slot it may read.
    pub fn references(&self) -> impl Iterator<Item = Reference> {
        std::iter::empty()
    }
}

/// Structural shaping: a tree of literals and expressions that writes JSON.
#[derive(Debug)]
pub enum Shape {
    /// JSON text without any expression below it.
    Literal(Vec<u8>),
    /// A scalar with expressions.
    Text(Text),
    /// A list; omitted elements are dropped.
    List(Vec<Shape>),
    /// A map in the order of the file; omitted members are dropped. Keys are literal.
    Map(Vec<(String, Shape)>),
    /// `{$each, $as, $where, $yield}`; `$as` is the innermost local of `condition` and `yields`.
    Each {
        /// The list.
        list: Program,
        /// `$where`
        condition: Option<Program>,
        /// `$yield`
        yields: Box<Shape>,
    },
    /// `{$if, $then, $else}`
    If {
        /// `$if`
        condition: Program,
        /// `$then`
        then: Box<Shape>,
        /// `$else`; without it the place is dropped.
        otherwise: Option<Box<Shape>>,
    },
    /// `{$merge: [...]}`: shallow, later wins.
    Merge(Vec<Shape>),
}

impl Shape {
    /// Writes JSON. `Ok(false)` and nothing written when it is omitted.
    pub fn write<'a>(&'a self, frame: &Frame<'a, '_>, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        let _ = (frame, out);
        todo!()
    }
    /// Every slot it may read.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        todo!()
    }
    /// If it is one expression that is one slot, that slot: its bytes may be forwarded untouched.
    #[must_use]
    pub fn as_slot(&self) -> Option<Slot> {
        todo!()
    }
}
/// A piece
#[derive(Debug)]
pub enum Piece {
    /// lit
    Literal(String),
    /// expr
    Expression {
        /// o
        offset: usize,
        /// s
        source: String,
    },
}
/// E
#[derive(Debug)]
pub struct SplitError {
    /// o
    pub offset: usize,
}
/// s
pub fn split(_: &str) -> Result<Vec<Piece>, SplitError> {
    todo!()
}
