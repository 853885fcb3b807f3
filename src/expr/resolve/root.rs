//! The roots of the format: which slot `request.…`, `steps.…` and the others mean.

use super::{
    Op, Resolver, Span, Type,
    chain::{Accessor, Selected},
};
use crate::{
    diagnostic::{Code, nearest},
    expr::{AnswerField, ErrorField, Fault, PrincipalField, Reference, Slot, StepField, StepScope, op::Base},
};

/// What a root and the first selections from it stand for.
pub(super) struct Root {
    pub(super) base: Base,
    /// How many selections it has used up.
    pub(super) used: usize,
    pub(super) kind: Type,
    /// It is a map of header fields.
    pub(super) lower_case: bool,
}

impl Root {
    fn slot(slot: Slot, used: usize, kind: Type) -> Self {
        Self { base: Base::Slot(slot), used, kind, lower_case: false }
    }

    fn headers(slot: Slot) -> Self {
        Self { lower_case: true, ..Self::slot(slot, 1, Type::Map) }
    }
}

pub(super) const ROOTS: [&str; 8] =
    ["request", "steps", "vars", "input", "self", "execution", "error", "principal"];
const REQUEST: [&str; 10] =
    ["method", "path", "query", "headers", "cookies", "body", "host", "scheme", "clientIp", "id"];
const PRINCIPAL: [&str; 6] = ["id", "kind", "claims", "scopes", "consumer", "plan"];
const EXECUTION: [&str; 4] = ["now", "traceId", "degraded", "deadlineMs"];
const ERROR: [&str; 5] = ["code", "status", "step", "message", "upstream"];
const ANSWER: [&str; 3] = ["status", "headers", "body"];

fn unknown(span: Span, message: impl Into<String>) -> Fault {
    Fault::new(Code::UnknownReference, span, message)
}

/// Adds "did you mean", or else lists what there is.
fn suggest<'k>(fault: Fault, wrong: &str, known: impl Iterator<Item = &'k str> + Clone) -> Fault {
    if let Some(name) = nearest(wrong, known.clone()) {
        return fault.help(format!("did you mean `{name}`?"));
    }
    let names: Vec<String> = known.take(12).map(|name| format!("`{name}`")).collect();
    if names.is_empty() { fault } else { fault.help(format!("there is {}", names.join(", "))) }
}

/// The literal name selected at this place.
fn name<'n>(
    root: &str,
    span: Span,
    accessor: Option<&Accessor<'n>>,
    example: &str,
) -> Result<&'n str, Fault> {
    match accessor {
        Some(Accessor { name: Selected::Name(name), .. }) => Ok(name),
        Some(computed) => {
            let message = format!("a name under `{root}` must be written out");
            Err(unknown(computed.span, message).help(format!("write `{example}`")))
        }
        None => Err(unknown(span, format!("`{root}` alone is no value")).help(format!("write `{example}`"))),
    }
}

impl Resolver<'_> {
    pub(super) fn root(&mut self, root: &str, span: Span, path: &[Accessor<'_>]) -> Result<Root, Fault> {
        match root {
            "request" if !self.scope.request => {
                Err(unknown(span, "`request` cannot be read in a Composition")
                    .help("declare an `input` and pass the value in the step's `with`"))
            }
            "request" => self.request(span, path),
            "steps" => self.step(span, path),
            "vars" => {
                let index = listed("vars", span, path, &self.scope.vars, "vars.name")?;
                Ok(Root::slot(Slot::Var(index), 1, Type::Any))
            }
            "input" => match &self.scope.inputs {
                Some(inputs) => {
                    let index = listed("input", span, path, inputs, "input.name")?;
                    Ok(Root::slot(Slot::Input(index), 1, Type::Any))
                }
                None => Err(unknown(span, "`input` can be read only in a Composition")),
            },
            "self" if !self.scope.own => Err(unknown(span, "`self` can be read only in a step's `ensure`")),
            "self" => self.own(span, path),
            "execution" => execution(span, path),
            "error" if !self.scope.error => {
                Err(unknown(span, "`error` can be read only in `errors` and `errorBody`")
                    .help("in other places read `steps.NAME.outcome` and `steps.NAME.?error`"))
            }
            "error" => error(span, path),
            "principal" if !self.scope.principal => Err(if self.scope.inputs.is_some() {
                unknown(span, "`principal` cannot be read in a Composition")
                    .help("declare an `input` and pass the value in the step's `with`")
            } else {
                unknown(span, "`principal` cannot be read here")
            }),
            "principal" => principal(span, path),
            _ => match type_name(root, path) {
                Some((name, used)) => {
                    let (op, kind) = self.push(Op::Type(name), Type::Other);
                    Ok(Root { base: Base::Op(op), used, kind, lower_case: false })
                }
                None => Err(self.unknown_root(root, span)),
            },
        }
    }

    fn unknown_root(&self, root: &str, span: Span) -> Fault {
        let fault = unknown(span, format!("there is no `{root}` here"));
        let scope = self.scope;
        let locals = self.variables.iter().chain(&scope.locals).map(String::as_str);
        if let Some(name) = nearest(root, locals.clone().chain(ROOTS)) {
            return fault.help(format!("did you mean `{name}`?"));
        }
        if scope.steps.iter().any(|step| step.name == root) {
            return fault.help(format!("did you mean `steps.{root}`?"));
        }
        if scope.vars.iter().any(|var| var == root) {
            return fault.help(format!("did you mean `vars.{root}`?"));
        }
        if scope.captures.iter().any(|capture| capture == root) {
            return fault.help(format!("did you mean `request.path.{root}`?"));
        }
        if scope.inputs.iter().flatten().any(|input| input == root) {
            return fault.help(format!("did you mean `input.{root}`?"));
        }
        fault
    }

    fn request(&mut self, span: Span, path: &[Accessor<'_>]) -> Result<Root, Fault> {
        let field = name("request", span, path.first(), "request.method")?;
        let slot = match field {
            "method" => Slot::Method,
            "host" => Slot::Host,
            "scheme" => Slot::Scheme,
            "clientIp" => Slot::ClientIp,
            "id" => Slot::RequestId,
            "path" => return self.capture(span, path),
            "query" => return Ok(Root::slot(Slot::Query, 1, Type::Map)),
            "headers" => return Ok(Root::headers(Slot::Headers)),
            "cookies" => return Ok(Root::slot(Slot::Cookies, 1, Type::Map)),
            "body" => return Ok(Root::slot(Slot::RequestBody, 1, Type::Any)),
            _ => {
                let at = path.first().map_or(span, |accessor| accessor.span);
                return Err(suggest(
                    unknown(at, format!("`request` has no `{field}`")),
                    field,
                    REQUEST.into_iter(),
                ));
            }
        };
        Ok(Root::slot(slot, 1, Type::Str))
    }

    /// `request.path`: a capture by its name, or all of them as a map.
    fn capture(&mut self, span: Span, path: &[Accessor<'_>]) -> Result<Root, Fault> {
        let captures = &self.scope.captures;
        if let Some(Accessor { name: Selected::Name(wanted), span: at, .. }) = path.get(1) {
            let Some(index) = captures.iter().position(|capture| capture == wanted) else {
                let fault = unknown(*at, format!("the route's path captures no `{wanted}`"));
                return Err(suggest(fault, wanted, captures.iter().map(String::as_str)));
            };
            // A declared parameter has its declared type.
            return Ok(Root::slot(Slot::Path(index as u16), 2, Type::Any));
        }
        let members: Vec<_> = captures
            .iter()
            .enumerate()
            .map(|(i, name)| (name.as_str().into(), Slot::Path(i as u16)))
            .collect();
        let slots =
            members.iter().map(|(_, slot)| Reference { slot: *slot, tolerant: true, offset: span.start });
        self.references.extend(slots);
        let (op, kind) = self.push(Op::Captures(members.into()), Type::Map);
        Ok(Root { base: Base::Op(op), used: 1, kind, lower_case: false })
    }

    fn step(&mut self, span: Span, path: &[Accessor<'_>]) -> Result<Root, Fault> {
        let wanted = name("steps", span, path.first(), "steps.name.body")?;
        let steps = &self.scope.steps;
        let Some(index) = steps.iter().position(|step| step.name == wanted) else {
            let at = path.first().map_or(span, |accessor| accessor.span);
            let fault = Fault::new(Code::UnknownStep, at, format!("there is no step `{wanted}`"));
            return Err(suggest(fault, wanted, steps.iter().map(|step| step.name.as_str())));
        };
        let step = &steps[index];
        let whole = path.first().map_or(span, |accessor| span.to(accessor.span));
        let prefix = format!("steps.{wanted}");
        let usual = if step.for_each {
            "items"
        } else if step.compose {
            "output"
        } else {
            "body"
        };
        let field = name(&prefix, whole, path.get(1), &format!("{prefix}.{usual}"))?;
        let at = path.get(1).map_or(span, |accessor| accessor.span);
        let Some((field, kind)) = step_field(field).filter(|(field, _)| fields_of(step).contains(field))
        else {
            let known = fields_of(step).iter().map(|field| field_name(*field));
            let fault = unknown(at, format!("`{prefix}` has no `{field}`"));
            return Err(match field {
                "body" | "status" | "headers" if step.for_each => {
                    fault.help("a step with `forEach` has `items` (in order) and `byKey` instead")
                }
                "body" if step.compose => fault.help("a step with `compose` has `output` instead"),
                "items" | "byKey" => fault.help("only a step with `forEach` has `items` and `byKey`"),
                "output" => fault.help("only a step with `compose` has `output`"),
                _ => suggest(fault, field, known),
            });
        };
        let lower_case = field == StepField::Headers;
        Ok(Root { lower_case, ..Root::slot(Slot::Step(index as u16, field), 2, kind) })
    }

    fn own(&mut self, span: Span, path: &[Accessor<'_>]) -> Result<Root, Fault> {
        let field = name("self", span, path.first(), "self.body")?;
        match field {
            "status" => Ok(Root::slot(Slot::Own(AnswerField::Status), 1, Type::Number)),
            "headers" => Ok(Root::headers(Slot::Own(AnswerField::Headers))),
            "body" => Ok(Root::slot(Slot::Own(AnswerField::Body), 1, Type::Any)),
            _ => {
                let at = path.first().map_or(span, |accessor| accessor.span);
                Err(suggest(unknown(at, format!("`self` has no `{field}`")), field, ANSWER.into_iter()))
            }
        }
    }
}

/// The type of that name, and how many selections are part of it.
fn type_name(root: &str, path: &[Accessor<'_>]) -> Option<(&'static str, usize)> {
    const TYPES: [&str; 11] = [
        "bool",
        "bytes",
        "double",
        "int",
        "list",
        "map",
        "null_type",
        "optional_type",
        "string",
        "type",
        "uint",
    ];
    const QUALIFIED: [&str; 4] =
        ["google.protobuf.Timestamp", "google.protobuf.Duration", "net.IP", "net.CIDR"];
    if let Some(name) = TYPES.iter().find(|name| **name == root) {
        return Some((name, 0));
    }
    QUALIFIED.iter().find_map(|name| {
        let mut parts = name.split('.');
        let is_field = |(part, accessor): (&str, &Accessor<'_>)| {
            matches!(accessor, Accessor { name: Selected::Name(name), optional: false, .. } if *name == part)
        };
        let count = parts.clone().count() - 1;
        let matching = parts.next() == Some(root) && path.len() >= count && parts.zip(path).all(is_field);
        matching.then_some((*name, count))
    })
}

fn step_field(name: &str) -> Option<(StepField, Type)> {
    Some(match name {
        "status" => (StepField::Status, Type::Number),
        "headers" => (StepField::Headers, Type::Map),
        "body" => (StepField::Body, Type::Any),
        "outcome" => (StepField::Outcome, Type::Str),
        "error" => (StepField::Error, Type::Any),
        "items" => (StepField::Items, Type::List),
        "byKey" => (StepField::ByKey, Type::Map),
        "output" => (StepField::Output, Type::Any),
        _ => return None,
    })
}

fn field_name(field: StepField) -> &'static str {
    match field {
        StepField::Status => "status",
        StepField::Headers => "headers",
        StepField::Body => "body",
        StepField::Outcome => "outcome",
        StepField::Error => "error",
        StepField::Items => "items",
        StepField::ByKey => "byKey",
        StepField::Output => "output",
    }
}

fn fields_of(step: &StepScope) -> &'static [StepField] {
    use StepField::{Body, ByKey, Error, Headers, Items, Outcome, Output, Status};
    match (step.for_each, step.compose) {
        (true, _) => &[Items, ByKey, Outcome, Error],
        (false, true) => &[Output, Outcome, Error],
        (false, false) => &[Body, Status, Headers, Outcome, Error],
    }
}

/// The index of a name that must be one of those listed.
fn listed(
    root: &str,
    span: Span,
    path: &[Accessor<'_>],
    known: &[String],
    example: &str,
) -> Result<u16, Fault> {
    let wanted = name(root, span, path.first(), example)?;
    let at = path.first().map_or(span, |accessor| accessor.span);
    known.iter().position(|name| name == wanted).and_then(|index| u16::try_from(index).ok()).ok_or_else(
        || {
            let fault = unknown(at, format!("there is no `{wanted}` under `{root}`"));
            suggest(fault, wanted, known.iter().map(String::as_str))
        },
    )
}

fn principal(span: Span, path: &[Accessor<'_>]) -> Result<Root, Fault> {
    let field = name("principal", span, path.first(), "principal.id")?;
    let (field, kind) = match field {
        "id" => (PrincipalField::Id, Type::Str),
        "kind" => (PrincipalField::Kind, Type::Str),
        "claims" => (PrincipalField::Claims, Type::Map),
        "scopes" => (PrincipalField::Scopes, Type::List),
        "consumer" => (PrincipalField::Consumer, Type::Str),
        "plan" => (PrincipalField::Plan, Type::Str),
        _ => {
            let at = path.first().map_or(span, |accessor| accessor.span);
            let fault = unknown(at, format!("`principal` has no `{field}`"));
            return Err(suggest(fault, field, PRINCIPAL.into_iter()));
        }
    };
    Ok(Root::slot(Slot::Principal(field), 1, kind))
}

fn execution(span: Span, path: &[Accessor<'_>]) -> Result<Root, Fault> {
    let field = name("execution", span, path.first(), "execution.traceId")?;
    Ok(match field {
        "now" => Root::slot(Slot::Now, 1, Type::Timestamp),
        "traceId" => Root::slot(Slot::TraceId, 1, Type::Str),
        "degraded" => Root::slot(Slot::Degraded, 1, Type::List),
        "deadlineMs" => Root::slot(Slot::DeadlineMs, 1, Type::Number),
        _ => {
            let at = path.first().map_or(span, |accessor| accessor.span);
            return Err(suggest(
                unknown(at, format!("`execution` has no `{field}`")),
                field,
                EXECUTION.into_iter(),
            ));
        }
    })
}

fn error(span: Span, path: &[Accessor<'_>]) -> Result<Root, Fault> {
    let field = name("error", span, path.first(), "error.code")?;
    let (field, kind) = match field {
        "code" => (ErrorField::Code, Type::Str),
        "status" => (ErrorField::Status, Type::Number),
        "step" => (ErrorField::Step, Type::Any),
        "message" => (ErrorField::Message, Type::Str),
        "upstream" if path.get(1).is_some_and(|next| matches!(next.name, Selected::Name("status"))) => {
            return Ok(Root::slot(Slot::Error(ErrorField::UpstreamStatus), 2, Type::Number));
        }
        "upstream" => (ErrorField::Upstream, Type::Any),
        _ => {
            let at = path.first().map_or(span, |accessor| accessor.span);
            return Err(suggest(unknown(at, format!("`error` has no `{field}`")), field, ERROR.into_iter()));
        }
    };
    Ok(Root::slot(Slot::Error(field), 1, kind))
}
