//! A compiled expression.

use std::fmt;

use super::{
    EvalError, Fault, Frame, Reference, Scope, Slot, StepField, Type, Value,
    eval::{Machine, failed},
    op::{Base, Key, Link, Op, OpId},
    parse,
    resolve::{self, Resolved},
};

/// A compiled expression.
pub struct Program {
    source: Box<str>,
    ops: Box<[Op]>,
    root: OpId,
    references: Box<[Reference]>,
    kind: Type,
}

impl Program {
    /// Parses and resolves an expression (the text between `${` and `}`). All faults at once where that is possible.
    pub fn compile(source: &str, scope: &Scope) -> Result<Self, Vec<Fault>> {
        let tree = parse::parse(source).map_err(|fault| vec![fault])?;
        Ok(Self::new(source, resolve::resolve(&tree, scope)?))
    }

    pub(super) fn new(source: &str, resolved: Resolved) -> Self {
        Self {
            source: source.into(),
            ops: resolved.ops,
            root: resolved.root,
            references: resolved.references,
            kind: resolved.kind,
        }
    }

    /// The text that it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Every slot it may read, loop variables and function namespaces excluded.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// If the whole expression is one slot (as in `${ steps.x.body }`), that slot.
    #[must_use]
    pub fn as_slot(&self) -> Option<Slot> {
        match &self.ops[self.root as usize] {
            Op::Chain(chain) if chain.links.is_empty() && !chain.optional => match chain.base {
                Base::Slot(slot) => Some(slot),
                Base::Local(_) | Base::Op(_) => None,
            },
            _ => None,
        }
    }

    /// If the whole expression is a body as it was received (`${ request.body }`, `${ steps.x.body }`, or
    /// `${ steps.x.?body }`, which may be none), its slot.
    #[must_use]
    pub fn as_body(&self) -> Option<Slot> {
        match &self.ops[self.root as usize] {
            Op::Chain(chain) if chain.links.is_empty() => match chain.base {
                Base::Slot(slot @ (Slot::RequestBody | Slot::Step(_, StepField::Body))) => Some(slot),
                _ => None,
            },
            _ => None,
        }
    }

    /// If the whole expression is one parameter of the request (`${ request.query.page }`), where that is, and
    /// its name unless it is a capture.
    #[must_use]
    pub fn as_parameter(&self) -> Option<(Slot, &str)> {
        let Op::Chain(chain) = &self.ops[self.root as usize] else { return None };
        let Base::Slot(slot) = chain.base else { return None };
        match (slot, &*chain.links) {
            (Slot::Path(_), []) if !chain.optional => Some((slot, "")),
            (
                Slot::Query | Slot::Headers | Slot::Cookies,
                [Link { key: Key::Name(name), optional: false, .. }],
            ) => Some((slot, name)),
            _ => None,
        }
    }

    /// What its text alone says of the type of its value.
    #[must_use]
    pub fn known_type(&self) -> Type {
        self.kind
    }

    /// Whether it can be a condition, as far as its text tells.
    #[must_use]
    pub fn may_be_condition(&self) -> bool {
        self.kind.may_be(&[Type::Bool])
    }

    /// Evaluates. `locals` are the scope's locals in their order.
    pub fn eval<'a>(&'a self, frame: &Frame<'a, '_>) -> Result<Value<'a>, EvalError> {
        Machine::run(&self.ops, &self.source, frame, |machine| machine.eval(self.root))
    }

    /// Evaluates to a leaf: an optional gives what is inside it, `None` is what is omitted.
    pub fn leaf<'a>(&'a self, frame: &Frame<'a, '_>) -> Result<Option<Value<'a>>, EvalError> {
        Machine::run(&self.ops, &self.source, frame, |machine| machine.leaf(self.root))
    }

    /// Evaluates to a condition; anything but a boolean is an error.
    pub fn test<'a>(&'a self, frame: &Frame<'a, '_>) -> Result<bool, EvalError> {
        match self.eval(frame)? {
            Value::Bool(value) => Ok(value),
            other => {
                let refused = || failed(format!("a condition gave {}, not a boolean", other.type_name()));
                other.as_bool().ok_or_else(refused)
            }
        }
    }

    /// Evaluates and writes JSON, without making what only the text needs. `Ok(false)` and nothing
    /// written when it is omitted; nothing is written on an error either.
    pub fn write<'a>(&'a self, frame: &Frame<'a, '_>, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        let start = out.len();
        let result = Machine::run(&self.ops, &self.source, frame, |machine| machine.write(self.root, out));
        if !matches!(result, Ok(true)) {
            out.truncate(start);
        }
        result
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}
