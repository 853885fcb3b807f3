//! The tree that the parser makes: what is written, with byte offsets, names not resolved.

/// Where something stands in the source: byte offsets, the end exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

/// An expression.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) span: Span,
    /// One more than the highest below it; the parser bounds it, so that walks may recurse.
    pub(super) height: u16,
}

#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Str(String),
    Bytes(Vec<u8>),
    /// `rooted` when it is written with a leading dot, which skips loop variables.
    Name {
        name: String,
        rooted: bool,
    },
    Select {
        base: Box<Node>,
        field: String,
        field_span: Span,
        optional: bool,
    },
    Index {
        base: Box<Node>,
        key: Box<Node>,
        optional: bool,
    },
    Call {
        target: Option<Box<Node>>,
        name: String,
        name_span: Span,
        arguments: Vec<Node>,
    },
    List(Vec<Element>),
    Map(Vec<Entry>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary {
        operator: Operator,
        operator_span: Span,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// Two or more operands of `&&`.
    And(Vec<Node>),
    /// Two or more operands of `||`.
    Or(Vec<Node>),
    Ternary(Box<[Node; 3]>),
}

/// An element of a list literal; `optional` when it is written `?e`.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) optional: bool,
    pub(super) value: Node,
}

/// An entry of a map literal; `optional` when it is written `?k: v`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) optional: bool,
    pub(super) key: Node,
    pub(super) value: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

impl Operator {
    /// Whether it gives a boolean whatever its operands are.
    pub(super) fn is_test(self) -> bool {
        !matches!(self, Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder)
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
        }
    }
}
