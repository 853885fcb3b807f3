//! The conformance data of cel-spec, of which `tests/cel/README.md` tells the origin and the form.
//!
//! Cases whose type check is off are resolved without ours. `cel.block` and its kin, which the data calls
//! test-only macros, are rewritten here as the data asks.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::Value as Json;

use super::{Value, *};
use crate::{
    diagnostic::Code,
    expr::{
        ast::{Kind, Node},
        parse, resolve,
    },
};

const CASES: &str = include_str!("../../../tests/cel/cases.jsonl");
const EXCLUDED: &str = include_str!("../../../tests/cel/excluded.txt");
const SKIPPED: &str = include_str!("../../../tests/cel/skipped.txt");

/// How many cases there are, how many of them run, and how many of those may fail.
const TOTAL: usize = 2456;
const RUN: usize = 1729;

/// What the check finds, and evaluation would too.
const CHECKED: [Code; 3] = [Code::TypeMismatch, Code::UnknownReference, Code::UnknownFunction];

struct Case {
    name: String,
    expression: String,
    expected: Json,
    bindings: Vec<(String, Json)>,
    flags: Vec<String>,
}

impl Case {
    fn read(line: &str) -> Self {
        let Ok((name, expression, expected, bindings, flags)) =
            serde_json::from_str::<(String, String, Json, serde_json::Map<String, Json>, Vec<String>)>(line)
        else {
            panic!("not a case: {line}")
        };
        Self { name, expression, expected, bindings: bindings.into_iter().collect(), flags }
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|found| found == flag)
    }

    /// What is wrong, if anything is.
    fn run(&self) -> Result<(), String> {
        let (data, meter) = (data("null"), Meter::default());
        let locals: Vec<Value<'_>> = self.bindings.iter().map(|(_, value)| value_of(value)).collect();
        let frame = Frame { data: &data, meter: &meter, locals: &locals, turn: 0 };
        let program = match self.compile() {
            Ok(program) => program,
            Err(_) if self.expects_error() => return Ok(()),
            Err(faults) => return Err(format!("refused: {}", faults[0].message)),
        };
        match program.eval(&frame) {
            Err(_) if self.expects_error() => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(value) if self.expects_error() => Err(format!("no error, but {}", show(&value))),
            Ok(value) if is(&value, &self.expected) => Ok(()),
            Ok(value) => Err(format!("{} instead of {}", show(&value), self.expected)),
        }
    }

    fn expects_error(&self) -> bool {
        self.expected == "error" || self.expected == "errors"
    }

    fn compile(&self) -> Result<Program, Vec<Fault>> {
        let names = self.bindings.iter().map(|(name, _)| name.clone()).collect();
        let scope = Scope { locals: names, ..Scope::default() };
        let mut tree = parse::parse(&self.expression).map_err(|fault| vec![fault])?;
        rewrite(&mut tree);
        let forgiven: fn(&Fault) -> bool =
            if self.has("untyped") { |fault| CHECKED.contains(&fault.code) } else { |_| false };
        let resolved = resolve::resolve_but(&tree, &scope, forgiven)?;
        Ok(Program::new(&self.expression, resolved))
    }
}

/// `cel.block([a, b], e)` is `e` with `a` and `b` under names that `cel.index` gives; `cel.iterVar` and
/// `cel.accuVar` are names too.
fn rewrite(node: &mut Node) {
    let span = node.span;
    let name = |name: String| Node { kind: Kind::Name { name, rooted: false }, span, height: 1 };
    if let Kind::Call { target: Some(target), name: function, arguments, .. } = &mut node.kind
        && matches!(&target.kind, Kind::Name { name, .. } if name == "cel")
    {
        let number = |node: &Node| match node.kind {
            Kind::Int(value) => value,
            _ => -1,
        };
        match (function.as_str(), arguments.as_slice()) {
            ("index", [index]) => node.kind = name(format!("@index{}", number(index))).kind,
            ("iterVar" | "accuVar", [a, b]) => {
                node.kind = name(format!("@{function}:{}:{}", number(a), number(b))).kind;
            }
            ("block", [Node { kind: Kind::List(_), .. }, _]) => {
                let mut body = arguments.pop().unwrap();
                let Some(Node { kind: Kind::List(elements), .. }) = arguments.pop() else { return };
                for (index, element) in elements.into_iter().enumerate().rev() {
                    let kind = Kind::Call {
                        target: Some(Box::new(name("cel".to_owned()))),
                        name: "bind".to_owned(),
                        name_span: span,
                        arguments: vec![name(format!("@index{index}")), element.value, body],
                    };
                    body = Node { kind, span, height: 1 };
                }
                *node = body;
            }
            _ => {}
        }
    }
    children(node).into_iter().for_each(rewrite);
}

fn children(node: &mut Node) -> Vec<&mut Node> {
    match &mut node.kind {
        Kind::Select { base, .. } => vec![base],
        Kind::Index { base, key, .. } => vec![base, key],
        Kind::Call { target, arguments, .. } => {
            target.iter_mut().map(|target| &mut **target).chain(arguments.iter_mut()).collect()
        }
        Kind::List(elements) => elements.iter_mut().map(|element| &mut element.value).collect(),
        Kind::Map(entries) => {
            entries.iter_mut().flat_map(|entry| [&mut entry.key, &mut entry.value]).collect()
        }
        Kind::Not(inner) | Kind::Negate(inner) => vec![inner],
        Kind::Binary { left, right, .. } => vec![left, right],
        Kind::And(operands) | Kind::Or(operands) => operands.iter_mut().collect(),
        Kind::Ternary(parts) => parts.iter_mut().collect(),
        _ => Vec::new(),
    }
}

/// The only member of a tagged value.
fn tagged(json: &Json) -> (&str, &Json) {
    let (tag, held) = json.as_object().and_then(|map| map.iter().next()).expect("a value has a tag");
    (tag, held)
}

fn double(text: &str) -> f64 {
    match text.trim_start_matches('-') {
        "inf" | "infinity" => f64::INFINITY.copysign(if text.starts_with('-') { -1.0 } else { 1.0 }),
        "nan" => f64::NAN,
        _ => text.parse().unwrap(),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn pair(held: &Json) -> (i64, i64) {
    let number = |index: usize| held[index].as_str().unwrap().parse().unwrap();
    (number(0), number(1))
}

fn value_of(json: &Json) -> Value<'static> {
    let text = |held: &Json| held.as_str().unwrap().to_owned();
    match json {
        Json::Null => return Value::Null,
        Json::Bool(value) => return Value::Bool(*value),
        _ => {}
    }
    match tagged(json) {
        ("i", held) => Value::Int(text(held).parse().unwrap()),
        ("u", held) => Value::Uint(text(held).parse().unwrap()),
        ("d", held) => Value::Double(double(&text(held))),
        ("s", held) => Value::Str(Cow::Owned(text(held))),
        ("b", held) => Value::Bytes(Cow::Owned(bytes(&text(held)))),
        ("l", held) => Value::List(held.as_array().unwrap().iter().map(value_of).collect()),
        ("m", held) => {
            let entries = held.as_array().unwrap().iter();
            Value::Map(entries.map(|entry| (value_of(&entry[0]), value_of(&entry[1]))).collect::<Rc<[_]>>())
        }
        ("at", held) => Value::Timestamp(pair(held).0, pair(held).1 as u32),
        ("for", held) => Value::Duration(pair(held).0, pair(held).1 as i32),
        (tag, _) => panic!("what is {tag}?"),
    }
}

/// Whether a value is exactly the expected one: of its type, NaN like NaN, maps in any order.
fn is(value: &Value<'_>, expected: &Json) -> bool {
    match (value, expected) {
        (Value::Null, Json::Null) => return true,
        (Value::Bool(value), Json::Bool(expected)) => return value == expected,
        (Value::Optional(Some(inner)), _) => return is(inner, expected),
        (_, Json::Object(_)) => {}
        _ => return false,
    }
    match (value, tagged(expected)) {
        (Value::Type(value), ("t", expected)) => expected == value,
        (Value::Int(value), ("i", expected)) => expected.as_str() == Some(&value.to_string()),
        (Value::Uint(value), ("u", expected)) => expected.as_str() == Some(&value.to_string()),
        (Value::Double(value), ("d", expected)) => {
            let expected = double(expected.as_str().unwrap());
            *value == expected || value.is_nan() && expected.is_nan()
        }
        (Value::Str(value), ("s", expected)) => expected == value.as_ref(),
        (Value::Bytes(value), ("b", expected)) => **value == bytes(expected.as_str().unwrap()),
        (Value::Timestamp(seconds, nanos), ("at", expected)) => {
            (*seconds, i64::from(*nanos)) == pair(expected)
        }
        (Value::Duration(seconds, nanos), ("for", expected)) => {
            (*seconds, i64::from(*nanos)) == pair(expected)
        }
        (Value::List(list), ("l", expected)) => {
            let expected = expected.as_array().unwrap();
            list.len() == expected.len() && list.iter().zip(expected).all(|(a, b)| is(a, b))
        }
        (Value::Map(map), ("m", expected)) => {
            let expected = expected.as_array().unwrap();
            map.len() == expected.len()
                && map.iter().all(|(key, value)| {
                    expected.iter().any(|entry| is(key, &entry[0]) && is(value, &entry[1]))
                })
        }
        _ => false,
    }
}

fn show(value: &Value<'_>) -> String {
    let mut json = Vec::new();
    match value.write_json(&mut json, &Meter::default()) {
        Ok(()) => String::from_utf8_lossy(&json).into_owned(),
        Err(_) => value.type_name().to_owned(),
    }
}

/// Lines of a name and a reason.
fn reasons(list: &'static str) -> BTreeMap<&'static str, &'static str> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('\t').unwrap_or_else(|| panic!("{line} has no reason"))).collect()
}

#[test]
fn the_conformance_data_of_cel_spec_passes() {
    let (excluded, skipped) = (reasons(EXCLUDED), reasons(SKIPPED));
    let cases: Vec<Case> = CASES.lines().map(Case::read).collect();
    assert_eq!((cases.len(), cases.len() + excluded.len()), (RUN, TOTAL));
    let (mut passed, mut failed, mut stale) = (0, Vec::new(), Vec::new());
    for case in &cases {
        match (case.run(), skipped.contains_key(case.name.as_str())) {
            (Ok(()), false) => passed += 1,
            (Ok(()), true) => stale.push(&case.name),
            (Err(_), true) => {}
            (Err(error), false) => {
                failed.push(format!("{}\n    {}\n    {error}", case.name, case.expression));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {RUN} fail:\n{}", failed.len(), failed.join("\n"));
    assert!(stale.is_empty(), "these pass, so no reason to skip them is left: {stale:#?}");
    assert_eq!(passed + skipped.len(), RUN);
    assert!(passed * 100 >= RUN * 99, "{passed} of {RUN} pass");
}
