//! The functions that expressions may call: one entry each, found at load by name and form.
//!
//! A new function is an entry of [`TABLE`] and a small function in the file of its kind. It takes fuel
//! for what it looks at and bytes for what it makes before it does so. Macros and the forms that do not
//! evaluate all their arguments are in `resolve/macros.rs` and `resolve/call.rs`.

mod argument;
mod clock;
mod convert;
mod encode;
mod format;
mod list;
mod map;
mod math;
mod network;
mod optional;
mod text;

pub(super) use argument::elements;
pub(super) use clock::{field, zone};
pub(super) use encode::uuid;
pub(super) use list::sort_by_keys;

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

impl Function {
    /// With these bounds on how many values it takes.
    const fn taking(mut self, least: usize, most: usize) -> Self {
        self.least = least;
        self.most = most;
        self
    }
}

/// What stands before the dot of a function that is not a method.
pub(super) const NAMESPACES: [&str; 10] =
    ["optional", "math", "base64", "base64url", "json", "url", "cel", "strings", "lists", "ip"];

pub(super) static TABLE: &[Function] = {
    use Form::{Both, Global, Method};
    use Run::{Many, None, One, Two};
    use Type::{Any, Bool, Bytes, Duration, List, Map, Number, Optional, Other, Str, Timestamp};
    &[
        entry("size", Both, &[Str, Bytes, List, Map], Number, One(map::size)),
        entry("contains", Method, &[Str], Bool, Two(text::contains)),
        entry("startsWith", Method, &[Str], Bool, Two(text::starts_with)),
        entry("endsWith", Method, &[Str], Bool, Two(text::ends_with)),
        entry("matches", Both, &[Str], Bool, Two(text::matches)),
        // Conversions.
        entry("int", Global, &[Number, Str, Timestamp], Number, One(convert::int)),
        entry("uint", Global, &[Number, Str], Number, One(convert::uint)),
        entry("double", Global, &[Number, Str], Number, One(convert::double)),
        entry(
            "string",
            Global,
            &[Number, Str, Bool, Bytes, Timestamp, Duration, Other],
            Str,
            One(convert::string),
        ),
        entry("bool", Global, &[Bool, Str], Bool, One(convert::bool)),
        entry("bytes", Global, &[Bytes, Str], Bytes, One(convert::bytes)),
        entry("dyn", Global, &[], Any, One(convert::dynamic)),
        entry("type", Global, &[], Other, One(convert::type_of)),
        entry("timestamp", Global, &[Number, Str, Timestamp], Timestamp, One(clock::timestamp)),
        entry("duration", Global, &[Str, Duration], Duration, One(clock::duration)),
        // Optionals and what is dropped.
        entry("optional.of", Global, &[], Optional, One(optional::of)),
        entry("optional.none", Global, &[], Optional, None(optional::none)),
        entry("optional.ofNonZeroValue", Global, &[], Optional, One(optional::of_non_zero_value)),
        entry("optional.unwrap", Global, &[List], List, One(optional::unwrap)),
        entry("unwrapOpt", Method, &[List], List, One(optional::unwrap)),
        entry("hasValue", Method, &[Optional], Bool, One(optional::has_value)),
        entry("value", Method, &[Optional], Any, One(optional::value)),
        entry("omit", Global, &[], Any, None(optional::omit)),
        // Strings.
        entry("charAt", Method, &[Str], Str, Two(text::char_at)),
        entry("format", Method, &[Str], Str, Two(format::format)),
        entry("indexOf", Method, &[Str], Number, Many(text::index_of)).taking(2, 3),
        entry("join", Method, &[List], Str, Many(text::join)).taking(1, 2),
        entry("lastIndexOf", Method, &[Str], Number, Many(text::last_index_of)).taking(2, 3),
        entry("lowerAscii", Method, &[Str], Str, One(text::lower)),
        entry("replace", Method, &[Str], Str, Many(text::replace)).taking(3, 4),
        entry("reverse", Method, &[Str, List], Any, One(text::reverse)),
        entry("split", Method, &[Str], List, Many(text::split)).taking(2, 3),
        entry("strings.quote", Global, &[Str], Str, One(text::quote)),
        entry("substring", Method, &[Str], Str, Many(text::substring)).taking(2, 3),
        entry("trim", Method, &[Str], Str, One(text::trim)),
        entry("upperAscii", Method, &[Str], Str, One(text::upper)),
        // Lists.
        entry("distinct", Method, &[List], List, One(list::distinct)),
        entry("first", Method, &[List], Optional, One(list::first)),
        entry("flatten", Method, &[List], List, Many(list::flatten)).taking(1, 2),
        entry("last", Method, &[List], Optional, One(list::last)),
        entry("lists.range", Global, &[Number], List, One(list::range)),
        entry("slice", Method, &[List], List, Many(list::slice)).taking(3, 3),
        entry("sort", Method, &[List], List, One(list::sort)),
        // Maths.
        entry("math.abs", Global, &[Number], Number, One(math::abs)),
        entry("math.bitAnd", Global, &[Number], Number, Two(math::bit_and)),
        entry("math.bitNot", Global, &[Number], Number, One(math::bit_not)),
        entry("math.bitOr", Global, &[Number], Number, Two(math::bit_or)),
        entry("math.bitShiftLeft", Global, &[Number], Number, Two(math::shift_left)),
        entry("math.bitShiftRight", Global, &[Number], Number, Two(math::shift_right)),
        entry("math.bitXor", Global, &[Number], Number, Two(math::bit_xor)),
        entry("math.ceil", Global, &[Number], Number, One(math::ceil)),
        entry("math.floor", Global, &[Number], Number, One(math::floor)),
        entry("math.greatest", Global, &[Number, List], Number, Many(math::greatest)),
        entry("math.isFinite", Global, &[Number], Bool, One(math::is_finite)),
        entry("math.isInf", Global, &[Number], Bool, One(math::is_inf)),
        entry("math.isNaN", Global, &[Number], Bool, One(math::is_nan)),
        entry("math.least", Global, &[Number, List], Number, Many(math::least)),
        entry("math.round", Global, &[Number], Number, One(math::round_half_up)),
        entry("math.sign", Global, &[Number], Number, One(math::sign)),
        entry("math.sqrt", Global, &[Number], Number, One(math::sqrt)),
        entry("math.trunc", Global, &[Number], Number, One(math::trunc)),
        // Encodings.
        entry("base64.decode", Global, &[Str], Bytes, One(encode::base64_decode)),
        entry("base64.encode", Global, &[Bytes, Str], Str, One(encode::base64_encode)),
        entry("base64url.decode", Global, &[Str], Bytes, One(encode::base64url_decode)),
        entry("base64url.encode", Global, &[Bytes, Str], Str, One(encode::base64url_encode)),
        entry("json.decode", Global, &[Bytes, Str], Any, One(encode::json_decode)),
        entry("json.encode", Global, &[], Str, One(encode::json_encode)),
        entry("url.encode", Global, &[Str, Number, Bool, Timestamp, Duration], Str, One(encode::url_encode)),
        entry("sha256", Global, &[Bytes, Str], Str, One(encode::sha256)),
        // Data.
        entry("bucket", Global, &[Str, Number, Bool], Number, Many(encode::bucket)).taking(3, 3),
        entry("groupBy", Global, &[List], Map, Two(map::group_by)),
        entry("keyBy", Global, &[List], Map, Two(map::key_by)),
        entry("merge", Global, &[Map], Map, Many(map::merge)),
        entry("round", Global, &[Number], Number, Two(math::round)),
        entry("sum", Both, &[List], Number, One(math::sum)),
        // Addresses.
        entry("cidr", Global, &[Str], Other, One(network::cidr)),
        entry("containsCIDR", Method, &[Other], Bool, Two(network::contains_cidr)),
        entry("containsIP", Method, &[Other], Bool, Two(network::contains_ip)),
        entry("family", Method, &[Other], Number, One(network::family)),
        entry("inCidr", Global, &[Str, Other], Bool, Two(network::in_cidr)),
        entry("ip", Both, &[Str, Other], Other, One(network::ip)),
        entry("ip.isCanonical", Global, &[Str], Bool, One(network::is_canonical)),
        entry("isCIDR", Global, &[Str], Bool, One(network::is_cidr)),
        entry("isGlobalUnicast", Method, &[Other], Bool, One(network::is_global_unicast)),
        entry("isIP", Global, &[Str], Bool, One(network::is_ip)),
        entry("isLinkLocalMulticast", Method, &[Other], Bool, One(network::is_link_local_multicast)),
        entry("isLinkLocalUnicast", Method, &[Other], Bool, One(network::is_link_local_unicast)),
        entry("isLoopback", Method, &[Other], Bool, One(network::is_loopback)),
        entry("isUnspecified", Method, &[Other], Bool, One(network::is_unspecified)),
        entry("masked", Method, &[Other], Other, One(network::masked)),
        entry("prefixLength", Method, &[Other], Number, One(network::prefix_length)),
    ]
};

/// The function of that name, if it may be called that way.
pub(super) fn find(name: &str, method: bool) -> Option<&'static Function> {
    let form = if method { Form::Method } else { Form::Global };
    TABLE
        .iter()
        .find(|function| function.name == name && (function.form == form || function.form == Form::Both))
}
