//! The vocabulary for tables of keys. One table per map of the format says which keys it has, what
//! they hold and since when they work; the decoder and the JSON Schema both read it.

/// A map of the format.
#[derive(Debug)]
pub(super) struct Object {
    /// What it is called in messages and in the schema: `a step`.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) keys: &'static [Key],
    /// Groups of keys of which exactly one must be there; checked by the decoder of the kind.
    pub(super) one_of: &'static [&'static str],
    /// Whether other keys are allowed, as members of a problem are.
    pub(super) open: bool,
}

/// A key of a map.
#[derive(Debug)]
pub(super) struct Key {
    /// As written.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) shape: Shape,
    /// Whether it must be there, or cannot be yet.
    pub(super) need: Need,
    /// One line for editors.
    pub(super) doc: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Always.
    Required,
    /// At will.
    Optional,
    /// It belongs to the format but does not work in this version.
    Later,
}

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Text; numbers and booleans are taken as they are written.
    Text,
    /// A name: `[a-z0-9-]{1,63}`.
    Name,
    /// `true` or `false`.
    Flag,
    /// A whole number in a range.
    Count(u64, u64),
    /// A duration.
    Duration,
    /// A size.
    Size,
    /// A number from 0 to 1.
    Share,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any value, expressions allowed.
    Value,
    /// A URL or address, or `{env, default}`.
    Place,
    /// `{env, prefix}` or `{file, prefix}`.
    Secret,
    /// Text or a secret.
    TextOrSecret,
    /// A map with fixed keys.
    Object(&'static Object),
    /// A map with these keys or with free ones, as what stands beside it says.
    Either(&'static Object),
    /// A list.
    List(&'static Self),
    /// A map with free keys.
    Map(&'static Self),
}

/// A key that may be absent.
pub(super) const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, need: Need::Optional, doc }
}

/// A key that must be there.
pub(super) const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, need: Need::Required, doc }
}

/// A key of the format that this version refuses.
pub(super) const fn later(name: &'static str) -> Key {
    Key { name, shape: Shape::Value, need: Need::Later, doc: "Does not work in this version." }
}

impl Object {
    /// The entry of a key.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Keys that are refused wherever they stand, until they work.
pub(super) const RESERVED: &[&str] = &[
    "compensate",
    "saga",
    "idempotency",
    "idempotencyKey",
    "detached",
    "repeat",
    "race",
    "cache",
    "split",
    "mirror",
    "slo",
    "business",
    "introspection",
    "crl",
    "hedge",
];

/// Kinds of the format with the tree they belong in and whether they work.
pub(super) const KINDS: &[(&str, Owner, bool)] = &[
    ("Gateway", Owner::Policies, true),
    ("Unit", Owner::Policies, true),
    ("Consumer", Owner::Policies, true),
    ("Policy", Owner::Policies, true),
    ("PolicyBinding", Owner::Policies, true),
    ("Override", Owner::Policies, false),
    ("Service", Owner::Routes, true),
    ("Composition", Owner::Routes, true),
    ("Route", Owner::Routes, true),
];

/// Which tree a kind belongs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// `policies/`
    Policies,
    /// `routes/`
    Routes,
}

impl Owner {
    /// The folder.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Policies => "policies/",
            Self::Routes => "routes/",
        }
    }
}
