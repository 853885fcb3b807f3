//! Small trees as text: what is in the plan, and which findings stand where.

mod any;
mod bounds;
mod conflicts;
mod findings;
mod ground;
mod nested;
mod places;
mod plans;
mod request;
mod stacks;

use super::compile;
use crate::{
    config::Tree,
    diagnostic::Diagnostics,
    plan::{Composition, Endpoint, Plan, Route},
};

const GATEWAY: &str = "\
apiVersion: segue/v1
kind: Gateway
metadata: {name: edge, owner: platform}
listeners: [{name: http, address: \"127.0.0.1:0\"}]
";

/// Anybody may call, so that what these tests are not about causes no warning.
const OPEN: &str = "\
apiVersion: segue/v1
kind: Policy
metadata: {name: open, owner: platform}
authenticate: {anonymous: true}
---
apiVersion: segue/v1
kind: PolicyBinding
metadata: {name: open, owner: platform}
mode: default
policies: [open]
";

const SERVICES: &str = "\
apiVersion: segue/v1
kind: Service
metadata: {name: orders, owner: sales}
endpoints: [{url: \"http://127.0.0.1:9001\"}]
operations:
  get: {path: \"/orders/{id}\"}
  list: {path: /orders}
  place: {method: POST, path: /orders}
  cancel: {method: DELETE, path: \"/orders/{id}\"}
  search: {method: POST, path: /search, safe: true}
  file: {path: \"/files/{name...}\"}
  page: {path: \"/pages/{name}.html\"}
";

const OTHERS: &str = "\
apiVersion: segue/v1
kind: Service
metadata: {name: customers, owner: care}
visibility: all
endpoints: [{url: \"http://127.0.0.1:9002\"}]
operations: {get: {path: \"/customers/{id}\"}}
---
apiVersion: segue/v1
kind: Service
metadata: {name: notes, owner: care}
endpoints: [{url: \"http://127.0.0.1:9003\"}]
";

const HEAD: &str = "apiVersion: segue/v1\nkind: Route\nmetadata: {name: r, owner: sales}\n";

/// Compiles these files beside a Gateway and a few Services.
fn compiled(files: &[(&str, &str)]) -> (Option<Plan>, Diagnostics) {
    let base = [
        ("policies/gateway.yaml", GATEWAY),
        ("policies/open.yaml", OPEN),
        ("routes/care/services.yaml", OTHERS),
        ("routes/shop/services.yaml", SERVICES),
    ];
    compile(&Tree::from_texts(base.into_iter().chain(files.iter().copied())))
}

/// The findings of a route of the unit `shop`: `line:column code`, lines counted after `metadata`.
fn found(route: &str) -> Vec<String> {
    let text = format!("{HEAD}{route}");
    let (plan, findings) = compiled(&[("routes/shop/r.yaml", &text)]);
    assert_eq!(plan.is_none(), findings.has_errors());
    let line = |finding: &crate::diagnostic::Diagnostic| {
        let place = &finding.place;
        format!("{}:{} {}", place.line as i64 - 3, place.column, finding.code.as_str())
    };
    findings.items().iter().map(line).collect()
}

/// The messages and the help of the findings.
fn said(route: &str) -> String {
    let text = format!("{HEAD}{route}");
    let (_, findings) = compiled(&[("routes/shop/r.yaml", &text)]);
    let line = |finding: &crate::diagnostic::Diagnostic| {
        format!("{}; {}\n", finding.message, finding.help.as_deref().unwrap_or_default())
    };
    findings.items().iter().map(line).collect()
}

/// The findings of steps, with every step read by the answer: lines counted from the first step.
fn found_in_steps(steps: &str, body: &str) -> Vec<String> {
    let route =
        format!("match: {{path: \"/x/{{id}}/{{rest...}}\"}}\nrespond: {{body: {body}}}\nsteps:\n{steps}");
    found(&route)
        .iter()
        .map(|line| {
            let (number, rest) = line.split_once(':').expect("line:column");
            format!("{}:{rest}", number.parse::<i64>().expect("a line") - 3)
        })
        .collect()
}

/// The plan of a route of the unit `shop` that has no finding.
fn planned(route: &str) -> Route {
    let text = format!("{HEAD}{route}");
    let (plan, findings) = compiled(&[("routes/shop/r.yaml", &text)]);
    assert_eq!(findings.items(), []);
    let routes = plan.expect("without findings there is a plan").routes;
    routes.into_iter().next().expect("the route")
}

fn composition(route: &Route) -> &Composition {
    match &route.endpoint {
        Endpoint::Compose { composition, .. } => composition,
        Endpoint::Proxy { composition, .. } => composition.as_ref().expect("steps"),
        Endpoint::Static(_) => panic!("a static answer"),
    }
}

/// `name wave [needs]` of every step.
fn order(composition: &Composition) -> Vec<String> {
    let name = |index: usize| composition.steps[index].name.to_string();
    let needs =
        |step: &crate::plan::Step| step.needs.iter().map(|id| name(id.index())).collect::<Vec<_>>().join(" ");
    composition.steps.iter().map(|step| format!("{} {} [{}]", step.name, step.wave, needs(step))).collect()
}
