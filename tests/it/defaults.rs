//! The page of shipped defaults says what the code does.

use std::{collections::HashMap, time::Duration};

use segue::{
    compile::compile,
    config::Tree,
    diagnostic::Diagnostics,
    plan::{Endpoint, Plan},
};

use crate::{
    sources::root,
    support::gateway::{GATEWAY, route, service, write},
};

fn duration(value: Duration) -> String {
    match value.as_secs() {
        seconds if seconds >= 120 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

fn size(bytes: u64) -> String {
    format!("{}KiB", bytes / 1024)
}

/// What a tree with nothing but what must be there compiles to.
fn plan() -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let gateway = GATEWAY.replace("drain: {delay: 0s, timeout: 10s}\n", "").replace("workers: 2\n", "");
    write(folder.path(), "policies/gateway.yaml", &gateway);
    let steps = "steps: {s: {forEach: {in: '${ [1] }', as: i}, http: {service: back, path: /}}}";
    let documents = [
        service("back", "127.0.0.1:9".parse().unwrap(), ""),
        route("r", &format!("match: {{path: /}}\n{steps}\nrespond: {{body: '${{ steps.s.items }}'}}")),
    ];
    write(folder.path(), "routes/a/all.yaml", &documents.join("---\n"));
    let mut findings = Diagnostics::default();
    let tree = Tree::read(folder.path(), &mut findings);
    let (plan, found) = compile(&tree);
    plan.unwrap_or_else(|| panic!("{:?} {:?}", findings.items(), found.items()))
}

fn defaults(plan: &Plan) -> Vec<(&'static str, String)> {
    let (gateway, service, route) = (&plan.gateway, &plan.services[0], &plan.routes[0]);
    let limits = &gateway.limits;
    let Endpoint::Compose { composition, .. } = &route.endpoint else { panic!("not composed") };
    let each = composition.steps[0].for_each.as_ref().unwrap();
    vec![
        ("`limits.uriBytes`", size(limits.uri_bytes)),
        ("`limits.headers`", limits.headers.to_string()),
        ("`limits.headerBytes`", size(limits.header_bytes)),
        ("`limits.headerTimeout`", duration(limits.header_timeout)),
        ("`limits.bodyRate`", limits.body_rate.to_string()),
        ("`limits.writeStall`", duration(limits.write_stall)),
        ("`limits.idleTimeout`", duration(limits.idle_timeout)),
        ("`limits.maxConnections`", limits.max_connections.to_string()),
        ("`limits.memory`", limits.memory.to_string()),
        ("`limits.adaptive`", limits.adaptive.to_string()),
        ("`drain.delay`", duration(gateway.drain_delay)),
        ("`drain.timeout`", duration(gateway.drain_timeout)),
        ("`telemetry.sample`", gateway.telemetry.sample.to_string()),
        ("Route `timeout`", duration(route.timeout)),
        ("Service `timeout`", duration(service.timeout)),
        ("Service `connectTimeout`", duration(service.connect_timeout)),
        ("Service `limits.inFlight`", service.in_flight.to_string()),
        ("Service `limits.idlePerEndpoint`", service.idle_per_endpoint.to_string()),
        ("Service `limits.maxAge`", duration(service.max_age)),
        ("`forEach.max`", each.max.to_string()),
        ("`forEach.concurrency`", each.concurrency.to_string()),
    ]
}

/// Key and default of every row of the tables with a `key` column.
fn rows(page: &str) -> HashMap<String, String> {
    let tables = page.split("| key | default |").skip(1);
    let lines = tables.flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    let cells = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[1].to_owned(), cells[2].to_owned())).collect()
}

#[test]
fn the_page_of_defaults_has_each_with_its_value_and_a_reason() {
    let page = std::fs::read_to_string(root().join("src/docs/defaults.md")).unwrap();
    let mut said = rows(&page);
    let plan = plan();
    for (key, value) in defaults(&plan) {
        assert_eq!(said.remove(key).as_deref(), Some(value.as_str()), "{key}");
    }
    // What the plan does not hold.
    said.retain(|key, _| key != "Service `retry`");
    assert!(said.is_empty(), "unknown: {said:?}");
    for line in page.lines().filter(|line| line.starts_with('|')) {
        assert!(line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).count() == 4, "{line}");
    }
    // Every limit of the Gateway that works is on it.
    for limit in ["uriBytes", "headers", "bodyRate", "writeStall", "maxConnections"] {
        assert!(page.contains(&format!("`limits.{limit}`")), "{limit}");
    }
}
