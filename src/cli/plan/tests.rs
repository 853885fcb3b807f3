use serde_json::{Value, json};

use crate::cli::{
    Outcome,
    tests::{segue, tree},
};

const ROUTES: &str = r#"
apiVersion: segue/v1
kind: Service
metadata: {name: rail, owner: sales}
endpoints: [{url: "http://127.0.0.1:9001"}]
timeout: 2s
---
apiVersion: segue/v1
kind: Composition
metadata: {name: seat, owner: sales, version: 1.0.0}
input: {id: {type: string, required: true}}
steps:
  free: {http: {service: rail, path: "/free/${ input.id }"}, retry: {attempts: 2, on: [503], backoff: {initial: 100ms}}}
  price: {http: {service: rail, path: "/price/${ input.id }"}, timeout: 500ms, fallback: 0}
output: {free: "${ steps.free.body }", price: "${ steps.price.body }"}
---
apiVersion: segue/v1
kind: Route
metadata: {name: trips, owner: sales}
match: {methods: [GET], path: /trips}
timeout: 5s
steps:
  trains: {http: {service: rail, path: /trains}, timeout: 300ms}
  weather: {http: {service: rail, path: /weather}, optional: true, timeout: 300ms}
  seats:
    forEach: {in: "${ steps.trains.body.ids }", as: id, max: 10, concurrency: 4}
    compose: seat
    with: {id: "${ string(id) }"}
respond: {body: {seats: "${ steps.seats.items.map(i, i.output) }", sky: "${ steps.weather.?body }"}}
---
apiVersion: segue/v1
kind: Route
metadata: {name: pass, owner: sales}
match: {path: /pass}
proxy: {service: rail}
"#;

fn plan(arguments: &[&str]) -> (Outcome, String, String) {
    let routes = ROUTES.replace("string(id)", "'a' + id");
    let root = tree(&[("routes/sales/all.yaml", &routes)]);
    let config = root.path().to_str().unwrap();
    segue(&[&["plan"][..], arguments, &["--config", config]].concat())
}

#[test]
fn calls_and_time_are_products_over_items_attempts_and_nesting() {
    let (outcome, out, err) = plan(&["sales/trips", "--format", "json"]);
    assert_eq!(outcome, Outcome::Fine, "{out}{err}");
    let plan: Value = serde_json::from_str(&out).unwrap();
    // Two attempts of 2 s and one and a half of the wait of 100 ms; three rounds of four items.
    let seat = 2 * 2000 + 150;
    assert_eq!(plan["compositions"][0]["worst"], json!({"calls": 3, "timeMs": seat, "bytes": 8 << 20}));
    assert_eq!(plan["steps"][2]["worst"], json!({"calls": 30, "timeMs": 3 * seat, "bytes": 16 << 20}));
    assert_eq!(plan["worst"], json!({"calls": 32, "timeMs": 300 + 3 * seat, "bytes": 16 << 20}));
    assert_eq!(plan["worstTimeMs"], 5000, "the route's timeout ends it");
    assert_eq!(plan["criticalPath"], json!(["trains", "seats"]));
    assert_eq!(plan["maxCalls"], 500);
    let waves: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| &step["wave"]).collect();
    assert_eq!(waves, [1, 1, 2]);
    assert_eq!(plan["steps"][2]["after"], json!(["trains"]));
}

#[test]
fn the_text_shows_waves_the_critical_path_and_the_bounds() {
    let (_, out, _) = plan(&["sales/trips"]);
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(out.starts_with("sales/trips  routes/sales/all.yaml:"), "{out}");
    assert!(
        rows.contains(&vec![
            "1",
            "trains",
            "GET",
            "sales/rail/trains",
            "-",
            "-",
            "1",
            "1",
            "300ms",
            "critical"
        ]),
        "{out}"
    );
    assert!(out.contains("composition sales/seat@1"), "{out}");
    assert!(out.contains("critical path   trains 300ms → seats 12.45s"), "{out}");
    assert!(out.contains("worst time      5s: the route's timeout ends what could take 12.75s"), "{out}");
    assert!(out.contains("upstream calls  at most 32 of 500"), "{out}");
    assert!(out.contains("typed           "), "{out}");
}

#[test]
fn a_graph_has_a_node_per_step_and_an_edge_per_need() {
    let (outcome, out, _) = plan(&["sales/trips", "--dot"]);
    assert_eq!(outcome, Outcome::Fine);
    assert!(out.starts_with("digraph \"sales/trips\" {\n") && out.ends_with("}\n"), "{out}");
    assert!(out.contains("  \"trains\" -> \"seats\" [style=bold];\n"), "{out}");
    assert!(out.contains("subgraph \"cluster sales/seat@1\" {"), "{out}");
    assert!(out.contains("\"sales/seat@1: price\" [label="), "{out}");
}

#[test]
fn a_proxy_route_makes_one_call() {
    let (_, out, _) = plan(&["sales/pass", "--format", "json"]);
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&plan["worst"]["calls"], &plan["proxy"]), (&json!(1), &json!("sales/rail")));
}

#[test]
fn a_misspelt_route_is_misuse_and_gets_the_nearest() {
    let (outcome, out, err) = plan(&["sales/trip"]);
    assert_eq!((outcome, out.as_str()), (Outcome::Usage, ""));
    assert!(err.contains("did you mean `sales/trips`?"), "{err}");
}
