//! Scalars with expressions: split, compiled, every fault placed inside the scalar.
//!
//! [`Expressions`] also remembers what was read and where; `graph` turns that into order.

use super::findings::Findings;
use crate::{
    config::{Node, request::RequestTemplate, yaml::Value},
    diagnostic::{Code, Diagnostic, Place},
    expr::{self, Part, Piece, Program, Scope, Slot, StepField, Text, Type},
};

/// Literals and expressions of one scalar. The place of each fault is sought from the scalar's start.
const MAX_PIECES: usize = 512;

/// Names looked for in a broken expression.
const MAX_GUESSES: usize = 1000;

/// A place of a document that reads a slot.
#[derive(Clone, Copy)]
pub(super) struct Read<'t> {
    pub(super) slot: Slot,
    /// Absence is no error there.
    pub(super) tolerant: bool,
    /// The slot is a whole body: its bytes are forwarded untouched.
    pub(super) whole: bool,
    node: &'t Node,
    offset: usize,
    width: usize,
}

impl Read<'_> {
    /// Computed when asked for: most reads never need it.
    pub(super) fn place(&self) -> Place {
        self.node.place_at(self.offset, self.width)
    }
}

/// Compiles the expressions of one document.
pub(super) struct Expressions<'t, 'f> {
    pub(super) findings: &'f mut Findings,
    /// What names mean where the next expression stands.
    pub(super) scope: Scope,
    /// Nothing may be computed here: the answer is fixed at load.
    pub(super) fixed: bool,
    /// What a Route declares of its requests.
    pub(super) request: Option<&'t RequestTemplate>,
    reads: Vec<Read<'t>>,
    /// Roots whose names stand under a misspelt key: whatever is read of them may be there.
    pub(super) unread: &'t [&'static str],
    /// A step was named that is not there, so that nobody knows which of them is read.
    pub(super) unresolved: bool,
}

impl<'t, 'f> Expressions<'t, 'f> {
    pub(super) const fn new(scope: Scope, findings: &'f mut Findings) -> Self {
        Self {
            findings,
            scope,
            fixed: false,
            request: None,
            reads: Vec::new(),
            unread: &[],
            unresolved: false,
        }
    }

    /// What was read since the last call.
    pub(super) fn take_reads(&mut self) -> Vec<Read<'t>> {
        std::mem::take(&mut self.reads)
    }

    /// How many reads there are, for [`Self::mark_whole`].
    pub(super) const fn mark(&self) -> usize {
        self.reads.len()
    }

    /// Whatever was read since `mark` is forwarded whole.
    pub(super) fn mark_whole(&mut self, mark: usize) {
        self.reads[mark..].iter_mut().for_each(|read| read.whole = true);
    }

    /// A scalar as text: a literal, one expression, or a concatenation.
    pub(super) fn text(&mut self, node: &'t Node) -> Option<Text> {
        match &node.value {
            Value::Text(text) => self.scalar(node, text),
            Value::Bool(value) => Some(Text::Literal(value.to_string())),
            Value::Number(text) => Some(Text::Literal(text.clone())),
            Value::Null => {
                self.findings.advise(
                    Code::WrongType,
                    &node.place,
                    "null has no text",
                    "write \"\" for empty text, or leave the key out",
                );
                None
            }
            Value::List(_) | Value::Map(_) => {
                self.findings.error(Code::WrongType, &node.place, "expected one scalar");
                None
            }
        }
    }

    /// Text that may hold expressions.
    pub(super) fn scalar(&mut self, node: &'t Node, text: &str) -> Option<Text> {
        if !text.contains('$') {
            return Some(Text::Literal(text.to_owned()));
        }
        let pieces = self.pieces(node, text)?;
        let expressions = pieces.iter().filter(|piece| matches!(piece, Piece::Expression { .. })).count();
        let mut parts = Vec::with_capacity(pieces.len());
        let mut whole = true;
        let alone = pieces.len() == 1;
        for piece in pieces {
            match piece {
                Piece::Literal(text) => parts.push(Part::Literal(text)),
                Piece::Expression { offset, source } => {
                    let program = self.expression(node, offset, &source);
                    match program.filter(|program| alone || self.has_text(node, offset, program)) {
                        Some(program) => parts.push(Part::Program(program)),
                        None => whole = false,
                    }
                }
            }
        }
        if !whole {
            return None;
        }
        if expressions == 0 {
            let literal = parts.into_iter().filter_map(|part| match part {
                Part::Literal(text) => Some(text),
                Part::Program(_) => None,
            });
            return Some(Text::Literal(literal.collect()));
        }
        match parts.pop() {
            Some(Part::Program(program)) if parts.is_empty() => Some(Text::One(program)),
            last => {
                parts.extend(last);
                Some(Text::Parts(parts))
            }
        }
    }

    /// Splits a scalar; an unclosed `${` is a finding.
    pub(super) fn pieces(&mut self, node: &'t Node, text: &str) -> Option<Vec<Piece>> {
        match expr::split(text) {
            Ok(pieces) if pieces.len() > MAX_PIECES => {
                let message = format!("more than {} expressions in one scalar", MAX_PIECES / 2);
                self.findings.error(Code::ExpressionTooLarge, &node.place, message);
                None
            }
            Ok(pieces) => Some(pieces),
            Err(error) => {
                let help = if node.cut_by_comment() {
                    "quote this expression: in an unquoted scalar ` #` starts a comment, which cuts it off"
                } else {
                    "close it with `}` and quote this expression; a literal `${` is written `$${`"
                };
                let place = node.place_at(error.offset, 2);
                self.findings.advise(Code::UnclosedExpression, &place, "a `${` has no closing `}`", help);
                self.guess(node, text);
                None
            }
        }
    }

    /// Compiles what stands between `${` and `}`; `offset` is where that starts in the scalar's value.
    pub(super) fn expression(&mut self, node: &'t Node, offset: usize, source: &str) -> Option<Program> {
        if self.fixed {
            let place = node.place_at(offset.saturating_sub(2), source.chars().count() + 3);
            self.findings.advise(
                Code::InvalidValue,
                &place,
                "a static answer is fixed at load, so it holds no expression",
                "use `respond` for a computed answer; a literal `${` is written `$${`",
            );
            return None;
        }
        match Program::compile(source, &self.scope) {
            Ok(program) => {
                for read in program.references() {
                    self.reads.push(Read {
                        slot: read.slot,
                        tolerant: read.tolerant,
                        whole: false,
                        node,
                        offset: offset + read.offset,
                        width: path_width(source, read.offset),
                    });
                }
                Some(program)
            }
            Err(faults) => {
                for fault in faults {
                    if self.findings.is_full() {
                        break;
                    }
                    self.unresolved |= fault.code == Code::UnknownStep;
                    if self.follows(source, fault.offset) {
                        continue;
                    }
                    let end = (fault.offset + fault.len).min(source.len());
                    let width = source.get(fault.offset..end).map_or(1, |text| text.chars().count().max(1));
                    let place = node.place_at(offset + fault.offset, width);
                    let mut finding = Diagnostic::new(fault.code, place, fault.message);
                    finding.help = fault.help;
                    self.findings.push(finding);
                }
                self.guess(node, source);
                None
            }
        }
    }

    /// Whether a fault follows from another mistake, which has its finding: the key under which the name would
    /// stand is misspelt, or the step has a name that no expression can read.
    fn follows(&mut self, source: &str, offset: usize) -> bool {
        let before = source.get(..offset).unwrap_or_default();
        let root = before.trim_end_matches(|c: char| c.is_whitespace() || ".?[\"'".contains(c));
        let unread = self.unread.iter().any(|name| root.ends_with(name));
        let dashed = self.scope.steps.iter().any(|step| {
            let read = format!("steps.{}", step.name);
            step.name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                && source.match_indices(&read).any(|(at, _)| (at..at + read.len()).contains(&offset))
        });
        self.unresolved |= dashed;
        unread || dashed
    }

    /// A condition: `${…}`, or a plain `true` or `false`.
    pub(super) fn condition(&mut self, node: &'t Node) -> Option<Program> {
        match &node.value {
            Value::Bool(value) => self.expression(node, 0, if *value { "true" } else { "false" }),
            _ => self.program(node, "a condition", &[Type::Bool]),
        }
    }

    /// Whether what an expression gives can be a part of text, as far as is known.
    pub(super) fn has_text(&mut self, node: &Node, offset: usize, program: &Program) -> bool {
        let kind = program.known_type();
        let has = !matches!(kind, Type::Null | Type::List | Type::Map | Type::Bytes);
        if !has {
            let place = node.place_at(offset.saturating_sub(2), program.source().chars().count() + 3);
            let message = format!("{} has no text that could be put in here", kind.name());
            self.findings.error(Code::TypeMismatch, &place, message);
        }
        has
    }

    /// A scalar that is exactly one expression, which may give one of these types.
    pub(super) fn program(&mut self, node: &'t Node, what: &str, types: &[Type]) -> Option<Program> {
        let Value::Text(text) = &node.value else {
            self.findings.advise(
                Code::WrongType,
                &node.place,
                format!("{what} is one expression"),
                "write `${ … }`",
            );
            return None;
        };
        match self.scalar(node, text)? {
            Text::One(program) => {
                let kind = program.known_type();
                if kind == Type::Any || types.contains(&kind) {
                    return Some(program);
                }
                let start = text.find("${").unwrap_or(0);
                let place = node.place_at(start, text.trim().chars().count());
                let message = format!("{what} cannot be {}", kind.name());
                self.findings.error(Code::TypeMismatch, &place, message);
                None
            }
            Text::Literal(_) => {
                let mut finding = Diagnostic::new(
                    Code::WrongType,
                    node.place.clone(),
                    format!("{what} is one expression, this is text"),
                );
                if !text.trim().is_empty() && text.len() < 200 && !text.contains('$') {
                    finding = finding.help(format!("write `${{ {} }}`", text.trim()));
                }
                self.findings.push(finding);
                None
            }
            Text::Parts(_) => {
                self.findings.advise(
                    Code::TypeMismatch,
                    &node.place,
                    format!("{what} is one expression, this is text made of several parts"),
                    "put the whole of it between one `${` and `}`",
                );
                None
            }
        }
    }

    /// A list: one expression, or written in place.
    pub(super) fn list(&mut self, node: &'t Node, what: &str) -> Option<Program> {
        if !matches!(node.value, Value::List(_)) {
            return self.program(node, what, &[Type::List, Type::Optional]);
        }
        match self.shape(node)? {
            // A literal's JSON is CEL too.
            expr::Shape::Literal(json) => self.expression(node, 0, &String::from_utf8_lossy(&json)),
            _ => {
                self.findings.advise(
                    Code::WrongType,
                    &node.place,
                    format!("{what} is one expression or a list without expressions"),
                    "write the list inside one `${ … }`",
                );
                None
            }
        }
    }

    /// A broken expression still names steps and vars: they count as read, so that one mistake does not
    /// cause a finding about something that is not wrong.
    fn guess(&mut self, node: &'t Node, source: &str) {
        let names = |root: &'static str| {
            source.match_indices(root).take(MAX_GUESSES).filter_map(move |(at, _)| {
                let before = source[..at].chars().next_back();
                let rest = source[at + root.len()..].trim_start_matches('?');
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                (!before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.')).then_some(&rest[..end])
            })
        };
        let scope = &self.scope;
        let steps = names("steps.").filter_map(|name| {
            let index = scope.steps.iter().position(|step| step.name == name)?;
            Some(Slot::Step(u16::try_from(index).ok()?, StepField::Outcome))
        });
        let vars = names("vars.").filter_map(|name| {
            let index = scope.vars.iter().position(|var| var == name)?;
            Some(Slot::Var(u16::try_from(index).ok()?))
        });
        let reads = steps.chain(vars).map(|slot| Read {
            slot,
            tolerant: true,
            whole: false,
            node,
            offset: 0,
            width: 1,
        });
        self.reads.extend(reads);
    }
}

/// How many characters a path such as `steps.profile.body` takes.
fn path_width(source: &str, offset: usize) -> usize {
    let rest = source.get(offset..).unwrap_or_default();
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')).count().max(1)
}
