//! Header fields, query parameters and statuses: values that end up in a message's head.

use http::{HeaderName, HeaderValue, StatusCode};

use super::text::Expressions;
use crate::{
    config::{Node, Spanned, yaml::Value},
    diagnostic::Code,
    expr::{Part, Text, Type},
    plan::{Query, Values, answer::StatusTemplate},
};

/// What an expression that stands for a map may give.
pub(super) const MAPS: &[Type] = &[Type::Map, Type::Optional];

type Fields<'t> = &'t [(Spanned<HeaderName>, Node)];

impl<'t> Expressions<'t, '_> {
    /// One scalar, or a list of them.
    pub(super) fn values(&mut self, node: &'t Node) -> Option<Values> {
        let texts: Vec<_> = match &node.value {
            Value::List(items) => items.iter().map(|item| self.text(item)).collect(),
            _ => vec![self.text(node)],
        };
        texts.into_iter().collect::<Option<Box<[_]>>>().map(Values)
    }

    /// Fields in file order.
    pub(super) fn fields(&mut self, fields: Fields<'t>) -> Option<Box<[(HeaderName, Values)]>> {
        let compiled: Vec<_> = fields
            .iter()
            .map(|(name, node)| {
                let values = self.values(node)?;
                let sendable = values.0.iter().all(literals_are_sendable);
                if !sendable {
                    self.findings.error(
                        Code::InvalidValue,
                        &node.place,
                        format!("the value of `{}` is not one a header can have", name.value),
                    );
                }
                sendable.then(|| (name.value.clone(), values))
            })
            .collect();
        compiled.into_iter().collect()
    }

    /// One value of a field.
    pub(super) fn header_value(&mut self, name: &Spanned<HeaderName>, node: &'t Node) -> Option<Text> {
        let text = self.text(node)?;
        if !literals_are_sendable(&text) {
            let message = format!("the value of `{}` is not one a header can have", name.value);
            self.findings.error(Code::InvalidValue, &node.place, message);
            return None;
        }
        Some(text)
    }

    /// A map of parameters, or one expression that gives one.
    pub(super) fn query(&mut self, node: Option<&'t Node>) -> Option<Query> {
        let Some(node) = node else {
            return Some(Query::Parameters(Box::default()));
        };
        let Value::Map(members) = &node.value else {
            return self.program(node, "a query that is not a map", MAPS).map(Query::Expression);
        };
        let parameters: Vec<_> =
            members.iter().map(|(name, node)| Some((name.value.clone(), self.values(node)?))).collect();
        parameters.into_iter().collect::<Option<_>>().map(Query::Parameters)
    }

    /// A status from 200 to 599, fixed or computed.
    pub(super) fn status(&mut self, node: &'t Node) -> Option<StatusTemplate> {
        if !matches!(&node.value, Value::Number(_)) {
            return self
                .program(node, "a status that is not a number", &[Type::Number, Type::Optional])
                .map(StatusTemplate::Expression);
        }
        self.fixed_status(node).map(StatusTemplate::Fixed)
    }

    /// A status that is written in place.
    pub(super) fn fixed_status(&mut self, node: &Node) -> Option<StatusCode> {
        let status = match &node.value {
            Value::Number(text) => text.parse::<u16>().ok().filter(|status| (200..600).contains(status)),
            _ => None,
        };
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        if status.is_none() {
            self.findings.error(Code::InvalidValue, &node.place, "a status is a number from 200 to 599");
        }
        status
    }
}

fn literals_are_sendable(text: &Text) -> bool {
    let sendable = |text: &str| HeaderValue::from_str(text).is_ok();
    match text {
        Text::Literal(text) => sendable(text),
        Text::One(_) => true,
        Text::Parts(parts) => parts.iter().all(|part| match part {
            Part::Literal(text) => sendable(text),
            Part::Program(_) => true,
        }),
    }
}
