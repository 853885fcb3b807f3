//! Routes: what they match, and what answers.

use std::{collections::HashSet, sync::Arc};

use http::HeaderValue;

use super::{
    Findings,
    call::Callers,
    composition::{self, Answer, Document},
    graph::{self, Reads},
    nested::Compositions,
    path::{self, Capture},
    policy::Governance,
    request,
    service::{self, Services},
    text::Expressions,
    unit::Units,
};
use crate::{
    config::route::RouteTemplate,
    diagnostic::Code,
    expr::Scope,
    plan::{Composition, Endpoint, Match, Route},
};

/// What each route matches, and the captures of its path.
pub(super) fn matches(
    templates: &[RouteTemplate],
    findings: &mut Findings,
) -> Vec<(Option<Match>, Vec<Capture>)> {
    let mut all = Vec::with_capacity(templates.len());
    for template in templates {
        findings.next_document();
        all.push(matching(template, findings));
    }
    all
}

fn matching(template: &RouteTemplate, findings: &mut Findings) -> (Option<Match>, Vec<Capture>) {
    let template = &template.matching;
    let (path, captures) = path::pattern(&template.path);
    let path = path.map_err(|faults| service::report(&template.path, faults, findings)).ok();
    let headers: Vec<_> = template
        .headers
        .iter()
        .map(|(name, text)| {
            let value = HeaderValue::from_str(text).ok();
            if value.is_none() {
                let message = format!("no header `{}` can have this value", name.value);
                findings.error(Code::InvalidValue, &name.place, message);
            }
            Some((name.value.clone(), value?))
        })
        .collect();
    let matching = (|| {
        let mut hosts: Vec<_> = template.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        let mut methods: Vec<_> = template.methods.iter().map(|method| method.value.clone()).collect();
        unique(&mut hosts);
        unique(&mut methods);
        Some(Match {
            hosts,
            methods,
            path: path?,
            headers: headers.into_iter().collect::<Option<_>>()?,
            query: template.query.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect(),
        })
    })();
    (matching, captures)
}

/// Keeps the first of equal ones.
fn unique<T: Clone + Eq + std::hash::Hash>(list: &mut Vec<T>) {
    let mut seen = HashSet::with_capacity(list.len());
    list.retain(|item| seen.insert(item.clone()));
}

/// Compiles a route. Nothing when it has a finding.
pub(super) fn compile<'t>(
    template: &RouteTemplate,
    matching: Option<Match>,
    captures: Vec<Capture>,
    (services, compositions): (&Services<'_>, &Compositions<'t>),
    (units, governance): (&Units<'_>, &mut Governance<'t>),
    findings: &mut Findings,
) -> Option<Route> {
    findings.next_document();
    units.ground(template, matching.as_ref(), findings);
    let effective = governance.effective(template, &captures, compositions, findings);
    let request = request::compile(template.request.as_ref(), &captures, template.proxy.is_some(), findings);
    let endpoint = endpoint(template, &captures, (services, compositions), findings);
    let metadata = &template.metadata;
    let (timeout, policies) = effective?;
    Some(Route {
        name: Arc::from(format!("{}/{}", metadata.unit, metadata.name.value)),
        unit: Arc::clone(&metadata.unit),
        owner: Arc::from(metadata.owner.as_str()),
        version: metadata.version.as_deref().map(Arc::from),
        place: metadata.name.place.clone(),
        matching: matching?,
        timeout,
        spare: None,
        policies,
        request: request?,
        endpoint: endpoint?,
    })
}

/// Compiles what answers, and all that runs before it. That there is one is the front end's finding.
fn endpoint(
    template: &RouteTemplate,
    captures: &[Capture],
    (services, compositions): (&Services<'_>, &Compositions<'_>),
    findings: &mut Findings,
) -> Option<Endpoint> {
    let names = captures.iter().map(|capture| capture.name.clone()).collect();
    if let Some(fixed) = &template.fixed {
        return Expressions::new(Scope::default(), findings).fixed_answer(fixed).map(Endpoint::Static);
    }
    let document = Document {
        steps: &template.steps,
        vars: &template.vars,
        require: &template.require,
        answer: match (&template.respond, &template.proxy) {
            (_, Some(_)) => Answer::Proxied,
            (Some(_), None) => Answer::Shaped,
            (None, None) => Answer::Missing,
        },
    };
    let scope = composition::scope(&document, names, findings)?;
    let callers = Callers { services, compositions, unit: &template.metadata.unit, captures, inside: None };
    let mut with = Expressions::new(scope, findings);
    with.request = template.request.as_ref();
    with.unread = &template.unread;
    let mut reads = Reads::default();
    let draft = composition::draft(&document, &callers, &mut with, &mut reads);
    let respond = template.respond.as_ref().and_then(|respond| with.respond(respond));
    let proxy = template.proxy.as_ref().and_then(|proxy| callers.proxy(proxy, &mut with));
    reads.answer = with.take_reads();
    let errors = with.errors(&template.errors);
    reads.errors = with.take_reads();
    reads.unresolved = with.unresolved;
    let graph = graph::judge(&document, &draft.safe, &reads, with.findings);
    let composition = draft.finish(graph)?;
    let checked = template.request.as_ref().and_then(|request| request.body.as_ref());
    if checked.is_none_or(|body| body.schema.is_none() && !body.required) {
        composition::streamed_retries(&document, &composition, with.findings);
    }
    let errors = errors?;
    if template.proxy.is_some() {
        let composition = (!is_empty(&composition)).then(|| Arc::new(composition));
        return Some(Endpoint::Proxy { composition, proxy: proxy?, errors });
    }
    Some(Endpoint::Compose { composition: Arc::new(composition), respond: respond?, errors })
}

fn is_empty(composition: &Composition) -> bool {
    composition.steps.is_empty() && composition.vars.is_empty() && composition.require.is_empty()
}
