//! What can be said of a value's type before there is data: enough to refuse what can never work.

/// A type, as far as the text alone tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Not known before there is data.
    Any,
    /// `null`
    Null,
    /// A boolean.
    Bool,
    /// An int, a uint or a double.
    Number,
    /// Text.
    Str,
    /// Bytes.
    Bytes,
    /// A list.
    List,
    /// A map.
    Map,
    /// A point in time.
    Timestamp,
    /// A span of time.
    Duration,
    /// An optional.
    Optional,
    /// A type, an address or a range of addresses.
    Other,
}

impl Type {
    /// Its name in messages, with an article where it needs one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Str => "a string",
            Self::Bytes => "bytes",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Timestamp => "a timestamp",
            Self::Duration => "a duration",
            Self::Optional => "an optional",
            Self::Other => "a type or an address",
        }
    }

    /// Whether a value of this type may be one of those.
    pub(super) fn may_be(self, types: &[Self]) -> bool {
        self == Self::Any || types.contains(&self)
    }

    /// The type of a value that is one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Any }
    }
}
