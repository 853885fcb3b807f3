//! What the calls of a route send: its steps, those of Compositions that it runs, and the Services behind them.

use std::collections::{HashMap, HashSet};

use super::{Does, Findings, HELP, Judge, refuse};
use crate::{
    compile::nested::Compositions,
    config::{
        Node, Spanned,
        composition::CompositionTemplate,
        route::RouteTemplate,
        service::{HeaderSource, SecretTemplate, ServiceTemplate},
        step::{CallTemplate, HeadersTemplate, StepTemplate},
        yaml::Value,
    },
    diagnostic::Place,
};

/// Steps of Compositions that are looked at for one route. Beyond, what they send is put right all the same, but
/// nobody is told at load.
const MOST_STEPS: usize = 2_000;

/// What a route may call.
pub(in crate::compile::policy) struct Callees<'c, 't> {
    /// By unit and name.
    pub(in crate::compile::policy) services: &'c HashMap<(&'t str, &'t str), &'t ServiceTemplate>,
    pub(in crate::compile::policy) compositions: &'c Compositions<'t>,
}

/// Where a call stands for whoever writes the route.
#[derive(Clone, Copy)]
enum From<'a> {
    /// The proxied call.
    Proxy,
    /// This step of the route.
    Step,
    /// A step of this Composition, which the route runs at this place.
    Inside(&'a str, &'a Place),
}

/// Refuses what a mandate sets or removes where it is known what a call sends.
pub(super) fn judge(
    template: &RouteTemplate,
    callees: &Callees<'_, '_>,
    judge: &Judge<'_>,
    findings: &mut Findings,
) {
    let unit = &*template.metadata.unit;
    if let Some(proxy) = &template.proxy {
        service(&proxy.service, unit, (From::Proxy, callees), judge, findings);
    }
    let mut seen = HashSet::new();
    let mut left = MOST_STEPS;
    for one in &template.steps {
        step(one, unit, (From::Step, callees), judge, findings);
        let CallTemplate::Compose { name, .. } = &one.call else { continue };
        let mut waiting: Vec<&CompositionTemplate> = Vec::new();
        waiting.extend(callees.compositions.known(name, unit));
        while let Some(found) = waiting.pop() {
            if findings.is_full() || !seen.insert(std::ptr::from_ref(found)) {
                continue;
            }
            let metadata = &found.metadata;
            let from = From::Inside(&metadata.name.value, &name.place);
            for inner in &found.steps {
                left = left.saturating_sub(1);
                if left == 0 {
                    return;
                }
                step(inner, &metadata.unit, (from, callees), judge, findings);
                if let CallTemplate::Compose { name, .. } = &inner.call {
                    waiting.extend(callees.compositions.known(name, &metadata.unit));
                }
            }
        }
    }
}

fn step(
    step: &StepTemplate,
    unit: &str,
    (from, callees): (From<'_>, &Callees<'_, '_>),
    judge: &Judge<'_>,
    findings: &mut Findings,
) {
    if let HeadersTemplate::Map(headers) = &step.headers {
        for (name, node) in headers {
            let Some((layer, does)) = judge.mandate(name) else { continue };
            if does == Does::Set && may_pass_on(node) {
                continue;
            }
            let (own, header) = (&step.name.value, &name.value);
            let (at, what) = match from {
                From::Proxy | From::Step => {
                    (&name.place, format!("the step `{own}` sends the header `{header}`, which"))
                }
                From::Inside(composition, at) => {
                    let place = &name.place;
                    let what = format!(
                        "the Composition `{composition}` sends the header `{header}` ({place}) in its step `{own}`, which"
                    );
                    (at, what)
                }
            };
            let help = match does {
                Does::Set => "leave it out: every call of the route has it, as the mandate says",
                Does::Remove => HELP,
            };
            refuse(layer, does, at, &what, help, findings);
        }
    }
    match &step.call {
        CallTemplate::Http { service: name, .. } => service(name, unit, (from, callees), judge, findings),
        CallTemplate::Operation(name) => {
            let called = name.value.split_once('.').map_or(name.value.as_str(), |(service, _)| service);
            let called = Spanned { value: called.to_owned(), place: name.place.clone() };
            service(&called, unit, (from, callees), judge, findings);
        }
        CallTemplate::Compose { .. } => {}
    }
}

/// What a Service sets on every call. In the place of a mandate's it may set nothing; in that of what a mandate takes
/// out only a credential that IT has granted, which is what such a removal makes room for.
fn service(
    name: &Spanned<String>,
    unit: &str,
    (from, callees): (From<'_>, &Callees<'_, '_>),
    judge: &Judge<'_>,
    findings: &mut Findings,
) {
    let key = name.value.split_once('/').unwrap_or((unit, &name.value));
    let Some(found) = callees.services.get(&key) else { return };
    for (header, source) in &found.headers {
        let Some((layer, does)) = judge.mandate(header) else { continue };
        if does == Does::Remove && is_granted(&source.value, &found.metadata.unit) {
            continue;
        }
        let (at, who) = match from {
            From::Proxy | From::Step => (&name.place, "the route".to_owned()),
            From::Inside(composition, at) => (at, format!("the Composition `{composition}`")),
        };
        let what = format!(
            "{who} reaches the Service `{}`, which sets the header `{}` ({}), which",
            name.value, header.value, header.place
        );
        let help = match does {
            Does::Set => HELP,
            Does::Remove => {
                "remove it; only a credential that IT grants takes the place of a client's: `{env: NAME}`"
            }
        };
        refuse(layer, does, at, &what, help, findings);
    }
}

/// Whether IT has a hand in what a Service sends: a variable of the environment, which a Unit grants, or a file
/// outside of the unit's own folder.
fn is_granted(source: &HeaderSource, unit: &str) -> bool {
    match source {
        HeaderSource::Text(_) => false,
        HeaderSource::Secret(SecretTemplate::Env { .. }) => true,
        HeaderSource::Secret(SecretTemplate::File { path, .. }) => !path
            .strip_prefix("routes/")
            .and_then(|path| path.strip_prefix(unit))
            .is_some_and(|path| path.starts_with('/')),
    }
}

/// Whether a value may be the field as the mandate has set it in the client's request, passed on. It goes out as the
/// mandate says in any case.
fn may_pass_on(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => {
            text.contains("${")
                && ["headers", "headerValues", "vars", "input"].iter().any(|root| text.contains(root))
        }
        Value::List(items) => items.iter().all(may_pass_on),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Map(_) => false,
    }
}
