//! What goes back to the client: composed answers, fixed answers, problem documents.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};

use super::text::Expressions;
use crate::{
    config::{
        Node,
        route::{ErrorTemplate, ProblemTemplate, RespondTemplate},
        yaml::Value,
    },
    diagnostic::Code,
    expr::{Shape, Text},
    plan::{ErrorRule, Problem, Respond, StaticAnswer, answer::StatusTemplate},
};

impl<'t> Expressions<'t, '_> {
    /// `respond`
    pub(super) fn respond(&mut self, template: &'t RespondTemplate) -> Option<Respond> {
        let status = self.optional(template.status.as_ref(), Self::status);
        let headers = self.fields(&template.headers);
        let mark = self.mark();
        let body = self.optional(template.body.as_ref(), Self::shape);
        if matches!(&body, Some(Some(shape)) if shape.as_body().is_some()) {
            self.mark_whole(mark);
        }
        Some(Respond {
            status: status?.unwrap_or(StatusTemplate::Fixed(StatusCode::OK)),
            headers: headers?,
            body: body?,
        })
    }

    /// A problem document of the template's own.
    pub(super) fn problem(&mut self, template: &'t ProblemTemplate) -> Option<Problem> {
        let status = self.optional(template.status.as_ref(), Self::status);
        let type_uri = self.optional(template.type_uri.as_ref(), Self::text);
        let title = self.optional(template.title.as_ref(), Self::text);
        let detail = self.optional(template.detail.as_ref(), Self::text);
        let headers = self.fields(&template.headers);
        let members: Vec<_> = template
            .members
            .iter()
            .map(|(name, node)| Some((name.value.clone(), self.shape(node)?)))
            .collect();
        Some(Problem {
            status: status?,
            type_uri: type_uri?,
            title: title?,
            detail: detail?,
            headers: headers?,
            members: members.into_iter().collect::<Option<_>>()?,
        })
    }

    /// `errors`: the only place that reads `error`.
    pub(super) fn errors(&mut self, templates: &'t [ErrorTemplate]) -> Option<Box<[ErrorRule]>> {
        self.scope.error = true;
        let rules: Vec<_> = templates
            .iter()
            .map(|template| {
                let when = self.optional(template.when.as_ref(), Self::condition);
                let problem = self.problem(&template.problem);
                Some(ErrorRule { when: when?, problem: problem? })
            })
            .collect();
        self.scope.error = false;
        rules.into_iter().collect()
    }

    /// `static`: rendered now.
    pub(super) fn fixed_answer(&mut self, template: &'t RespondTemplate) -> Option<StaticAnswer> {
        self.fixed = true;
        let status = match &template.status {
            Some(status) => self.fixed_status(status),
            None => Some(StatusCode::OK),
        };
        let fields = self.fields(&template.headers);
        let mut headers = HeaderMap::new();
        for (name, values) in fields.iter().flatten() {
            for value in &values.0 {
                if let Text::Literal(text) = value {
                    headers.append(name, HeaderValue::from_str(text).ok()?);
                }
            }
        }
        let content_type = match headers.get(CONTENT_TYPE) {
            Some(value) => value.to_str().unwrap_or_default().to_ascii_lowercase(),
            None => "application/json".to_owned(),
        };
        let body = match &template.body {
            Some(body) => self.fixed_body(body, &content_type),
            None => Some(Bytes::new()),
        };
        self.fixed = false;
        if template.body.is_some() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        fields?;
        Some(StaticAnswer { status: status?, headers, body: body? })
    }

    /// JSON, unless the content type says otherwise and the value is text.
    fn fixed_body(&mut self, node: &'t Node, content_type: &str) -> Option<Bytes> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence == "application/json" || essence.ends_with("+json") {
            return match self.shape(node)? {
                Shape::Literal(json) => Some(Bytes::from(json)),
                _ => None,
            };
        }
        if matches!(node.value, Value::List(_) | Value::Map(_) | Value::Null) {
            self.findings.advise(
                Code::WrongType,
                &node.place,
                format!("a body of `{essence}` is text"),
                "quote it, or leave `content-type` out for JSON",
            );
            return None;
        }
        match self.text(node)? {
            Text::Literal(text) => Some(Bytes::from(text)),
            Text::One(_) | Text::Parts(_) => None,
        }
    }
}
