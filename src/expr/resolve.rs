//! Tree → operations: names become slots and locals, functions become pointers, and what can never
//! work is refused. Goes on after a fault, so that an expression shows all of them at once.

mod call;
mod chain;
mod macros;
mod operator;
mod root;

use std::collections::HashSet;

#[cfg(test)]
pub(super) use self::{call::FORMS, macros::NAMES as MACROS};

use super::{
    Fault, Reference, Scope,
    ast::{Kind, Node, Span},
    op::{MapLiteral, Op, OpId},
    types::Type,
};
use crate::diagnostic::Code;

/// An expression with every name resolved.
pub(super) struct Resolved {
    pub(super) ops: Box<[Op]>,
    pub(super) root: OpId,
    pub(super) references: Box<[Reference]>,
    pub(super) kind: Type,
}

pub(super) fn resolve(tree: &Node, scope: &Scope) -> Result<Resolved, Vec<Fault>> {
    resolve_but(tree, scope, |_| false)
}

/// Resolves with some faults forgiven. What the types of an expression's parts can never give is found
/// again when it is evaluated, so that the check of types can be left out.
pub(super) fn resolve_but(
    tree: &Node,
    scope: &Scope,
    forgiven: fn(&Fault) -> bool,
) -> Result<Resolved, Vec<Fault>> {
    let mut resolver = Resolver {
        scope,
        variables: Vec::new(),
        ops: Vec::new(),
        references: Vec::new(),
        faults: Vec::new(),
    };
    let (root, kind) = resolver.lower(tree);
    resolver.faults.retain(|fault| !forgiven(fault));
    if resolver.faults.is_empty() {
        let (ops, references) = (resolver.ops.into(), resolver.references.into());
        Ok(Resolved { ops, root, references, kind })
    } else {
        resolver.faults.sort_by_key(|fault| fault.offset);
        Err(resolver.faults)
    }
}

struct Resolver<'s> {
    scope: &'s Scope,
    /// Variables of the macros around the place that is being lowered, outermost first.
    variables: Vec<String>,
    ops: Vec<Op>,
    references: Vec<Reference>,
    faults: Vec<Fault>,
}

/// An operation and what is known of its value.
type Lowered = (OpId, Type);

impl Resolver<'_> {
    fn push(&mut self, op: Op, kind: Type) -> Lowered {
        self.ops.push(op);
        ((self.ops.len() - 1) as OpId, kind)
    }

    /// Notes a fault; the operation that stands for it is never run.
    fn refuse(&mut self, fault: Fault) -> Lowered {
        self.faults.push(fault);
        self.push(Op::Refused, Type::Any)
    }

    fn mismatch(&mut self, span: Span, message: String) {
        self.faults.push(Fault::new(Code::TypeMismatch, span, message));
    }

    /// The index of a local of that name, innermost first. A leading dot skips the variables of macros.
    fn local(&self, name: &str, rooted: bool) -> Option<u16> {
        let outer = self.scope.locals.len();
        let found = match self.variables.iter().rposition(|variable| variable == name && !rooted) {
            Some(at) => Some(outer + at),
            None => self.scope.locals.iter().rposition(|local| local == name),
        };
        found.and_then(|index| u16::try_from(index).ok())
    }

    fn lower(&mut self, node: &Node) -> Lowered {
        match &node.kind {
            Kind::Null => self.push(Op::Null, Type::Null),
            Kind::Bool(value) => self.push(Op::Bool(*value), Type::Bool),
            Kind::Int(value) => self.push(Op::Int(*value), Type::Number),
            Kind::Uint(value) => self.push(Op::Uint(*value), Type::Number),
            Kind::Double(value) => self.push(Op::Double(*value), Type::Number),
            Kind::Str(value) => self.push(Op::Str(value.as_str().into()), Type::Str),
            Kind::Bytes(value) => self.push(Op::Bytes(value.as_slice().into()), Type::Bytes),
            Kind::Name { .. } | Kind::Select { .. } | Kind::Index { .. } => self.chain(node),
            Kind::Call { target, name, name_span, arguments } => {
                self.call(node, target.as_deref(), name, *name_span, arguments)
            }
            Kind::Not(inner) => {
                let (op, kind) = self.lower(inner);
                if !kind.may_be(&[Type::Bool]) {
                    self.mismatch(node.span, format!("`!` needs a boolean, not {}", kind.name()));
                }
                self.push(Op::Not(op), Type::Bool)
            }
            Kind::Negate(inner) => {
                let (op, kind) = self.lower(inner);
                if !kind.may_be(&[Type::Number]) {
                    self.mismatch(node.span, format!("`-` needs a number, not {}", kind.name()));
                }
                self.push(Op::Negate(op), kind)
            }
            Kind::Binary { operator, operator_span, left, right } => {
                let (left, right) = (self.lower(left), self.lower(right));
                self.binary(*operator, *operator_span, left, right)
            }
            Kind::And(operands) => {
                let operands = self.conditions(operands, "&&");
                self.push(Op::And(operands), Type::Bool)
            }
            Kind::Or(operands) => {
                let operands = self.conditions(operands, "||");
                self.push(Op::Or(operands), Type::Bool)
            }
            Kind::Ternary(parts) => {
                let [condition, then, otherwise] = parts.as_ref();
                let condition = self.condition(condition, "`? :`");
                let (then, otherwise) = (self.lower(then), self.lower(otherwise));
                self.push(Op::If(condition, then.0, otherwise.0), then.1.or(otherwise.1))
            }
            Kind::List(elements) => {
                let mut lowered = Vec::with_capacity(elements.len());
                for element in elements {
                    lowered.push((element.optional, self.literal_part(&element.value, element.optional)));
                }
                self.push(Op::List(lowered.into()), Type::List)
            }
            Kind::Map(entries) => {
                let mut lowered = Vec::with_capacity(entries.len());
                let mut keys = HashSet::with_capacity(entries.len());
                let mut distinct = true;
                for entry in entries {
                    match &entry.key.kind {
                        Kind::Str(key) if !keys.insert(key.as_str()) => {
                            let message = format!("the key `{}` stands twice", key.escape_debug());
                            self.faults.push(Fault::new(Code::DuplicateKey, entry.key.span, message));
                        }
                        Kind::Str(_) => {}
                        _ => distinct = false,
                    }
                    let (key, kind) = self.lower(&entry.key);
                    if !kind.may_be(&[Type::Str, Type::Number, Type::Bool]) {
                        self.mismatch(entry.key.span, format!("{} cannot be a key", kind.name()));
                    }
                    lowered.push((entry.optional, key, self.literal_part(&entry.value, entry.optional)));
                }
                let literal = MapLiteral::new(lowered, distinct, &self.ops);
                self.push(Op::Map(literal), Type::Map)
            }
        }
    }

    fn literal_part(&mut self, node: &Node, optional: bool) -> OpId {
        let (op, kind) = self.lower(node);
        if optional && !kind.may_be(&[Type::Optional]) {
            self.mismatch(node.span, format!("after `?` an optional is needed, not {}", kind.name()));
        }
        op
    }

    fn conditions(&mut self, operands: &[Node], symbol: &str) -> Box<[OpId]> {
        operands.iter().map(|operand| self.condition(operand, &format!("`{symbol}`"))).collect()
    }

    /// Lowers something that must be a boolean.
    fn condition(&mut self, node: &Node, whose: &str) -> OpId {
        let (op, kind) = self.lower(node);
        if !kind.may_be(&[Type::Bool]) {
            self.mismatch(node.span, format!("{whose} needs a boolean, not {}", kind.name()));
        }
        op
    }
}
