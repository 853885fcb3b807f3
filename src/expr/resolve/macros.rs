//! Macros: calls whose first arguments name variables instead of having values.

use super::{Kind, Lowered, Node, Op, Resolver, Type, call::Call};
use crate::{
    diagnostic::Code,
    expr::{
        Fault,
        op::{Bind, BindKind, Loop, LoopKind, Pairs, PairsKind},
    },
};

/// What a macro does.
#[derive(Clone, Copy)]
pub(super) enum Macro {
    /// By one variable, or by two.
    Quantifier(LoopKind, PairsKind),
    Loop(LoopKind),
    Transform(PairsKind),
    Optional(BindKind),
    SortBy,
}

/// Every name of a macro that is called on a value.
pub(in crate::expr) const NAMES: [&str; 12] = [
    "all",
    "exists",
    "existsOne",
    "exists_one",
    "filter",
    "map",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "optMap",
    "optFlatMap",
    "sortBy",
];

pub(super) fn named(name: &str) -> Option<Macro> {
    Some(match name {
        "all" => Macro::Quantifier(LoopKind::All, PairsKind::All),
        "exists" => Macro::Quantifier(LoopKind::Exists, PairsKind::Exists),
        "existsOne" | "exists_one" => Macro::Quantifier(LoopKind::ExistsOne, PairsKind::ExistsOne),
        "filter" => Macro::Loop(LoopKind::Filter),
        "map" => Macro::Loop(LoopKind::Map),
        "transformList" => Macro::Transform(PairsKind::TransformList),
        "transformMap" => Macro::Transform(PairsKind::TransformMap),
        "transformMapEntry" => Macro::Transform(PairsKind::TransformMapEntry),
        "optMap" => Macro::Optional(BindKind::Map),
        "optFlatMap" => Macro::Optional(BindKind::FlatMap),
        "sortBy" => Macro::SortBy,
        _ => return None,
    })
}

impl Resolver<'_> {
    pub(super) fn expand(&mut self, call: Call<'_>, kind: Macro, target: &Node) -> Lowered {
        match (kind, call.arguments) {
            (Macro::Quantifier(kind, _), [variable, body]) | (Macro::Loop(kind), [variable, body]) => {
                self.one(call, kind, target, variable, None, body)
            }
            (Macro::Loop(LoopKind::Map), [variable, condition, body]) => {
                self.one(call, LoopKind::Map, target, variable, Some(condition), body)
            }
            (Macro::Quantifier(_, kind), [first, second, body])
            | (Macro::Transform(kind), [first, second, body]) => {
                self.two(call, kind, target, [first, second], None, body)
            }
            (Macro::Transform(kind), [first, second, condition, body]) => {
                self.two(call, kind, target, [first, second], Some(condition), body)
            }
            (Macro::Optional(kind), [variable, body]) => {
                let (value, value_kind) = self.lower(target);
                self.needs(call, target, value_kind, &[Type::Optional], "an optional");
                let Some(variable) = self.variable(call, variable) else {
                    return self.push(Op::Refused, Type::Any);
                };
                let (slot, (body, body_kind)) = self.within(&[variable], |resolver| resolver.lower(body));
                if kind == BindKind::FlatMap {
                    self.needs(
                        call,
                        target,
                        body_kind,
                        &[Type::Optional],
                        "an expression that gives an optional",
                    );
                }
                self.push(Op::Bind(Box::new(Bind { kind, slot, value, body })), Type::Optional)
            }
            (Macro::SortBy, [variable, key]) => {
                let (list, list_kind) = self.lower(target);
                self.needs(call, target, list_kind, &[Type::List], "a list");
                let Some(variable) = self.variable(call, variable) else {
                    return self.push(Op::Refused, Type::Any);
                };
                let (slot, (key, _)) = self.within(&[variable], |resolver| resolver.lower(key));
                self.push(Op::SortBy(list, slot, key), Type::List)
            }
            (Macro::Quantifier(..) | Macro::Loop(LoopKind::Map), _) => {
                self.wrong_count(call, "2 or 3 arguments")
            }
            (Macro::Transform(_), _) => self.wrong_count(call, "3 or 4 arguments"),
            _ => self.wrong_count(call, "2 arguments"),
        }
    }

    /// `cel.bind(name, value, expression)`
    pub(super) fn bind(&mut self, call: Call<'_>) -> Lowered {
        let [variable, value, body] = call.arguments else { return self.wrong_count(call, "3 arguments") };
        let (value, _) = self.lower(value);
        let Some(variable) = self.variable(call, variable) else {
            return self.push(Op::Refused, Type::Any);
        };
        let (slot, (body, kind)) = self.within(&[variable], |resolver| resolver.lower(body));
        self.push(Op::Bind(Box::new(Bind { kind: BindKind::Value, slot, value, body })), kind)
    }

    /// A macro over a list or the keys of a map.
    fn one(
        &mut self,
        call: Call<'_>,
        kind: LoopKind,
        range: &Node,
        variable: &Node,
        condition: Option<&Node>,
        body: &Node,
    ) -> Lowered {
        let (range_op, range_kind) = self.lower(range);
        self.needs(call, range, range_kind, &[Type::List, Type::Map], "a list or a map");
        let Some(variable) = self.variable(call, variable) else {
            return self.push(Op::Refused, Type::Any);
        };
        let symbol = format!("`{}`", call.name);
        let (slot, (condition, body)) = self.within(&[variable], |resolver| {
            let condition = condition.map(|condition| resolver.condition(condition, &symbol));
            let is_map = kind == LoopKind::Map;
            (condition, if is_map { resolver.lower(body).0 } else { resolver.condition(body, &symbol) })
        });
        let gives = if matches!(kind, LoopKind::Filter | LoopKind::Map) { Type::List } else { Type::Bool };
        self.push(Op::Loop(Box::new(Loop { kind, slot, range: range_op, condition, body })), gives)
    }

    /// A macro over the indexes and elements of a list or the keys and values of a map.
    fn two(
        &mut self,
        call: Call<'_>,
        kind: PairsKind,
        range: &Node,
        variables: [&Node; 2],
        condition: Option<&Node>,
        body: &Node,
    ) -> Lowered {
        let (range_op, range_kind) = self.lower(range);
        self.needs(call, range, range_kind, &[Type::List, Type::Map], "a list or a map");
        let (first, second) = (self.variable(call, variables[0]), self.variable(call, variables[1]));
        let (Some(first), Some(second)) = (first, second) else {
            return self.push(Op::Refused, Type::Any);
        };
        if first == second {
            let message = format!("the variables of `{}` need different names", call.name);
            return self.refuse(Fault::new(Code::ExpressionSyntax, variables[1].span, message));
        }
        let symbol = format!("`{}`", call.name);
        let (slot, (condition, body)) = self.within(&[first, second], |resolver| {
            let condition = condition.map(|condition| resolver.condition(condition, &symbol));
            let transforms = matches!(
                kind,
                PairsKind::TransformList | PairsKind::TransformMap | PairsKind::TransformMapEntry
            );
            let (op, body_kind) = resolver.lower(body);
            if !transforms {
                resolver.needs(call, body, body_kind, &[Type::Bool], "a boolean");
            } else if kind == PairsKind::TransformMapEntry {
                resolver.needs(call, body, body_kind, &[Type::Map], "an expression that gives a map");
            }
            (condition, op)
        });
        let gives = match kind {
            PairsKind::TransformList => Type::List,
            PairsKind::TransformMap | PairsKind::TransformMapEntry => Type::Map,
            _ => Type::Bool,
        };
        self.push(Op::Pairs(Box::new(Pairs { kind, slot, range: range_op, condition, body })), gives)
    }

    fn needs(&mut self, call: Call<'_>, node: &Node, kind: Type, types: &[Type], words: &str) {
        if !kind.may_be(types) {
            self.mismatch(node.span, format!("`{}` needs {words}, not {}", call.name, kind.name()));
        }
    }

    /// The name that an argument gives to a variable.
    fn variable<'n>(&mut self, call: Call<'_>, node: &'n Node) -> Option<&'n str> {
        if let Kind::Name { name, rooted: false } = &node.kind {
            return Some(name);
        }
        let message = format!("the first argument of `{}` names its variable", call.name);
        let fault = Fault::new(Code::ExpressionSyntax, node.span, message);
        let example = if call.name == "bind" {
            "cel.bind(x, value, …)".to_owned()
        } else {
            format!("list.{}(x, …)", call.name)
        };
        self.faults.push(fault.help(format!("write `{example}`")));
        None
    }

    /// Lowers something with variables around it; gives where the first of them is kept.
    fn within<T>(&mut self, variables: &[&str], lower: impl FnOnce(&mut Self) -> T) -> (u16, T) {
        let slot = self.variables.len();
        self.variables.extend(variables.iter().map(|&variable| variable.to_owned()));
        let lowered = lower(self);
        self.variables.truncate(slot);
        (slot as u16, lowered)
    }
}
