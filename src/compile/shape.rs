//! Structural shaping: a node tree becomes a [`Shape`]; what holds no expression is rendered now.

use super::text::Expressions;
use crate::{
    config::{Node, Spanned, yaml::Value},
    diagnostic::{Code, Diagnostic},
    expr::{Program, Shape, Text, Type},
    json,
};

/// The deepest nesting of a document that is written as a value, as for one that is read.
const MAX_DEPTH: usize = json::MAX_DEPTH;

const EACH: [&str; 4] = ["$each", "$as", "$where", "$yield"];
const IF: [&str; 3] = ["$if", "$then", "$else"];
const MERGE: [&str; 1] = ["$merge"];

type Members = Vec<(Spanned<String>, Node)>;

impl<'t> Expressions<'t, '_> {
    /// A value of any form.
    pub(super) fn shape(&mut self, node: &'t Node) -> Option<Shape> {
        self.shape_at(node, 0)
    }

    fn shape_at(&mut self, node: &'t Node, depth: usize) -> Option<Shape> {
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            self.findings.error(Code::InvalidValue, &node.place, message);
            return None;
        }
        match &node.value {
            Value::Null => Some(literal("null")),
            Value::Bool(value) => Some(literal(if *value { "true" } else { "false" })),
            Value::Number(text) => match json_number(text) {
                Some(number) => Some(literal(&number)),
                None => {
                    self.findings.advise(
                        Code::InvalidValue,
                        &node.place,
                        format!("`{text}` is not a number in JSON"),
                        "quote it if it is text",
                    );
                    None
                }
            },
            Value::Text(text) => self.scalar(node, text).map(|text| match text {
                Text::Literal(text) => Shape::Literal(json_string(&text)),
                text => Shape::Text(text),
            }),
            Value::List(items) => self.items(items, depth),
            Value::Map(members) if members.iter().any(|(key, _)| is_directive(key)) => {
                self.directive(node, members, depth)
            }
            Value::Map(members) => self.members(members, depth),
        }
    }

    fn items(&mut self, items: &'t [Node], depth: usize) -> Option<Shape> {
        // All of them are compiled before one that failed ends it, so that every finding is reported.
        let shapes: Vec<_> = items.iter().map(|item| self.shape_at(item, depth + 1)).collect();
        let shapes: Vec<_> = shapes.into_iter().collect::<Option<_>>()?;
        if !shapes.iter().all(is_literal) {
            return Some(Shape::List(shapes));
        }
        let mut json = vec![b'['];
        for (index, shape) in shapes.iter().enumerate() {
            comma(index, &mut json);
            append(shape, &mut json);
        }
        json.push(b']');
        Some(Shape::Literal(json))
    }

    fn members(&mut self, members: &'t Members, depth: usize) -> Option<Shape> {
        let shapes: Vec<_> = members
            .iter()
            .map(|(key, node)| Some((unescaped(key).to_owned(), self.shape_at(node, depth + 1)?)))
            .collect();
        let shapes: Vec<_> = shapes.into_iter().collect::<Option<_>>()?;
        if !shapes.iter().all(|(_, shape)| is_literal(shape)) {
            return Some(Shape::Map(shapes));
        }
        let mut json = vec![b'{'];
        for (index, (key, shape)) in shapes.iter().enumerate() {
            comma(index, &mut json);
            json::write_string(key, &mut json);
            json.push(b':');
            append(shape, &mut json);
        }
        json.push(b'}');
        Some(Shape::Literal(json))
    }

    /// A map with `$each`, `$if` or `$merge`.
    fn directive(&mut self, node: &'t Node, members: &'t Members, depth: usize) -> Option<Shape> {
        if self.fixed {
            self.findings.advise(
                Code::InvalidValue,
                &node.place,
                "a static answer is fixed at load, so nothing is shaped in it",
                "use `respond`; a key that starts with `$` is written `$$`",
            );
            return None;
        }
        let has = |names: &[&str]| members.iter().any(|(key, _)| names.contains(&key.value.as_str()));
        if has(&EACH) {
            let known = self.only(members, &EACH);
            return self.each(node, members, known, depth);
        }
        if has(&IF) {
            let known = self.only(members, &IF);
            return self.branch(node, members, known, depth);
        }
        let known = self.only(members, &MERGE);
        let parts = find(members, "$merge")?;
        let Value::List(items) = &parts.value else {
            self.findings.error(Code::WrongType, &parts.place, "`$merge` takes a list of maps");
            return None;
        };
        let shapes: Vec<_> = items.iter().map(|item| self.merged(item, depth + 1)).collect();
        let shapes: Vec<_> = shapes.into_iter().collect::<Option<_>>()?;
        known.then_some(Shape::Merge(shapes))
    }

    /// One part of a `$merge`: a map, or an expression that may give one.
    fn merged(&mut self, node: &'t Node, depth: usize) -> Option<Shape> {
        let shape = self.shape_at(node, depth)?;
        let is_map = match &shape {
            Shape::Literal(json) => json.first() == Some(&b'{'),
            Shape::Text(Text::One(program)) => {
                matches!(program.known_type(), Type::Any | Type::Map | Type::Optional)
            }
            Shape::Text(_) => false,
            Shape::List(_) | Shape::Each { .. } => false,
            Shape::Map(_) | Shape::If { .. } | Shape::Merge(_) => true,
        };
        if !is_map {
            self.findings.error(Code::WrongType, &node.place, "`$merge` takes maps");
            return None;
        }
        Some(shape)
    }

    fn each(&mut self, node: &'t Node, members: &'t Members, known: bool, depth: usize) -> Option<Shape> {
        let list = self.required(node, members, "$each", known);
        let name = self.required(node, members, "$as", known);
        let yields = self.required(node, members, "$yield", known);
        let list = list.and_then(|list| self.list(list, "`$each`"));
        let name = name.and_then(|name| self.loop_variable(name));
        let Some(name) = name else {
            // Without its name every use of the loop variable would be a finding of its own.
            return None;
        };
        self.scope.locals.push(name);
        let condition: Option<Option<Program>> = match find(members, "$where") {
            Some(condition) => self.condition(condition).map(Some),
            None => Some(None),
        };
        let yields = yields.and_then(|yields| self.shape_at(yields, depth + 1));
        self.scope.locals.pop();
        let shape = Shape::Each { list: list?, condition: condition?, yields: Box::new(yields?) };
        known.then_some(shape)
    }

    fn branch(&mut self, node: &'t Node, members: &'t Members, known: bool, depth: usize) -> Option<Shape> {
        let condition = self.required(node, members, "$if", known);
        let then = self.required(node, members, "$then", known);
        let condition = condition.and_then(|condition| self.condition(condition));
        let then = then.and_then(|then| self.shape_at(then, depth + 1));
        let otherwise = match find(members, "$else") {
            Some(otherwise) => self.shape_at(otherwise, depth + 1).map(|shape| Some(Box::new(shape))),
            None => Some(None),
        };
        let shape = Shape::If { condition: condition?, then: Box::new(then?), otherwise: otherwise? };
        known.then_some(shape)
    }

    /// Whether every key belongs to the directive.
    fn only(&mut self, members: &Members, allowed: &[&str]) -> bool {
        let mut known = true;
        for (key, _) in members.iter().filter(|(key, _)| !allowed.contains(&key.value.as_str())) {
            known = false;
            let all = EACH.iter().chain(&IF).chain(&MERGE).copied();
            let finding = |message| Diagnostic::new(Code::UnknownKey, key.place.clone(), message);
            let finding = if is_directive(key) && !all.clone().any(|name| name == key.value) {
                let near = self.findings.nearest(&key.value, all);
                finding(format!("there is no `{}`", key.value)).help(near.unwrap_or_else(|| {
                    format!("a key that starts with `$` is written with two: `${}`", key.value)
                }))
            } else {
                finding(format!("`{}` does not stand beside `{}`", key.value, allowed[0]))
            };
            self.findings.push(finding);
        }
        known
    }

    /// A member that has to be there. Beside an unknown key its absence is the same mistake.
    fn required(&mut self, node: &Node, members: &'t Members, name: &str, known: bool) -> Option<&'t Node> {
        let found = find(members, name);
        if found.is_none() && known {
            self.findings.error(Code::MissingKey, &node.place, format!("`{name}` is missing"));
        }
        found
    }

    fn loop_variable(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(name) if is_variable(name) => Some(name.clone()),
            _ => {
                self.findings.advise(
                    Code::InvalidName,
                    &node.place,
                    "`$as` is not a name",
                    "a loop variable is `[a-z][A-Za-z0-9_]*`, no word of the expression language and no root such as `steps`",
                );
                None
            }
        }
    }
}

fn find<'t>(members: &'t Members, name: &str) -> Option<&'t Node> {
    members.iter().find(|(key, _)| key.value == name).map(|(_, node)| node)
}

fn is_directive(key: &Spanned<String>) -> bool {
    key.starts_with('$') && !key.starts_with("$$")
}

fn unescaped(key: &Spanned<String>) -> &str {
    if key.starts_with("$$") { &key[1..] } else { key }
}

/// Whether it may name a loop variable: no keyword of CEL, and no root that it would hide.
fn is_variable(name: &str) -> bool {
    const TAKEN: [&str; 29] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
        "request",
        "principal",
        "steps",
        "vars",
        "input",
        "self",
        "execution",
        "error",
    ];
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !TAKEN.contains(&name)
}

const fn is_literal(shape: &Shape) -> bool {
    matches!(shape, Shape::Literal(_))
}

fn append(shape: &Shape, out: &mut Vec<u8>) {
    if let Shape::Literal(json) = shape {
        out.extend_from_slice(json);
    }
}

fn comma(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn literal(json: &str) -> Shape {
    Shape::Literal(json.as_bytes().to_vec())
}

fn json_string(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(text, &mut out);
    out
}

/// The JSON form of a YAML number. Its text is kept wherever JSON allows it: `1.20` stays `1.20`.
fn json_number(text: &str) -> Option<String> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u128::from_str_radix(digits, 16).ok().map(|value| value.to_string());
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u128::from_str_radix(digits, 8).ok().map(|value| value.to_string());
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let split = rest.find(['e', 'E']).unwrap_or(rest.len());
    let (mantissa, exponent) = rest.split_at(split);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_digits = exponent.get(1..).unwrap_or_default().trim_start_matches(['+', '-']);
    let complete = (exponent.is_empty() || !exponent_digits.is_empty())
        && mantissa.len() > usize::from(mantissa.contains('.'));
    if !digits(whole) || !digits(fraction) || !digits(exponent_digits) || !complete {
        return None; // `.inf` and `.nan` among them
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let point = if mantissa.contains('.') { "." } else { "" };
    let fraction = if point.is_empty() || !fraction.is_empty() { fraction } else { "0" };
    Some(format!("{sign}{whole}{point}{fraction}{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::json_number;

    #[test]
    fn a_number_keeps_its_text_wherever_json_allows_it() {
        for text in ["0", "-0", "1.20", "1e400", "9007199254740993", "-1.5E+3"] {
            assert_eq!(json_number(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_yaml_number_becomes_the_json_number_of_the_same_value() {
        for (yaml, json) in [
            ("+1", "1"),
            ("007", "7"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("-.5e3", "-0.5e3"),
        ] {
            assert_eq!(json_number(yaml).as_deref(), Some(json), "{yaml}");
        }
        for text in [".inf", "-.inf", ".nan", ".", "-", "1e", "1__0", ""] {
            assert_eq!(json_number(text), None, "{text}");
        }
    }
}
