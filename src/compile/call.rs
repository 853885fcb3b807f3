//! Calls of steps and proxies: the target resolved, the path in parts, the rest compiled.

use http::Method;

use super::{
    fields::MAPS,
    nested::Compositions,
    path::{self, Capture, Fault},
    service::{Services, is_safe},
    text::Expressions,
};
use crate::{
    config::{
        Node, Spanned,
        route::ProxyTemplate,
        step::{CallTemplate, HeadersTemplate, StepTemplate},
        yaml::Value,
    },
    diagnostic::{Code, Diagnostic},
    expr::{Part, Piece, Program, Slot, Text},
    plan::{Action, Call, Headers, PathPart, Proxy},
};

/// What calls of one document have in common.
pub(super) struct Callers<'s> {
    pub(super) services: &'s Services<'s>,
    pub(super) compositions: &'s Compositions<'s>,
    pub(super) unit: &'s str,
    /// Captures of the route's path.
    pub(super) captures: &'s [Capture],
    /// The Composition that is being compiled, if it is none of a route's own steps.
    pub(super) inside: Option<usize>,
}

/// A step's call, as far as it could be compiled.
pub(super) struct Drafted {
    pub(super) action: Option<Action>,
    /// Whether it only reads, where that is known.
    pub(super) safe: Option<bool>,
    /// Whether it may be sent twice, where that is known.
    pub(super) repeatable: Option<bool>,
}

impl Callers<'_> {
    /// The call of a step.
    pub(super) fn call<'t>(&self, step: &'t StepTemplate, with: &mut Expressions<'t, '_>) -> Drafted {
        let (target, path) = match &step.call {
            CallTemplate::Compose { name, inputs } => {
                let found = self.compositions.nested(name, inputs, self, with);
                let action = found.nested.map(Action::Compose);
                return Drafted { action, safe: found.safe, repeatable: None };
            }
            CallTemplate::Operation(name) => {
                let found = self.services.operation(name, self.unit, with.findings);
                let path = match &found {
                    Some(target) => match &target.operation.path {
                        Some(pieces) => fill(pieces, &target.operation.text, name, &step.path, with),
                        None => none(given(&step.path, with)),
                    },
                    None => none(given(&step.path, with)),
                };
                let target =
                    found.map(|target| (target.service, &target.operation.method, target.operation.safe));
                (target, path)
            }
            CallTemplate::Http { service, method, path, safe } => {
                let found = self.services.service(service, &service.place, self.unit, with.findings);
                let path = self.path(path, with);
                let safe = is_safe(method, *safe);
                return self.rest(step, found.map(|id| (id, method, safe)), Some(safe), path, with);
            }
        };
        let safe = target.as_ref().map(|(_, _, safe)| *safe);
        self.rest(step, target, safe, path, with)
    }

    fn rest<'t>(
        &self,
        step: &'t StepTemplate,
        target: Option<(crate::id::ServiceId, &Method, bool)>,
        safe: Option<bool>,
        path: Option<Box<[PathPart]>>,
        with: &mut Expressions<'t, '_>,
    ) -> Drafted {
        let query = with.query(step.query.as_ref());
        let headers = match &step.headers {
            HeadersTemplate::Map(fields) => with.fields(fields).map(Headers::Fields),
            HeadersTemplate::Expression(node) => {
                with.program(node, "headers that are not a map", MAPS).map(Headers::Expression)
            }
        };
        let mark = with.mark();
        let body = match &step.body {
            Some(body) => with.shape(body).map(Some),
            None => Some(None),
        };
        if matches!(&body, Some(Some(shape)) if shape.as_body().is_some()) {
            with.mark_whole(mark);
        }
        let repeatable = target.as_ref().map(|(_, method, safe)| *safe || method.is_idempotent());
        let call = (|| {
            let (service, method, safe) = target?;
            Some(Call {
                service,
                method: method.clone(),
                safe,
                path: path?,
                query: query?,
                headers: headers?,
                body: body?,
            })
        })();
        Drafted { action: call.map(Action::Call), safe, repeatable }
    }

    /// The call of a proxy route.
    pub(super) fn proxy<'t>(
        &self,
        template: &'t ProxyTemplate,
        with: &mut Expressions<'t, '_>,
    ) -> Option<Proxy> {
        let service = &template.service;
        let service = self.services.service(service, &service.place, self.unit, with.findings);
        let path = match &template.path {
            Some(path) => self.path(path, with).map(Some),
            None => Some(None),
        };
        let query = match &template.query {
            Some(query) => with.query(Some(query)).map(Some),
            None => Some(None),
        };
        let set = with.fields(&template.set);
        Some(Proxy {
            service: service?,
            path: path?,
            query: query?,
            set: set?,
            remove: template.remove.iter().map(|name| name.value.clone()).collect(),
            preserve_host: template.preserve_host,
            forward_credentials: template.forward_credentials,
        })
    }

    /// A path as text with expressions.
    fn path<'t>(&self, node: &'t Node, with: &mut Expressions<'t, '_>) -> Option<Box<[PathPart]>> {
        let Value::Text(text) = &node.value else {
            with.findings.error(Code::WrongType, &node.place, "a path is text");
            return None;
        };
        let pieces = with.pieces(node, text)?;
        let mut whole = true;
        let fault = |fault: Fault, with: &mut Expressions<'t, '_>| {
            let end = (fault.offset + fault.len).min(text.len());
            let width = text.get(fault.offset..end).map_or(1, |text| text.chars().count().max(1));
            let place = node.place_at(fault.offset, width);
            let mut finding = Diagnostic::new(Code::InvalidPath, place, fault.message);
            finding.help = fault.help.map(str::to_owned);
            with.findings.push(finding);
        };
        if !text.starts_with('/') {
            fault(path::no_slash(), with);
            whole = false;
        }
        let mut parts = Vec::with_capacity(pieces.len());
        let mut offset = 0;
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => match path::canonical(&literal, false) {
                    Ok(literal) => parts.push(PathPart::Literal(literal)),
                    Err(error) => {
                        fault(Fault { offset: offset + error.offset, ..error }, with);
                        whole = false;
                    }
                },
                Piece::Expression { offset: start, source } => {
                    offset = start + source.len() + 1;
                    let program = with.expression(node, start, &source);
                    match program.filter(|program| with.has_text(node, start, program)) {
                        Some(program) => parts.push(self.part(program)),
                        None => whole = false,
                    }
                }
            }
        }
        if whole && climbs(&parts) {
            fault(path::dots(0, text.len()), with);
            return None;
        }
        whole.then(|| parts.into())
    }

    /// A `{rest...}` capture keeps its slashes, any other value is one segment.
    fn part(&self, program: Program) -> PathPart {
        let is_rest = |index: u16| self.captures.get(usize::from(index)).is_some_and(|capture| capture.rest);
        match program.as_slot() {
            Some(Slot::Path(index)) if is_rest(index) => PathPart::Rest(program),
            _ => PathPart::Segment(program),
        }
    }
}

/// Whether a segment that is all literal is `.` or `..`.
fn climbs(parts: &[PathPart]) -> bool {
    let mut skeleton = String::new();
    for part in parts {
        match part {
            PathPart::Literal(text) => skeleton.push_str(text),
            PathPart::Segment(_) | PathPart::Rest(_) => skeleton.push('x'),
        }
    }
    skeleton.split('/').any(path::is_dots)
}

/// An operation's path with the values that `with.path` gives.
fn fill<'t>(
    pieces: &[path::Piece],
    text: &str,
    call: &Spanned<String>,
    values: &'t [(Spanned<String>, Node)],
    with: &mut Expressions<'t, '_>,
) -> Option<Box<[PathPart]>> {
    let captures = || {
        pieces.iter().filter_map(|piece| match piece {
            path::Piece::Capture(capture) => Some(capture),
            path::Piece::Literal(_) => None,
        })
    };
    let compiled = given(values, with);
    let mut whole = true;
    for (name, _) in values {
        if !captures().any(|capture| capture.name == name.value) {
            let message = format!("`{}` is no capture of `{text}`", name.value);
            let mut finding = Diagnostic::new(Code::UnknownKey, name.place.clone(), message);
            finding.help =
                with.findings.nearest(&name.value, captures().map(|capture| capture.name.as_str()));
            with.findings.push(finding);
            whole = false;
        }
    }
    let mut compiled: Vec<_> = values.iter().zip(compiled).collect();
    let mut parts: Vec<PathPart> = Vec::new();
    for piece in pieces {
        let capture = match piece {
            path::Piece::Literal(text) => {
                literal(text, &mut parts);
                continue;
            }
            path::Piece::Capture(capture) => capture,
        };
        let Some(at) = compiled.iter().position(|((name, _), _)| name.value == capture.name) else {
            with.findings.advise(
                Code::MissingKey,
                &call.place,
                format!("the path `{text}` needs `{}`", capture.name),
                format!("write `with: {{path: {{{}: …}}}}`", capture.name),
            );
            whole = false;
            continue;
        };
        let ((_, node), value) = compiled.swap_remove(at);
        let dynamic =
            |program| if capture.rest { PathPart::Rest(program) } else { PathPart::Segment(program) };
        match value {
            None => whole = false,
            Some(Text::One(program)) => parts.push(dynamic(program)),
            Some(Text::Literal(text)) => match path::filled(&text, capture.rest) {
                Some(text) => literal(&text, &mut parts),
                None => {
                    let message = "empty text, `.` and `..` are refused in a path";
                    with.findings.error(Code::InvalidPath, &node.place, message);
                    whole = false;
                }
            },
            Some(Text::Parts(pieces)) => {
                for piece in pieces {
                    match piece {
                        Part::Program(program) => parts.push(dynamic(program)),
                        // A part of a segment may be anything; the whole is judged with its values.
                        Part::Literal(text) => literal(&path::part(&text, capture.rest), &mut parts),
                    }
                }
            }
        }
    }
    whole.then(|| parts.into())
}

/// The values of `with.path`, compiled.
fn given<'t>(values: &'t [(Spanned<String>, Node)], with: &mut Expressions<'t, '_>) -> Vec<Option<Text>> {
    values.iter().map(|(_, node)| with.text(node)).collect()
}

/// No path, after its values had their say.
fn none<T>(_: Vec<Option<Text>>) -> Option<T> {
    None
}

fn literal(text: &str, parts: &mut Vec<PathPart>) {
    match parts.last_mut() {
        Some(PathPart::Literal(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => parts.push(PathPart::Literal(text.to_owned())),
    }
}
