//! Another implementation of CEL beside ours: random expressions over random documents, equal answers.
//!
//! The expressions are typed, so that most of them give something; some fail on purpose. Where the two
//! may differ is said in [`known`], each with its reason. `ORACLE_SECONDS=600 cargo test --lib oracle`
//! runs that long from a random seed, which it tells (with `-- --nocapture`).

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use cel::{Context, Env, extensions, objects};

use super::{Value, *};

const CASES: u64 = 2_000;

/// What both sides answer, in one form: maps in the order of their keys, doubles by their bits.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Failed,
    Null,
    Bool(bool),
    Int(i128),
    Double(u64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
    Other,
}

fn double(value: f64) -> Answer {
    // Every NaN is one, and zero has no sign here.
    Answer::Double(if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() })
}

fn ours(value: &Value<'_>) -> Answer {
    use crate::expr::arithmetic::Num;
    if value.is_null() {
        return Answer::Null;
    }
    match Num::of(value) {
        Some(Num::Int(int)) => return Answer::Int(int.into()),
        Some(Num::Uint(uint)) => return Answer::Int(uint.into()),
        Some(Num::Double(value)) => return double(value),
        Some(Num::Text(_)) => return Answer::Other,
        None => {}
    }
    if let Some(value) = value.as_bool() {
        return Answer::Bool(value);
    }
    if let Some(text) = value.as_str() {
        return Answer::Str(text.into_owned());
    }
    if let Some(list) = value.elements() {
        return Answer::List(list.iter().map(ours).collect());
    }
    if let Ok(Some(entries)) = value.entries() {
        return Answer::Map(
            entries.into_iter().map(|(key, value)| (key.into_owned(), ours(&value))).collect(),
        );
    }
    value.as_bytes().map_or(Answer::Other, |bytes| Answer::Bytes(bytes.to_vec()))
}

fn theirs(value: &cel::Value) -> Answer {
    match value {
        cel::Value::Null => Answer::Null,
        cel::Value::Bool(value) => Answer::Bool(*value),
        cel::Value::Int(value) => Answer::Int((*value).into()),
        cel::Value::UInt(value) => Answer::Int((*value).into()),
        cel::Value::Float(value) => double(*value),
        cel::Value::String(text) => Answer::Str(text.to_string()),
        cel::Value::Bytes(bytes) => Answer::Bytes(bytes.to_vec()),
        cel::Value::List(list) => Answer::List(list.iter().map(theirs).collect()),
        cel::Value::Map(map) => {
            let text = |key: &objects::Key| match key {
                objects::Key::Int(key) => key.to_string(),
                objects::Key::Uint(key) => key.to_string(),
                objects::Key::Bool(key) => key.to_string(),
                objects::Key::String(key) => key.to_string(),
            };
            Answer::Map(map.map.iter().map(|(key, value)| (text(key), theirs(value))).collect())
        }
        _ => Answer::Other,
    }
}

/// A document as the other side takes it.
fn document(json: &serde_json::Value) -> cel::Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(value) => cel::Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(int) => cel::Value::Int(int),
            None => cel::Value::Float(number.as_f64().unwrap()),
        },
        Json::String(text) => cel::Value::String(Arc::new(text.clone())),
        Json::Array(list) => cel::Value::List(Arc::new(list.iter().map(document).collect())),
        Json::Object(map) => {
            let entries = map.iter().map(|(k, v)| (objects::Key::String(Arc::new(k.clone())), document(v)));
            cel::Value::Map(objects::Map { map: Arc::new(entries.collect::<HashMap<_, _>>()) })
        }
    }
}

/// Why two different answers are no fault of ours.
fn known(maker: &Maker, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    let only_ours = *ours != Answer::Failed && *theirs == Answer::Failed;
    match maker {
        Maker { mixed: true, .. } if only_ours => Some("numbers of different types are computed with"),
        // As in IEEE 754 and in the conformance data; there it is an error.
        Maker { orders_doubles: true, .. } if only_ours => Some("no order with NaN holds"),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Int,
    Double,
    Str,
    Bool,
    Ints,
    Strs,
    Map,
}

/// Makes random expressions of a type.
struct Maker {
    random: fastrand::Rng,
    /// Variables of the macros around, with their types.
    variables: Vec<(String, Kind)>,
    /// An operator has operands of different number types.
    mixed: bool,
    /// Doubles are ordered, of which one may be NaN.
    orders_doubles: bool,
}

impl Maker {
    fn pick<'s>(&mut self, of: &[&'s str]) -> &'s str {
        of[self.random.usize(..of.len())]
    }

    fn variable(&mut self, kind: Kind) -> Option<String> {
        let fitting: Vec<&String> =
            self.variables.iter().filter(|(_, found)| *found == kind).map(|(name, _)| name).collect();
        (!fitting.is_empty()).then(|| fitting[self.random.usize(..fitting.len())].clone())
    }

    /// An expression with a variable around it.
    fn within(&mut self, kind: Kind, of: Kind, depth: u32) -> (String, String) {
        let name = format!("v{}", self.variables.len());
        self.variables.push((name.clone(), of));
        let made = self.make(kind, depth);
        self.variables.pop();
        (name, made)
    }

    fn make(&mut self, kind: Kind, depth: u32) -> String {
        if depth == 0 || self.random.u8(..6) == 0 {
            return self.leaf(kind);
        }
        let depth = depth - 1;
        if self.random.u8(..8) == 0 {
            let (condition, a, b) =
                (self.make(Kind::Bool, depth), self.make(kind, depth), self.make(kind, depth));
            return format!("({condition} ? {a} : {b})");
        }
        match kind {
            Kind::Int => self.int(depth),
            Kind::Double => {
                let (a, b) = (self.make(Kind::Double, depth), self.make(Kind::Double, depth));
                match self.random.u8(..8) {
                    0 => format!("double({})", self.make(Kind::Int, depth)),
                    1 => format!("(-{a})"),
                    3 => {
                        self.mixed = true;
                        format!("({a} {} {})", self.pick(&["+", "-", "*"]), self.make(Kind::Int, depth))
                    }
                    2 => format!(
                        "math.{}({a})",
                        self.pick(&["floor", "ceil", "trunc", "round", "abs", "sqrt"])
                    ),
                    _ => format!("({a} {} {b})", self.pick(&["+", "-", "*", "/"])),
                }
            }
            Kind::Str => self.string(depth),
            Kind::Bool => self.bool(depth),
            Kind::Ints => {
                let list = self.make(Kind::Ints, depth);
                match self.random.u8(..8) {
                    0 => format!("({list} + {})", self.make(Kind::Ints, depth)),
                    1 => format!("{list}.{}()", self.pick(&["reverse", "distinct", "sort"])),
                    2 => format!("({list} + [1]).slice(0, {})", self.random.u8(..3)),
                    3 | 4 => {
                        let (name, body) = self.within(Kind::Bool, Kind::Int, depth);
                        format!("{list}.filter({name}, {body})")
                    }
                    5 => {
                        let list = self.make(Kind::Strs, depth);
                        let (name, body) = self.within(Kind::Int, Kind::Str, depth);
                        format!("{list}.map({name}, {body})")
                    }
                    _ => {
                        let (name, body) = self.within(Kind::Int, Kind::Int, depth);
                        format!("{list}.map({name}, {body})")
                    }
                }
            }
            Kind::Strs => {
                let list = self.make(Kind::Strs, depth);
                match self.random.u8(..6) {
                    0 => format!("({list} + {})", self.make(Kind::Strs, depth)),
                    1 => {
                        format!("{}.split({})", self.make(Kind::Str, depth), self.pick(&["' '", "'a'", "''"]))
                    }
                    2 => {
                        let map = self.make(Kind::Map, depth);
                        let (name, body) = self.within(Kind::Str, Kind::Str, depth);
                        // The other side does not keep the order of a map's keys.
                        format!("{map}.map({name}, {body}).sort()")
                    }
                    3 => {
                        let (name, body) = self.within(Kind::Bool, Kind::Str, depth);
                        format!("{list}.filter({name}, {body})")
                    }
                    _ => {
                        let (name, body) = self.within(Kind::Str, Kind::Str, depth);
                        format!("{list}.map({name}, {body})")
                    }
                }
            }
            Kind::Map => {
                let (a, b) = (self.make(Kind::Int, depth), self.make(Kind::Str, depth));
                format!("{{'i': {a}, 's': {b}, {}: 0}}", self.pick(&["'k'", "'v'", "'ü'"]))
            }
        }
    }

    /// An operand that cannot fail: the other side evaluates what `orValue` does not need.
    fn literal(&mut self, kind: Kind) -> String {
        self.pick(if kind == Kind::Int { &["0", "4"] } else { &["'-'", "''"] }).to_owned()
    }

    fn int(&mut self, depth: u32) -> String {
        let (a, b) = (self.make(Kind::Int, depth), self.make(Kind::Int, depth));
        match self.random.u8(..12) {
            0 => format!("size({})", self.make(Kind::Strs, depth)),
            1 => format!("{}.size()", self.make(Kind::Str, depth)),
            2 => format!("({} + [1, 2])[{}]", self.make(Kind::Ints, depth), self.random.u8(..3)),
            3 => format!("{}.indexOf({})", self.make(Kind::Str, depth), self.make(Kind::Str, depth)),
            4 => format!("(-{a})"),
            5 => format!("int({})", self.make(Kind::Double, depth)),
            6 => format!("math.{}([{a}, {b}])", self.pick(&["greatest", "least"])),
            7 => format!(
                "{}[?{}].orValue({})",
                self.make(Kind::Ints, depth),
                self.random.u8(..4),
                self.literal(Kind::Int)
            ),
            8 => format!("{}.i", self.make(Kind::Map, depth)),
            _ => format!("({a} {} {b})", self.pick(&["+", "-", "*", "/", "%"])),
        }
    }

    fn string(&mut self, depth: u32) -> String {
        let (a, b) = (self.make(Kind::Str, depth), self.make(Kind::Str, depth));
        match self.random.u8(..10) {
            0 => format!("string({})", self.make(Kind::Int, depth)),
            1 => format!("({} + ['b'])[{}]", self.make(Kind::Strs, depth), self.random.u8(..2)),
            2 => format!("{a}.{}()", self.pick(&["lowerAscii", "upperAscii", "trim", "reverse"])),
            3 => format!("{a}.replace({b}, 'x')"),
            4 => format!("{}.join({})", self.make(Kind::Strs, depth), self.pick(&["', '", "''"])),
            5 => format!("{a}.substring({})", self.random.u8(..2)),
            6 => format!("{a}.charAt({})", self.random.u8(..2)),
            7 => format!(
                "{}.?{}.orValue({})",
                self.make(Kind::Map, depth),
                self.pick(&["s", "zz"]),
                self.literal(Kind::Str)
            ),
            _ => format!("({a} + {b})"),
        }
    }

    fn bool(&mut self, depth: u32) -> String {
        let (a, b) = (self.make(Kind::Bool, depth), self.make(Kind::Bool, depth));
        match self.random.u8(..15) {
            0 => format!("!{a}"),
            // Small ones, as the other side rounds large ints to doubles before it compares them.
            12 => {
                self.orders_doubles = true;
                let (operator, int) =
                    (self.pick(&["<", "<=", ">", ">=", "==", "!="]), self.pick(&["0", "1", "-7"]));
                format!("({} {operator} {int})", self.make(Kind::Double, depth))
            }
            1 | 2 => format!("({a} && {b})"),
            3 | 4 => format!("({a} || {b})"),
            5 => {
                let kind = [Kind::Int, Kind::Double, Kind::Str, Kind::Ints, Kind::Strs, Kind::Map];
                let kind = kind[self.random.usize(..kind.len())];
                let (a, b) = (self.make(kind, depth), self.make(kind, depth));
                format!("({a} {} {b})", self.pick(&["==", "!="]))
            }
            6 | 7 => {
                let kind = [Kind::Int, Kind::Double, Kind::Str];
                let kind = kind[self.random.usize(..kind.len())];
                self.orders_doubles |= kind == Kind::Double;
                let (a, b) = (self.make(kind, depth), self.make(kind, depth));
                format!("({a} {} {b})", self.pick(&["<", "<=", ">", ">="]))
            }
            8 => format!("({} in {})", self.make(Kind::Int, depth), self.make(Kind::Ints, depth)),
            9 => {
                let name = self.pick(&["contains", "startsWith", "endsWith"]);
                format!("{}.{name}({})", self.make(Kind::Str, depth), self.make(Kind::Str, depth))
            }
            10 => format!("has({}.{})", self.make(Kind::Map, depth), self.pick(&["i", "s", "zz"])),
            11 => format!("({} in {})", self.make(Kind::Str, depth), self.make(Kind::Map, depth)),
            _ => {
                let list = self.make(Kind::Ints, depth);
                let (name, body) = self.within(Kind::Bool, Kind::Int, depth);
                format!("{list}.{}({name}, {body})", self.pick(&["all", "exists", "exists_one"]))
            }
        }
    }

    fn leaf(&mut self, kind: Kind) -> String {
        if self.random.bool()
            && let Some(name) = self.variable(kind)
        {
            return name;
        }
        if self.random.u8(..40) == 0 {
            let fails = match kind {
                Kind::Int => "d.list[7]",
                Kind::Bool => "(1 / 0 > 0)",
                _ => "d.zz",
            };
            return fails.to_owned();
        }
        let choices: &[&str] = match kind {
            Kind::Int => &["0", "1", "-7", "9223372036854775807", "d.n", "d.m", "2", "d.in.n"],
            Kind::Double => &["0.0", "1.5", "-2.25", "1e300", "d.x", "d.in.x"],
            Kind::Str => &["''", "'a'", "'Straße'", "'a b a'", "d.s", "d.u", "'x'", "d.in.s"],
            Kind::Bool => &["true", "false", "d.t", "d.in.t"],
            Kind::Ints => &["[1]", "[1, 2, 3]", "[3, 3]", "d.list", "d.in.list"],
            Kind::Strs => &["[]", "['a', 'b']", "['ü', 'a']", "d.strs"],
            Kind::Map => &["{}", "{'s': 'x', 'i': 1}", "d.in.map", "d.map"],
        };
        self.pick(choices).to_owned()
    }

    fn document(&mut self) -> serde_json::Value {
        let random = &mut self.random;
        let int = |random: &mut fastrand::Rng| match random.u8(..4) {
            0 => random.i64(..),
            _ => random.i64(-10..10),
        };
        let text = |random: &mut fastrand::Rng| {
            let letters = ["a", "B", " ", "ü", "😀", "\"", "\\", "\n", "x"];
            (0..random.usize(..6)).map(|_| letters[random.usize(..letters.len())]).collect::<String>()
        };
        let list: Vec<i64> = (0..random.usize(..4)).map(|_| int(random)).collect();
        let strs: Vec<String> = (0..random.usize(..4)).map(|_| text(random)).collect();
        let x = [0.5, -1.25, 3.75, 1e18, 0.1][random.usize(..5)];
        let map = serde_json::json!({"s": text(random), "i": int(random), "k": 0});
        serde_json::json!({
            "n": int(random), "m": int(random), "x": x, "s": text(random), "u": text(random), "t": random.bool(),
            "list": list, "strs": strs, "map": map,
            "in": {"n": int(random), "x": -x, "s": text(random), "t": random.bool(), "list": list, "map": map},
        })
    }
}

fn run() {
    let seconds = std::env::var("ORACLE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let seed = if seconds.is_some() { fastrand::u64(..) } else { 7 };
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::lists, extensions::math] {
        env.add_extension(extension).unwrap();
    }
    let env = Arc::new(env);
    let mut maker = Maker {
        random: fastrand::Rng::with_seed(seed),
        variables: Vec::new(),
        mixed: false,
        orders_doubles: false,
    };
    let (mut cases, mut values, mut different) = (0u64, 0u64, Vec::new());
    while end.map_or(cases < CASES, |end| Instant::now() < end) && different.len() < 20 {
        cases += 1;
        (maker.mixed, maker.orders_doubles) = (false, false);
        let kinds = [Kind::Int, Kind::Double, Kind::Str, Kind::Bool, Kind::Ints, Kind::Strs, Kind::Map];
        let kind = kinds[maker.random.usize(..kinds.len())];
        let (json, source) = (maker.document(), maker.make(kind, 4));
        let scope = Scope { locals: vec!["d".to_owned()], ..Scope::default() };
        let held = Document::parse(Bytes::from(json.to_string())).unwrap();
        let (data, meter) = (data("null"), Meter::default());
        let locals = [Value::Json(held.root())];
        let frame = Frame { data: &data, meter: &meter, locals: &locals, turn: 0 };
        let program = Program::compile(&source, &scope);
        let mine = match &program {
            Ok(program) => program.eval(&frame).map_or(Answer::Failed, |value| ours(&value)),
            // What never works need not be reached to be refused.
            Err(_) => continue,
        };
        let mut context = Context::with_env(Arc::clone(&env));
        context.add_variable_from_value("d", document(&json));
        let other = match env.compile(&source) {
            Ok(program) => program.execute(&context).map_or(Answer::Failed, |value| theirs(&value)),
            Err(error) => panic!("{source} is not read by the other side: {error}"),
        };
        values += u64::from(mine != Answer::Failed);
        if mine != other && known(&maker, &mine, &other).is_none() {
            different.push(format!("{source}\n    over   {json}\n    ours   {mine:?}\n    theirs {other:?}"));
        }
    }
    assert!(different.is_empty(), "seed {seed}, {cases} cases:\n{}", different.join("\n"));
    // Expressions that all fail would agree, too.
    assert!(values * 3 > cases, "{values} of {cases} gave a value");
    if seconds.is_some() {
        let mut out = std::io::stderr();
        writeln!(out, "seed {seed}: {cases} cases agree, {values} of them gave a value").unwrap();
    }
}

#[test]
fn random_expressions_give_what_another_implementation_gives() {
    // The parser of the other side needs a deep stack.
    std::thread::Builder::new().stack_size(256 << 20).spawn(run).unwrap().join().unwrap();
}
