//! What an expression is lowered to: operations in one array that refer to each other by index.

use super::{ast::Operator, calendar::Field, function::Run, pattern::Pattern, slot::Slot, zone::Zone};
use crate::json::write_string;

/// The index of an operation.
pub(super) type OpId = u32;

/// An operation.
pub(super) enum Op {
    /// What was refused when names were resolved: such an expression is never run.
    Refused,
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    /// Data and the path below it.
    Chain(Chain),
    /// Whether the end of a path is there.
    Has(Chain),
    /// `request.path` as a map.
    Captures(Box<[(Box<str>, Slot)]>),
    /// `headerValues(name)` and `queryValues(name)` on the map behind a slot.
    Values(Chain, OpId),
    Not(OpId),
    Negate(OpId),
    Binary(Operator, OpId, OpId),
    /// A row of `+` that is known to give a string.
    Concat(Vec<OpId>),
    And(Box<[OpId]>),
    Or(Box<[OpId]>),
    If(OpId, OpId, OpId),
    List(Box<[(bool, OpId)]>),
    Map(MapLiteral),
    Call(Run, Box<[OpId]>),
    /// The value of an optional, or what stands in for it.
    OrValue(OpId, OpId),
    /// An optional, or another one.
    OrOptional(OpId, OpId),
    Loop(Box<Loop>),
    /// A macro with two variables.
    Pairs(Box<Pairs>),
    /// A value under a name.
    Bind(Box<Bind>),
    /// `sortBy`: the list, where its variable is kept, the key.
    SortBy(OpId, u16, OpId),
    /// `matches` with a pattern that is known at load.
    Matches(OpId, Box<Pattern>),
    /// A field of a timestamp in a time zone that is known at load.
    Field(Field, OpId, Zone),
    /// A field of a timestamp in a time zone that data names.
    FieldIn(Field, OpId, OpId),
    /// A type as a value.
    Type(&'static str),
    /// `uuid()`; the number tells this place from all others.
    Uuid(u64),
}

/// A map literal.
pub(super) struct MapLiteral {
    /// Whether the entry is written `?k: v`, its key and its value.
    pub(super) entries: Box<[(bool, OpId, OpId)]>,
    /// The keys as JSON, each with its colon, if every key is a literal string and none stands twice:
    /// then nothing is left to check or to escape.
    pub(super) keys: Option<Box<[Box<[u8]>]>>,
}

impl MapLiteral {
    /// `distinct`: every key is a literal string and none stands twice.
    pub(super) fn new(entries: Vec<(bool, OpId, OpId)>, distinct: bool, ops: &[Op]) -> Self {
        let text = |key: OpId| match ops.get(key as usize) {
            Some(Op::Str(key)) => {
                let mut text = Vec::with_capacity(key.len() + 3);
                write_string(key, &mut text);
                text.push(b':');
                Some(text.into_boxed_slice())
            }
            _ => None,
        };
        let keys = if distinct { entries.iter().map(|(_, key, _)| text(*key)).collect() } else { None };
        Self { entries: entries.into(), keys }
    }
}

/// A macro over the elements of a list or the keys of a map. Its variable is the innermost local.
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    /// Where its variable is kept: how many macros are around it.
    pub(super) slot: u16,
    pub(super) range: OpId,
    /// The condition of a `map` with three arguments.
    pub(super) condition: Option<OpId>,
    pub(super) body: OpId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A macro over the indexes and elements of a list or the keys and values of a map. Its variables are
/// kept at `slot` and behind it.
pub(super) struct Pairs {
    pub(super) kind: PairsKind,
    pub(super) slot: u16,
    pub(super) range: OpId,
    pub(super) condition: Option<OpId>,
    pub(super) body: OpId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairsKind {
    All,
    Exists,
    ExistsOne,
    TransformList,
    TransformMap,
    TransformMapEntry,
}

/// A variable that is not a loop's.
pub(super) struct Bind {
    pub(super) kind: BindKind,
    pub(super) slot: u16,
    pub(super) value: OpId,
    pub(super) body: OpId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BindKind {
    /// `cel.bind`
    Value,
    /// `optMap`
    Map,
    /// `optFlatMap`
    FlatMap,
}

/// A base and the links selected from it one after the other.
pub(super) struct Chain {
    pub(super) base: Base,
    pub(super) links: Box<[Link]>,
    /// Already optional before the first link, as in `steps.a.?body`.
    pub(super) optional: bool,
    /// A missing base is no error, as something in the chain is optional.
    pub(super) tolerant: bool,
    /// Where the source of the base begins and ends, for messages.
    pub(super) start: u32,
    pub(super) end: u32,
}

pub(super) enum Base {
    Slot(Slot),
    Local(u16),
    Op(OpId),
}

/// One selection.
pub(super) struct Link {
    pub(super) key: Key,
    pub(super) optional: bool,
    /// Where its source ends, for messages.
    pub(super) end: u32,
}

pub(super) enum Key {
    Name(Box<str>),
    Computed(OpId),
}
