//! The functions that expressions may call: one entry each, found at load by name and form.
//!
//! A new function is an entry of [`TABLE`] and a small function in the file of its kind. What later
//! versions bring is listed in [`LATER`], so that a call of it is refused with the right words.
//! Macros and the forms that do not evaluate all their arguments are in `resolve/call.rs`.

mod convert;
mod map;
mod optional;
mod text;

use super::{EvalError, Value, eval::Machine, types::Type};

pub(super) type Evaluated<'a> = Result<Value<'a>, EvalError>;

/// How a function is run.
#[derive(Clone, Copy)]
pub(super) enum Run {
    None(for<'a, 'f> fn(&mut Machine<'a, 'f>) -> Evaluated<'a>),
    One(for<'a, 'f> fn(&mut Machine<'a, 'f>, Value<'a>) -> Evaluated<'a>),
    Two(for<'a, 'f> fn(&mut Machine<'a, 'f>, Value<'a>, Value<'a>) -> Evaluated<'a>),
    Many(for<'a, 'f> fn(&mut Machine<'a, 'f>, Vec<Value<'a>>) -> Evaluated<'a>),
}

/// How a function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `f(x)`
    Global,
    /// `x.f()`
    Method,
    /// Either way.
    Both,
}

pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// The least and most values it takes, the one it is called on included.
    pub(super) least: usize,
    pub(super) most: usize,
    /// What the first value may be; empty for anything.
    pub(super) takes: &'static [Type],
    pub(super) gives: Type,
    pub(super) run: Run,
}

const fn entry(name: &'static str, form: Form, takes: &'static [Type], gives: Type, run: Run) -> Function {
    let (least, most) = match run {
        Run::None(_) => (0, 0),
        Run::One(_) => (1, 1),
        Run::Two(_) => (2, 2),
        Run::Many(_) => (1, usize::MAX),
    };
    Function { name, form, least, most, takes, gives, run }
}

/// What stands before the dot of a function that is not a method.
pub(super) const NAMESPACES: [&str; 11] =
    ["optional", "math", "base64", "base64url", "json", "url", "cel", "strings", "lists", "sets", "regex"];

pub(super) static TABLE: &[Function] = {
    use Form::{Both, Global, Method};
    use Run::{Many, None, One, Two};
    use Type::{Any, Bool, Bytes, Duration, List, Map, Number, Optional, Str, Timestamp};
    &[
        entry("size", Both, &[Str, Bytes, List, Map], Number, One(map::size)),
        entry("merge", Global, &[Map], Map, Many(map::merge)),
        entry("omit", Global, &[], Any, None(optional::omit)),
        entry("contains", Method, &[Str], Bool, Two(text::contains)),
        entry("startsWith", Method, &[Str], Bool, Two(text::starts_with)),
        entry("endsWith", Method, &[Str], Bool, Two(text::ends_with)),
        entry("int", Global, &[Number, Str, Timestamp, Duration], Number, One(convert::int)),
        entry("uint", Global, &[Number, Str], Number, One(convert::uint)),
        entry("double", Global, &[Number, Str], Number, One(convert::double)),
        entry("string", Global, &[Number, Str, Bool, Bytes, Timestamp, Duration], Str, One(convert::string)),
        entry("bool", Global, &[Bool, Str], Bool, One(convert::bool)),
        entry("bytes", Global, &[Bytes, Str], Bytes, One(convert::bytes)),
        entry("dyn", Global, &[], Any, One(convert::dynamic)),
        entry("optional.of", Global, &[], Optional, One(optional::of)),
        entry("optional.none", Global, &[], Optional, None(optional::none)),
        entry("optional.ofNonZeroValue", Global, &[], Optional, One(optional::of_non_zero_value)),
        entry("hasValue", Method, &[Optional], Bool, One(optional::has_value)),
        entry("value", Method, &[Optional], Any, One(optional::value)),
    ]
};

/// The function of that name, if it may be called that way.
pub(super) fn find(name: &str, method: bool) -> Option<&'static Function> {
    let form = if method { Form::Method } else { Form::Global };
    TABLE
        .iter()
        .find(|function| function.name == name && (function.form == form || function.form == Form::Both))
}

/// Functions of the language that do not work yet.
pub(super) const LATER: &[&str] = &[
    "base64.decode",
    "base64.encode",
    "base64url.decode",
    "base64url.encode",
    "bucket",
    "cel.bind",
    "charAt",
    "distinct",
    "duration",
    "first",
    "flatten",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "groupBy",
    "inCidr",
    "indexOf",
    "join",
    "json.decode",
    "json.encode",
    "keyBy",
    "last",
    "lastIndexOf",
    "lists.range",
    "lowerAscii",
    "matches",
    "math.abs",
    "math.bitAnd",
    "math.bitNot",
    "math.bitOr",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "math.bitXor",
    "math.ceil",
    "math.floor",
    "math.greatest",
    "math.isFinite",
    "math.isInf",
    "math.isNaN",
    "math.least",
    "math.round",
    "math.sign",
    "math.sqrt",
    "math.trunc",
    "optFlatMap",
    "optMap",
    "optional.unwrap",
    "quote",
    "regex.extract",
    "regex.extractAll",
    "regex.replace",
    "replace",
    "reverse",
    "round",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "sha256",
    "slice",
    "sort",
    "sortBy",
    "split",
    "strings.quote",
    "substring",
    "sum",
    "timestamp",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "trim",
    "type",
    "unwrapOpt",
    "upperAscii",
    "url.encode",
    "uuid",
];
