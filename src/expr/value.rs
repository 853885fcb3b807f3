//! Values during evaluation: borrowed from documents and programs wherever they can be.

mod write;

use std::{borrow::Cow, fmt, net::IpAddr, rc::Rc};

pub(super) use write::{separate, write_value};

use super::{EvalError, Object, arithmetic::Num};
use crate::json::{Kind, Ref};

/// Members of a map, keys as text.
pub(super) type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

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
    /// a number that no other kind holds exactly, as its text
    Number(Rc<str>),
    /// text
    Str(Cow<'a, str>),
    /// bytes
    Bytes(Cow<'a, [u8]>),
    /// an untouched part of a document
    Json(Ref<'a>),
    /// a native map
    Object(&'a dyn Object),
    /// a list made by evaluation
    List(Rc<[Self]>),
    /// a map made by evaluation, in order
    Map(Rc<[(Self, Self)]>),
    /// a point in time: seconds and nanoseconds since 1970-01-01T00:00:00Z
    Timestamp(i64, u32),
    /// a span of time: seconds and nanoseconds of the same sign
    Duration(i64, i32),
    /// an address
    Ip(IpAddr),
    /// a range of addresses: one of them and the length of the prefix
    Cidr(IpAddr, u8),
    /// a type, by its name
    Type(&'static str),
    /// an optional
    Optional(Option<Rc<Self>>),
    /// `omit()`: drops its key or element
    Omit,
}

impl<'a> Value<'a> {
    /// A clone for the many places where it is a part of a document, which is copied at no cost.
    #[inline]
    pub(super) fn copy(&self) -> Self {
        match self {
            Self::Json(json) => Self::Json(*json),
            other => other.clone(),
        }
    }

    /// Whether it drops its key or list element: `omit()` or `optional.none()`.
    #[must_use]
    pub fn is_omitted(&self) -> bool {
        match self {
            Self::Omit | Self::Optional(None) => true,
            Self::Optional(Some(inner)) => inner.is_omitted(),
            _ => false,
        }
    }

    /// Whether it is `null`, made or of a document.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Json(json) => json.is_null(),
            _ => false,
        }
    }

    /// The boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Json(json) => json.as_bool(),
            _ => None,
        }
    }

    /// The text; borrowed unless it was computed here or has escapes in its document.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Str(text) => Some(Cow::Borrowed(text)),
            Self::Json(json) => json.as_str(),
            _ => None,
        }
    }

    /// The bytes of a bytes value.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The integer, if the value is a whole number within int64. A double counts if it is whole.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match Num::of(self)? {
            Num::Int(value) => Some(value),
            Num::Uint(value) => i64::try_from(value).ok(),
            Num::Double(value) => (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64),
            Num::Text(_) => None,
        }
    }

    /// The part of a document that it is, untouched.
    #[must_use]
    pub fn as_json(&self) -> Option<Ref<'a>> {
        match self {
            Self::Json(json) => Some(*json),
            _ => None,
        }
    }

    /// What is inside an optional, and any other value as it is; `None` for what is omitted.
    #[must_use]
    #[inline]
    pub fn present(self) -> Option<Self> {
        match self {
            Self::Omit | Self::Optional(_) => self.inner(),
            value => Some(value),
        }
    }

    fn inner(self) -> Option<Self> {
        let mut value = self;
        loop {
            value = match value {
                Self::Omit | Self::Optional(None) => return None,
                Self::Optional(Some(inner)) => Self::clone(&inner),
                other => return Some(other),
            };
        }
    }

    /// How many elements it has, if it is a list of any origin.
    #[must_use]
    pub fn list_len(&self) -> Option<usize> {
        match self {
            Self::List(list) => Some(list.len()),
            Self::Json(json) if json.kind() == Kind::List => Some(json.len()),
            _ => None,
        }
    }

    /// Whether it is a list of any origin.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.list_len().is_some()
    }

    /// Whether it is a map of any origin.
    #[must_use]
    pub fn is_map(&self) -> bool {
        match self {
            Self::Map(_) | Self::Object(_) => true,
            Self::Json(json) => json.kind() == Kind::Map,
            _ => false,
        }
    }

    /// The elements, if it is a list (of a document or made).
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(list) => Some(list.to_vec()),
            Self::Json(json) if json.kind() == Kind::List => Some(json.items().map(Self::Json).collect()),
            _ => None,
        }
    }

    /// The members, if it is a map of any origin. Members of a native map that cannot be read are
    /// left out.
    #[must_use]
    pub fn members(&self) -> Option<Vec<(Cow<'a, str>, Self)>> {
        match self {
            Self::Object(object) => Some(
                object
                    .keys()
                    .into_iter()
                    .filter_map(|key| object.get(&key).ok().flatten().map(|v| (key, v)))
                    .collect(),
            ),
            other => other.entries().ok().flatten(),
        }
    }

    /// The members, if it is a map of any origin.
    pub(super) fn entries(&self) -> Result<Option<Members<'a>>, EvalError> {
        match self {
            Self::Json(json) if json.kind() == Kind::Map => {
                Ok(Some(json.members().map(|(key, value)| (key, Self::Json(value))).collect()))
            }
            Self::Map(map) => map
                .iter()
                .map(|(key, value)| Ok((key.key()?, value.clone())))
                .collect::<Result<_, _>>()
                .map(Some),
            Self::Object(object) => {
                let mut members = Vec::new();
                for key in object.keys() {
                    if let Some(value) = object.get(&key)? {
                        members.push((key, value));
                    }
                }
                Ok(Some(members))
            }
            _ => Ok(None),
        }
    }

    /// As the key of a JSON map: a string, or the text of a number or boolean.
    pub(super) fn key(&self) -> Result<Cow<'a, str>, EvalError> {
        match self {
            Self::Str(text) => Ok(text.clone()),
            Self::Json(json) if json.kind() == Kind::String => Ok(json.as_str().unwrap_or_default()),
            other => {
                let mut text = String::new();
                other.text(&mut text)?;
                Ok(Cow::Owned(text))
            }
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Uint(_) | Self::Double(_) | Self::Number(_) => "a number",
            Self::Str(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Json(json) => match json.kind() {
                Kind::Null => "null",
                Kind::Bool => "a boolean",
                Kind::Number => "a number",
                Kind::String => "a string",
                Kind::List => "a list",
                Kind::Map => "a map",
            },
            Self::Object(_) | Self::Map(_) => "a map",
            Self::List(_) => "a list",
            Self::Timestamp(..) => "a timestamp",
            Self::Duration(..) => "a duration",
            Self::Ip(_) => "an IP address",
            Self::Cidr(..) => "a CIDR",
            Self::Type(_) => "a type",
            Self::Optional(_) => "an optional",
            Self::Omit => "`omit()`",
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Str(Cow::Borrowed(text))
    }
}

impl<'a> From<Ref<'a>> for Value<'a> {
    fn from(json: Ref<'a>) -> Self {
        Self::Json(json)
    }
}

impl fmt::Debug for Value<'_> {
    /// Says what it is and never what it holds, as data is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.type_name())
    }
}
