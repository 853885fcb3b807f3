//! Calls: the forms that evaluate their arguments themselves, and the table of functions.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Kind, Lowered, Node, Op, Resolver, Span, Type, chain, macros};
use crate::{
    diagnostic::{Code, nearest},
    expr::{
        Fault, Reference,
        calendar::Field,
        function::{self, Function},
        op::{Base, Chain},
        pattern::{Pattern, Refused},
        time,
        zone::Zone,
    },
};

/// A call as it is written.
#[derive(Clone, Copy)]
pub(super) struct Call<'n> {
    whole: Span,
    pub(super) name: &'n str,
    span: Span,
    pub(super) arguments: &'n [Node],
}

/// Names that are called but live outside the table, macros aside.
pub(in crate::expr) const FORMS: [&str; 17] = [
    "has",
    "or",
    "orValue",
    "headerValues",
    "queryValues",
    "cel.bind",
    "uuid",
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
];

/// Tells every `uuid()` of this process from all others.
static PLACES: AtomicU64 = AtomicU64::new(0);

impl Resolver<'_> {
    pub(super) fn call(
        &mut self,
        node: &Node,
        target: Option<&Node>,
        name: &str,
        span: Span,
        arguments: &[Node],
    ) -> Lowered {
        let call = Call { whole: node.span, name, span, arguments };
        let Some(target) = target else {
            return match (name, arguments) {
                ("has", [argument]) => self.has(argument),
                ("has", _) => self.wrong_count(call, "1 argument"),
                ("uuid", []) => {
                    let place = PLACES.fetch_add(1, Ordering::Relaxed);
                    self.push(Op::Uuid(place), Type::Str)
                }
                ("uuid", _) => self.wrong_count(call, "no arguments"),
                ("matches", [text, pattern]) => self.matches(call, text, pattern),
                _ => self.function(call, name, None),
            };
        };
        if let Kind::Name { name: space, rooted } = &target.kind
            && function::NAMESPACES.contains(&space.as_str())
            && self.local(space, *rooted).is_none()
        {
            let call = Call { span: target.span.to(span), ..call };
            if (space.as_str(), name) == ("cel", "bind") {
                return self.bind(call);
            }
            return self.function(call, &format!("{space}.{name}"), None);
        }
        if let Some(kind) = macros::named(name) {
            return self.expand(call, kind, target);
        }
        if let Some(field) = Field::named(name) {
            return self.field(call, field, target);
        }
        match (name, arguments) {
            ("orValue" | "or", [other]) => {
                let (optional, kind) = self.lower(target);
                if !kind.may_be(&[Type::Optional]) {
                    self.mismatch(target.span, format!("`{name}` needs an optional, not {}", kind.name()));
                }
                let (other, other_kind) = self.lower(other);
                if name == "orValue" {
                    return self.push(Op::OrValue(optional, other), Type::Any);
                }
                if !other_kind.may_be(&[Type::Optional]) {
                    self.mismatch(call.whole, format!("`or` needs two optionals, not {}", other_kind.name()));
                }
                self.push(Op::OrOptional(optional, other), Type::Optional)
            }
            ("matches", [pattern]) => self.matches(call, target, pattern),
            ("headerValues" | "queryValues", [key]) => self.values(call, target, key),
            ("orValue" | "or" | "headerValues" | "queryValues", _) => self.wrong_count(call, "1 argument"),
            _ => self.function(call, name, Some(target)),
        }
    }

    /// `request.headerValues("x")` and the like: all values of a field of a slot's map.
    fn values(&mut self, call: Call<'_>, target: &Node, key: &Node) -> Lowered {
        let (base, mut path) = chain::unfold(target);
        let member = if call.name == "queryValues" { "query" } else { "headers" };
        let owners: &[&str] = if member == "query" { &["request"] } else { &["request", "self", "steps"] };
        let root = match &base.kind {
            Kind::Name { name, rooted } if self.local(name, *rooted).is_none() => name.as_str(),
            _ => "",
        };
        let depth = usize::from(root == "steps");
        if !owners.contains(&root) || path.len() != depth {
            let message = format!(
                "`{}` is called on `request`{}",
                call.name,
                if member == "query" { "" } else { ", `self` or a step" }
            );
            return self.refuse(Fault::new(Code::UnknownFunction, call.span, message));
        }
        path.push(chain::Accessor {
            name: chain::Selected::Name(member),
            optional: false,
            span: call.span,
            end: call.span.end,
        });
        let tolerant = path.iter().any(|accessor| accessor.optional);
        let found = self.root(root, base.span, &path);
        let (key_op, key_kind) = self.lower(key);
        if !key_kind.may_be(&[Type::Str]) {
            self.mismatch(key.span, format!("`{}` needs a string, not {}", call.name, key_kind.name()));
        }
        match found.map(|root| root.base) {
            Ok(Base::Slot(slot)) => {
                self.references.push(Reference { slot, tolerant: false, offset: base.span.start });
                let (start, end) = (base.span.start as u32, target.span.end as u32);
                let chain = Chain {
                    base: Base::Slot(slot),
                    links: Box::default(),
                    optional: tolerant,
                    tolerant: false,
                    start,
                    end,
                };
                self.push(Op::Values(chain, key_op), Type::List)
            }
            Ok(_) => self.push(Op::Null, Type::Any),
            Err(fault) => self.refuse(fault),
        }
    }

    /// `matches` with a literal pattern, which is compiled now; with any other it is a function.
    fn matches(&mut self, call: Call<'_>, text: &Node, pattern: &Node) -> Lowered {
        let Kind::Str(source) = &pattern.kind else {
            let Some(function) = function::find("matches", true) else {
                return self.push(Op::Refused, Type::Any);
            };
            let values = [self.lower(text), self.lower(pattern)];
            for ((_, kind), node) in values.iter().zip([text, pattern]) {
                self.takes_text(call, *kind, node);
            }
            let values = values.map(|(op, _)| op);
            return self.push(Op::Call(function.run, Box::new(values)), Type::Bool);
        };
        let (op, kind) = self.lower(text);
        self.takes_text(call, kind, text);
        match Pattern::literal(source) {
            Ok(compiled) => self.push(Op::Matches(op, Box::new(compiled)), Type::Bool),
            Err(refused @ Refused::TooMany) => {
                let fault = Fault::new(Code::ExpressionTooLarge, pattern.span, refused.to_string());
                self.refuse(
                    fault.help("share a pattern in `vars`, repeat less in it, or compare without one"),
                )
            }
            Err(refused) => {
                let fault = Fault::new(Code::InvalidValue, pattern.span, refused.to_string());
                self.refuse(
                    fault.help("patterns have the syntax of RE2; a raw string r'…' keeps backslashes"),
                )
            }
        }
    }

    fn takes_text(&mut self, call: Call<'_>, kind: Type, node: &Node) {
        if !kind.may_be(&[Type::Str]) {
            self.mismatch(node.span, format!("`{}` needs a string, not {}", call.name, kind.name()));
        }
    }

    /// A getter of a timestamp or a duration. A literal time zone is looked up now.
    fn field(&mut self, call: Call<'_>, field: Field, target: &Node) -> Lowered {
        let (op, kind) = self.lower(target);
        if !kind.may_be(&[Type::Timestamp, Type::Duration]) {
            let message = format!("`{}` needs a timestamp or a duration, not {}", call.name, kind.name());
            self.mismatch(target.span, message);
        }
        let zone = match call.arguments {
            [] => Zone::UTC,
            [Node { kind: Kind::Str(name), span, .. }] => match Zone::named(name) {
                Some(zone) => zone,
                None => {
                    let message = format!("there is no time zone `{}`", name.escape_debug());
                    let fault = Fault::new(Code::InvalidValue, *span, message);
                    return self
                        .refuse(fault.help("write an IANA name (`Europe/Rome`) or an offset (`+02:00`)"));
                }
            },
            [name] => {
                let (name_op, name_kind) = self.lower(name);
                self.takes_text(call, name_kind, name);
                return self.push(Op::FieldIn(field, op, name_op), Type::Number);
            }
            _ => return self.wrong_count(call, "0 to 1 arguments"),
        };
        self.push(Op::Field(field, op, zone), Type::Number)
    }

    /// A function of the table. `full` is its name with the namespace.
    fn function(&mut self, call: Call<'_>, full: &str, target: Option<&Node>) -> Lowered {
        let mut values = Vec::with_capacity(call.arguments.len() + 1);
        for node in target.into_iter().chain(call.arguments) {
            let (op, kind) = self.lower(node);
            values.push((op, kind, node.span));
        }
        let Some(function) = function::find(full, target.is_some()) else {
            let fault = self.unknown(call, full, target.is_some());
            return self.refuse(fault);
        };
        if values.len() < function.least || values.len() > function.most {
            return self.wrong_count(call, &count(function, target.is_some()));
        }
        if let Some((_, kind, span)) = values.first()
            && !function.takes.is_empty()
            && !kind.may_be(function.takes)
        {
            let needed: Vec<&str> = function.takes.iter().map(|kind| kind.name()).collect();
            self.mismatch(*span, format!("`{full}` needs {}, not {}", needed.join(" or "), kind.name()));
        }
        if let ([Node { kind: Kind::Str(text), span, .. }], None) = (call.arguments, target)
            && let Some(message) = unreadable(full, text)
        {
            self.faults.push(Fault::new(Code::InvalidValue, *span, message));
        }
        let values = values.into_iter().map(|(op, _, _)| op).collect();
        self.push(Op::Call(function.run, values), function.gives)
    }

    fn unknown(&self, call: Call<'_>, full: &str, method: bool) -> Fault {
        let what = if method { "method" } else { "function" };
        let fault = Fault::new(Code::UnknownFunction, call.span, format!("there is no {what} `{full}`"));
        if function::find(full, !method).is_some() {
            let example = if method { format!("{full}(x)") } else { format!("x.{full}()") };
            return fault.help(format!("call it as `{example}`"));
        }
        let known = function::TABLE.iter().map(|function| function.name);
        match nearest(full, known.chain(FORMS).chain(macros::NAMES)) {
            Some(name) if name == full => fault.help(format!("call it as `x.{full}(…)`")),
            Some(name) => fault.help(format!("did you mean `{name}`?")),
            None => fault,
        }
    }

    pub(super) fn wrong_count(&mut self, call: Call<'_>, needed: &str) -> Lowered {
        let message = format!("`{}` takes {needed}, not {}", call.name, call.arguments.len());
        self.refuse(Fault::new(Code::UnknownFunction, call.span, message))
    }
}

/// What is wrong with a time that is written out.
fn unreadable(name: &str, text: &str) -> Option<&'static str> {
    match name {
        "timestamp" if time::parse_timestamp(text).is_none() => {
            Some("this is no RFC 3339 timestamp in the years 1 to 9999, such as `2026-01-31T12:00:00Z`")
        }
        "duration" if time::parse_duration(text).is_none() => {
            Some("this is no duration: numbers with units of h, m, s, ms, us or ns, such as `1h30m`")
        }
        _ => None,
    }
}

/// How many arguments a function takes, in words.
fn count(function: &Function, method: bool) -> String {
    let target = usize::from(method);
    let (least, most) = (function.least.saturating_sub(target), function.most.saturating_sub(target));
    match (least, most) {
        (1, 1) => "1 argument".to_owned(),
        (least, most) if least == most => format!("{least} arguments"),
        (least, usize::MAX) => format!("at least {least} arguments"),
        (least, most) => format!("{least} to {most} arguments"),
    }
}
