//! `request` of a Route: schemas compiled, captures found, defaults checked.

use bytes::Bytes;
use http::HeaderName;

use super::{
    findings::Findings,
    nested::{refused, schema},
    path::Capture,
};
use crate::{
    config::{
        parameter::ParameterTemplate,
        request::{BodyTemplate, RequestTemplate},
    },
    diagnostic::{Code, Diagnostic},
    plan::request::{BodyRules, Parameter, ParameterPlace, RequestRules},
};

/// Compiles `request`. `None` for a finding, `Some(None)` for nothing written.
pub(super) fn compile(
    template: Option<&RequestTemplate>,
    captures: &[Capture],
    streams: bool,
    findings: &mut Findings,
) -> Option<Option<RequestRules>> {
    let Some(template) = template else { return Some(None) };
    let mut all = Vec::new();
    for one in &template.path {
        let index = captures.iter().position(|capture| capture.name == one.name.value);
        let Some(index) = index.and_then(|index| u16::try_from(index).ok()) else {
            let message = format!("the route's path captures no `{}`", one.name.value);
            let mut finding = Diagnostic::new(Code::UnknownKey, one.name.place.clone(), message);
            let known = captures.iter().map(|capture| capture.name.as_str());
            finding.help = findings.nearest(&one.name, known);
            findings.push(finding);
            all.push(None);
            continue;
        };
        all.push(parameter(one, ParameterPlace::Path(index), findings));
    }
    let query = template.query.iter().map(|one| (one, ParameterPlace::Query));
    let header = |name: &HeaderName| ParameterPlace::Header(name.clone());
    let headers = template.headers.iter().map(|(name, one)| (one, header(name)));
    let cookies = template.cookies.iter().map(|one| (one, ParameterPlace::Cookie));
    for (one, place) in query.chain(headers).chain(cookies) {
        all.push(parameter(one, place, findings));
    }
    let body = match &template.body {
        Some(body) => self::body(body, streams, findings).map(Some),
        None => Some(None),
    };
    let parameters = all.into_iter().collect::<Option<_>>()?;
    Some(Some(RequestRules { parameters, body: body? }))
}

fn parameter(
    template: &ParameterTemplate,
    place: ParameterPlace,
    findings: &mut Findings,
) -> Option<Parameter> {
    let schema = schema(&template.schema, findings)?;
    if schema.types().iter().any(|name| name == "object") {
        findings.advise(
            Code::InvalidSchema,
            &template.schema.place,
            format!("`{}` is text in a request, which gives no object", template.name.value),
            "a parameter is a string, number, integer, boolean or an array of them",
        );
        return None;
    }
    let default = template.default.as_ref().map(|value| Bytes::from(value.to_string()));
    if let Some(why) = default.as_ref().and_then(|json| refused(json, &schema)) {
        let message = format!("the default of `{}` {why}", template.name.value);
        findings.error(Code::InvalidSchema, &template.schema.place, message);
        return None;
    }
    let name = match &place {
        ParameterPlace::Header(name) => name.as_str().to_owned(),
        ParameterPlace::Path(_) | ParameterPlace::Query | ParameterPlace::Cookie => {
            template.name.value.clone()
        }
    };
    Some(Parameter { place, name, required: template.required, default, schema })
}

fn body(template: &BodyTemplate, streams: bool, findings: &mut Findings) -> Option<BodyRules> {
    let schema = match &template.schema {
        Some(template) => Some(schema(template, findings)?),
        None => None,
    };
    if streams && (schema.is_some() || template.required) {
        findings.advise(
            Code::BodyNotReadable,
            &template.place,
            "a proxy route streams its body, so nothing can check it",
            "only `maxBytes` has an effect here; compose with `steps` and `respond` to check it",
        );
        return None;
    }
    Some(BodyRules {
        schema,
        max_bytes: template.max_bytes.as_ref().map(|found| found.value),
        required: template.required,
    })
}
