//! Calls: macros, the forms that evaluate their arguments themselves, and the table of functions.

use super::{Kind, Lowered, Node, Op, Resolver, Span, Type, chain};
use crate::{
    diagnostic::{Code, nearest},
    expr::{
        Fault, Reference,
        function::{self, Function},
        op::{Base, Chain, Loop, LoopKind},
    },
};

/// A call as it is written.
#[derive(Clone, Copy)]
struct Call<'n> {
    whole: Span,
    name: &'n str,
    span: Span,
    arguments: &'n [Node],
}

/// Names that are called but live outside the table.
const FORMS: [&str; 11] = [
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "filter",
    "map",
    "or",
    "orValue",
    "headerValues",
    "queryValues",
];

fn loop_kind(name: &str) -> Option<LoopKind> {
    Some(match name {
        "all" => LoopKind::All,
        "exists" => LoopKind::Exists,
        "exists_one" | "existsOne" => LoopKind::ExistsOne,
        "filter" => LoopKind::Filter,
        "map" => LoopKind::Map,
        _ => return None,
    })
}

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
                _ => self.function(call, name, None),
            };
        };
        if let Kind::Name { name: space, .. } = &target.kind
            && function::NAMESPACES.contains(&space.as_str())
            && self.local(space).is_none()
        {
            let call = Call { span: target.span.to(span), ..call };
            return self.function(call, &format!("{space}.{name}"), None);
        }
        if let Some(kind) = loop_kind(name) {
            return self.over(call, kind, target);
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
            ("headerValues" | "queryValues", [key]) => self.values(call, target, key),
            ("orValue" | "or" | "headerValues" | "queryValues", _) => self.wrong_count(call, "1 argument"),
            _ => self.function(call, name, Some(target)),
        }
    }

    /// A macro over a list or the keys of a map.
    fn over(&mut self, call: Call<'_>, kind: LoopKind, range: &Node) -> Lowered {
        let (variable, condition, body) = match (call.arguments, kind) {
            ([variable, body], _) => (variable, None, body),
            ([variable, condition, body], LoopKind::Map) => (variable, Some(condition), body),
            ([_, _, _], LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne) => {
                let message = format!("`{}` with two variables does not work in this version", call.name);
                return self.refuse(Fault::new(Code::NotInThisVersion, call.span, message));
            }
            (_, LoopKind::Map) => return self.wrong_count(call, "2 or 3 arguments"),
            _ => return self.wrong_count(call, "2 arguments"),
        };
        let (range_op, range_kind) = self.lower(range);
        if !range_kind.may_be(&[Type::List, Type::Map]) {
            self.mismatch(
                range.span,
                format!("`{}` needs a list or a map, not {}", call.name, range_kind.name()),
            );
        }
        let Kind::Name { name, rooted: false } = &variable.kind else {
            let message = format!("the first argument of `{}` names its variable", call.name);
            let fault = Fault::new(Code::ExpressionSyntax, variable.span, message);
            return self.refuse(fault.help(format!("write `list.{}(x, …)`", call.name)));
        };
        let slot = self.variables.len() as u16;
        self.variables.push(name.clone());
        let symbol = format!("`{}`", call.name);
        let condition = condition.map(|condition| self.condition(condition, &symbol));
        let body = if kind == LoopKind::Map { self.lower(body).0 } else { self.condition(body, &symbol) };
        self.variables.pop();
        let gives = if matches!(kind, LoopKind::Filter | LoopKind::Map) { Type::List } else { Type::Bool };
        self.push(Op::Loop(Box::new(Loop { kind, slot, range: range_op, condition, body })), gives)
    }

    /// `request.headerValues("x")` and the like: all values of a field of a slot's map.
    fn values(&mut self, call: Call<'_>, target: &Node, key: &Node) -> Lowered {
        let (base, mut path) = chain::unfold(target);
        let member = if call.name == "queryValues" { "query" } else { "headers" };
        let owners: &[&str] = if member == "query" { &["request"] } else { &["request", "self", "steps"] };
        let root = match &base.kind {
            Kind::Name { name, rooted } if *rooted || self.local(name).is_none() => name.as_str(),
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
        let values = values.into_iter().map(|(op, _, _)| op).collect();
        self.push(Op::Call(function.run, values), function.gives)
    }

    fn unknown(&self, call: Call<'_>, full: &str, method: bool) -> Fault {
        if function::LATER.contains(&full) {
            let message = format!("the function `{full}` does not work in this version");
            return Fault::new(Code::NotInThisVersion, call.span, message);
        }
        let what = if method { "method" } else { "function" };
        let fault = Fault::new(Code::UnknownFunction, call.span, format!("there is no {what} `{full}`"));
        if function::find(full, !method).is_some() {
            let example = if method { format!("{full}(x)") } else { format!("x.{full}()") };
            return fault.help(format!("call it as `{example}`"));
        }
        let known = function::TABLE.iter().map(|function| function.name);
        match nearest(full, known.chain(FORMS).chain(function::LATER.iter().copied())) {
            Some(name) if name == full => fault.help(format!("call it as `x.{full}(…)`")),
            Some(name) => fault.help(format!("did you mean `{name}`?")),
            None => fault,
        }
    }

    fn wrong_count(&mut self, call: Call<'_>, needed: &str) -> Lowered {
        let message = format!("`{}` takes {needed}, not {}", call.name, call.arguments.len());
        self.refuse(Fault::new(Code::UnknownFunction, call.span, message))
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
