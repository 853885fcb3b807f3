//! What all policies together cost a request in memory: one allocation, how large that is.

use tokio::runtime::Builder;

use super::{super::Surroundings, *};
use crate::{
    compile::compile,
    compose::{Custody, Runner},
    config::Tree,
    descriptors::Descriptors,
    gateway::Gateway,
    id::RouteId,
    identity::Store,
    policy::testing::{exchange, request},
    telemetry::{Instruments, registry::Registry},
    upstream::{Network, Upstreams, secret::Process},
};

const TREE: &str = "\
apiVersion: segue/v1
kind: Gateway
metadata: {name: edge, owner: platform}
listeners: [{name: http, address: \"127.0.0.1:0\"}]
---
apiVersion: segue/v1
kind: Policy
metadata: {name: all, owner: platform}
authenticate: {apiKey: {}, anonymous: true}
authorize: [{deny: '${ request.query.?deny.hasValue() }'}]
rateLimit: [{name: a, limit: 9, window: 1s}, {name: b, limit: 9, window: 1s, key: '${ principal.?id }'}]
concurrency: {max: 9}
cors: {origins: [\"https://app.example.com\"]}
body: {maxBytes: 1KiB}
timeout: 1s
headers: {request: {set: {x-a: '${ principal.?id }'}}, response: {set: {x-b: '${ request.id }'}, remove: [server]}}
compress: {}
tracing: {serverTiming: true}
errorBody: {code: '${ error.code }'}
priority: high
";

const ROUTES: &str = "\
apiVersion: segue/v1
kind: Service
metadata: {name: s, owner: team}
endpoints: [{url: \"http://127.0.0.1:9\"}]
---
apiVersion: segue/v1
kind: Route
metadata: {name: bare, owner: team}
match: {path: /bare}
proxy: {service: s}
---
apiVersion: segue/v1
kind: Route
metadata: {name: full, owner: team}
match: {path: /full}
policies: [all]
proxy: {service: s}
";

#[test]
fn all_policies_together_add_little_to_the_one_allocation_of_a_request() {
    let tree = Tree::from_texts([("policies/all.yaml", TREE), ("routes/team/all.yaml", ROUTES)]);
    let (plan, findings) = compile(&tree);
    let plan = plan.unwrap_or_else(|| panic!("{findings:#?}"));
    let around = Surroundings {
        sources: Arc::new(Process::new(".")),
        network: Arc::new(Network::system(Descriptors::unbounded())),
        instruments: Arc::new(Instruments::new(Arc::new(Registry::new(1)))),
        keys: Store::offline(),
        listeners: Vec::new(),
    };
    let gateway = Arc::new(Gateway::build(plan, 1, None, &around).unwrap());
    let overload = Arc::new(Overload::new(Arc::default(), around.instruments.shed()));
    // Layers may set timers when they are called.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let size = |name: &str| {
        let index = gateway.plan.routes.iter().position(|route| route.name.ends_with(name)).unwrap();
        let runner = Runner { caller: Arc::new(Upstreams::new()), custody: Custody::new(1) };
        let id = RouteId::from(index);
        let waits = gateway.plan.routes[index].policies.may_wait();
        let target = Target { gateway: Arc::clone(&gateway), id, runner, waits };
        let stack = build(target, &Arc::new(Tunnels::default()), Some(&overload));
        let answer = stack.call(request(&format!("GET /{name}"), exchange()));
        size_of_val(&*answer.0)
    };
    let (bare, full) = (size("bare"), size("full"));
    assert!(full > bare && full - bare <= 2048, "{bare} bytes without policies, {full} with all of them");
    assert!(bare <= 4096, "{bare} bytes without policies");
}
