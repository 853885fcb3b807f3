use std::time::Duration;

use proptest::prelude::*;

use super::{gateway::AddressTemplate, service::*, step::*, *};
use crate::diagnostic::Code;

const GATEWAY: (&str, &str) = (
    "policies/gateway.yaml",
    "apiVersion: segue/v1\nkind: Gateway\nmetadata: {name: edge, owner: platform}\n\
     listeners: [{name: http, address: \"127.0.0.1:8080\"}]\n",
);

fn parse(files: &[(&str, &str)]) -> (Templates, Vec<(String, Code)>) {
    let (templates, findings) = parse_all(files);
    let findings = findings.items().iter().map(|item| (item.place.to_string(), item.code)).collect();
    (templates, findings)
}

fn parse_all(files: &[(&str, &str)]) -> (Templates, Diagnostics) {
    let mut findings = Diagnostics::default();
    let tree = Tree::from_texts(files.iter().copied());
    let templates = Templates::parse(&tree, &mut findings);
    findings.finish();
    (templates, findings)
}

fn clean(files: &[(&str, &str)]) -> Templates {
    let (templates, findings) = parse_all(files);
    assert_eq!(findings.items(), []);
    templates
}

/// Findings of one document in a tree with a Gateway, as `line:column code`.
fn findings_of(path: &str, text: &str) -> Vec<String> {
    let (_, findings) = parse(&[GATEWAY, (path, text)]);
    let own = findings.into_iter().filter_map(|(place, code)| {
        Some(format!("{} {}", place.strip_prefix(path)?.strip_prefix(':')?, code.as_str()))
    });
    own.collect()
}

fn route(rest: &str) -> String {
    format!("apiVersion: segue/v1\nkind: Route\nmetadata: {{name: r, owner: o}}\n{rest}")
}

fn service(rest: &str) -> String {
    format!("apiVersion: segue/v1\nkind: Service\nmetadata: {{name: s, owner: o}}\n{rest}")
}

fn gateway(rest: &str) -> String {
    format!("apiVersion: segue/v1\nkind: Gateway\nmetadata: {{name: g, owner: o}}\n{rest}")
}

fn of_route(rest: &str) -> Vec<String> {
    findings_of("routes/shop/r.yaml", &route(rest))
}

fn of_service(rest: &str) -> Vec<String> {
    findings_of("routes/shop/s.yaml", &service(rest))
}

fn of_gateway(rest: &str) -> Vec<String> {
    let (_, findings) = parse(&[("policies/g.yaml", &gateway(rest))]);
    findings
        .into_iter()
        .map(|(place, code)| format!("{} {}", place.trim_start_matches("policies/g.yaml:"), code.as_str()))
        .collect()
}

const OK: &str = "match: {path: /}\nrespond: {}\n";

#[test]
fn ten_mistakes_in_one_template_give_ten_findings_at_their_places() {
    let text = "\
apiVersion: segue/v1
kind: Route
metadata: {name: Bad_Name, onwer: care}
match: {methods: [get], path: \"/a\"}
tiemout: 5s
timeout: 5
slo: gold
steps:
  In:
    call: a.b
  second:
    http: {service: x}
    optional: yes
  third: {call: a.b, http: {service: x, path: /}}
respond:
  status: 999
  headers: {content-length: 3}
";
    let found = findings_of("routes/care/a.yaml", text);
    assert_eq!(
        found,
        [
            "3:18 invalid_name",
            "3:28 unknown_key",
            "4:19 invalid_value",
            "5:1 unknown_key",
            "6:10 invalid_value",
            "7:1 not_in_this_version",
            "9:3 invalid_name",
            "12:5 missing_key",
            "13:15 wrong_type",
            "14:22 invalid_value",
            "16:11 invalid_value",
            "17:13 invalid_value",
        ]
    );
}

#[test]
fn the_example_of_a_service_is_read_with_its_defaults() {
    let text = service(
        "type: external\nlifecycle: production\nvisibility: all\n\
         endpoints:\n  - {url: \"http://127.0.0.1:9001\", weight: 2, priority: 1}\n  - {url: {env: CRM_URL, default: \"https://crm/x\"}}\n\
         operations:\n  getCustomer: {method: GET, path: \"/customers/{id}\"}\n  search: {method: POST, path: /search, safe: true}\n\
         headers: {authorization: {env: CRM_TOKEN, prefix: \"Bearer \"}, x-n: 1.20}\n",
    );
    let all = clean(&[GATEWAY, ("routes/shop/s.yaml", &text)]);
    let found = &all.services[0];
    assert_eq!(
        (found.asset, found.visible_to_all, found.protocol),
        (AssetType::External, true, Protocol::Auto)
    );
    assert_eq!((found.timeout, found.connect_timeout), (Duration::from_secs(10), Duration::from_secs(2)));
    assert_eq!(
        (found.in_flight, found.idle_per_endpoint, found.max_age),
        (1024, 256, Duration::from_secs(600))
    );
    assert_eq!(found.balance, Balance::LeastRequest);
    assert_eq!((found.endpoints[0].weight, found.endpoints[0].priority), (2, 1));
    let env = UrlTemplate::Env { name: "CRM_URL".into(), default: Some("https://crm/x".into()) };
    assert_eq!(found.endpoints[1].url.value, env);
    assert_eq!(found.operations[1].name.value, "search");
    assert!(found.operations[1].safe && !found.operations[0].safe);
    let [(_, secret), (name, text)] = &found.headers[..] else { panic!("two headers") };
    let wanted = SecretTemplate::Env { name: "CRM_TOKEN".into(), prefix: "Bearer ".into() };
    assert!(matches!(&secret.value, HeaderSource::Secret(found) if *found == wanted));
    assert_eq!(name.value, "x-n");
    assert!(matches!(&text.value, HeaderSource::Text(text) if text == "1.20"));
    assert_eq!(&*found.metadata.unit, "shop");
}

#[test]
fn the_example_of_a_route_keeps_expressions_as_nodes() {
    let text = route(
        "match: {hosts: [api.example.com, \"*.example.org\"], methods: [GET], path: \"/c/{id}\", headers: {X-Channel: mobile}, query: {beta: \"true\"}}\n\
         timeout: 900ms\n\
         vars: {locale: '${ request.host }'}\n\
         require: [{that: '${ true }', problem: {status: 403, title: T, extra: {a: [1]}}}]\n\
         steps:\n\
         \x20 profile:\n    call: customers.getCustomer\n    with: {path: {id: \"${ request.path.id }\"}}\n    passStatus: [404]\n\
         \x20 items:\n    forEach: {in: '${ steps.profile.body }', as: o, key: \"${ o.id }\", max: 20, concurrency: 5}\n\
         \x20   http: {service: shipping, path: \"/s/${ o.id }\", headers: '${ vars.h }'}\n    after: [profile]\n    optional: true\n    fallback: null\n\
         respond: {status: 201, headers: {set-cookie: [a=1, b=2]}, body: {id: '${ request.path.id }'}}\n\
         errors: [{problem: {status: 404}}]\n",
    );
    let all = clean(&[GATEWAY, ("routes/shop/r.yaml", &text)]);
    let found = &all.routes[0];
    assert_eq!(found.timeout.as_ref().unwrap().value, Duration::from_millis(900));
    assert_eq!(found.matching.headers[0].0.value, "x-channel");
    assert_eq!(found.require[0].problem.as_ref().unwrap().members[0].0.value, "extra");
    let [profile, items] = &found.steps[..] else { panic!("two steps") };
    assert!(matches!(&profile.call, CallTemplate::Operation(text) if text.value == "customers.getCustomer"));
    assert_eq!(profile.path[0].0.value, "id");
    assert_eq!(profile.pass_status[0].value, 404);
    assert!(matches!(&items.call, CallTemplate::Http { method, safe: false, .. } if method == "GET"));
    assert!(matches!(items.headers, HeadersTemplate::Expression(_)));
    let each = items.for_each.as_ref().unwrap();
    assert_eq!((each.max, each.concurrency, each.name.value.as_str()), (20, 5, "o"));
    assert!(items.fallback.is_some(), "a null fallback is a fallback");
    assert_eq!(items.after[0].value, "profile");
    assert!(found.errors[0].when.is_none());
}

#[test]
fn the_example_of_a_gateway_is_read_with_its_defaults() {
    let text = gateway(
        "listeners: [{name: http, address: {env: LISTEN, default: \"[::]:80\"}}]\n\
         admin: {address: \"0.0.0.0:9901\", token: {file: token}}\ntrustedProxies: [10.0.0.0/8]\n\
         limits: {uriBytes: 4KiB}\ndrain: {timeout: 5s}\nworkers: 2\n",
    );
    let all = clean(&[("policies/g.yaml", &text), ("policies/token", "")]);
    let found = &all.gateways[0];
    let address = AddressTemplate::Env { name: "LISTEN".into(), default: Some("[::]:80".parse().unwrap()) };
    assert_eq!(found.listeners[0].address.value, address);
    let token = found.admin.as_ref().unwrap().token.as_ref().unwrap();
    assert_eq!(token.value, SecretTemplate::File { path: "policies/token".into(), prefix: String::new() });
    assert_eq!((found.limits.uri_bytes, found.limits.headers), (4096, 100));
    assert_eq!((found.drain_delay, found.drain_timeout), (Duration::ZERO, Duration::from_secs(5)));
    assert_eq!(found.workers, Some(2));
}

#[test]
fn what_later_versions_bring_is_refused_and_never_ignored() {
    let here = |found: &[String]| found.iter().all(|found| found.ends_with("not_in_this_version"));
    for rest in ["cache: 1\n", "slo: 1\n", "idempotencyKey: 1\n"] {
        let found = of_route(&format!("{OK}{rest}"));
        assert_eq!(found, ["6:1 not_in_this_version"], "{rest}");
    }
    for key in ["contract", "retry", "breaker", "outlier", "health", "retryBudget", "mirror"] {
        let found = of_service(&format!("endpoints: [{{url: \"http://a\"}}]\n{key}: {{}}\n"));
        assert_eq!(found, ["5:1 not_in_this_version"], "{key}");
    }
    for step in ["call: a.b, detached: true", "compose: x, saga: 1"] {
        let found = of_route(&format!("{OK}steps: {{a: {{{step}}}}}\n"));
        assert!(found.len() == 1 && here(&found), "{step}: {found:?}");
    }
    let ok = "listeners: [{name: a, address: \"127.0.0.1:1\"}]\n";
    let found = of_gateway(&format!("{ok}stateDir: x\n"));
    assert!(found.len() == 1 && here(&found), "{found:?}");
    assert_eq!(of_service("endpoints: [{url: \"http://a\"}]\nbalance: ring\n"), ["5:10 not_in_this_version"]);
    let found = findings_of("policies/p.yaml", "apiVersion: segue/v1\nkind: Override\nanything: 1\n");
    assert_eq!(found, ["2:7 not_in_this_version"]);
}

#[test]
fn tls_of_a_listener_has_its_shape() {
    let tls = |tls: &str| {
        of_gateway(&format!("listeners:\n  - name: a\n    address: \"127.0.0.1:1\"\n    tls: {tls}\n"))
    };
    let pair = "certificates: [{cert: a.pem, key: a.key}]";
    let more = [
        "",
        ", minVersion: \"1.2\"",
        ", minVersion: 1.3",
        ", clientAuth: {ca: c.pem}",
        ", clientAuth: {ca: c.pem, mode: optional}",
    ];
    for more in more {
        assert_eq!(tls(&format!("{{{pair}{more}}}")), <[&str; 0]>::default(), "{more}");
    }
    assert_eq!(tls("{certificates: [{cert: a.pem, key: {env: EDGE_KEY}}]}"), <[&str; 0]>::default());
    assert_eq!(tls("{}"), ["7:5 missing_key"]);
    assert_eq!(tls("{certificates: []}"), ["7:25 invalid_value"]);
    assert_eq!(tls("{certificates: [{cert: a.pem}]}"), ["7:26 missing_key"]);
    assert_eq!(
        tls("{certificates: [{cert: '-----BEGIN CERTIFICATE-----', key: '-----BEGIN PRIVATE KEY-----'}]}"),
        ["7:33 invalid_value", "7:69 invalid_value"]
    );
    assert_eq!(tls(&format!("{{{pair}, minVersion: '1.1'}}")), ["7:66 invalid_value"]);
    assert_eq!(
        tls(&format!("{{{pair}, clientAuth: {{mode: always}}}}")),
        ["7:54 missing_key", "7:73 invalid_value"]
    );
}

#[test]
fn a_kind_in_the_wrong_tree_is_refused() {
    assert_eq!(findings_of("routes/shop/g.yaml", &gateway("")), ["2:7 wrong_tree"]);
    assert_eq!(findings_of("policies/r.yaml", &route("")), ["2:7 wrong_tree"]);
    assert_eq!(findings_of("routes/shop/r.yaml", "apiVersion: segue/v1\nkind: Rout\n"), ["2:7 unknown_kind"]);
    assert_eq!(findings_of("routes/shop/r.yaml", "apiVersion: segue/v1\nkin: Route\n"), ["1:1 missing_key"]);
    assert_eq!(findings_of("routes/shop/r.yaml", &route(OK).replace("v1", "v2")), ["1:13 api_version"]);
}

#[test]
fn the_folder_decides_the_unit() {
    let other = route(OK).replace("owner: o", "owner: o, unit: care");
    assert_eq!(findings_of("routes/shop/a/b/r.yaml", &other), ["3:37 unknown_unit"]);
    assert_eq!(findings_of("routes/care/r.yaml", &other), [""; 0]);
    assert_eq!(findings_of("routes/r.yaml", &route(OK)), ["1:1 unknown_unit"]);
    assert_eq!(findings_of("routes/Shop/r.yaml", &route(OK)), ["1:1 invalid_name"]);
}

#[test]
fn a_file_that_is_no_template_is_a_warning_unless_one_names_it() {
    let named = service("endpoints: [{url: \"https://a\"}]\ntls: {ca: ../certs/ca.pem}\n");
    let (all, findings) = parse(&[
        GATEWAY,
        ("routes/shop/x/s.yaml", &named),
        ("routes/shop/certs/ca.pem", ""),
        ("routes/shop/certs/old.pem", ""),
        ("routes/shop/values.yaml", "a: 1\n"),
        ("routes/shop/s.test.yaml", "a: 1\n"),
        ("routes/shop/empty.yml", "# nothing\n"),
    ]);
    assert_eq!(all.services[0].tls.as_ref().unwrap().ca.as_ref().unwrap().value, "routes/shop/certs/ca.pem");
    assert_eq!(
        findings,
        [
            ("routes/shop/certs/old.pem:1:1".to_owned(), Code::UnnamedFile),
            ("routes/shop/empty.yml:1:1".to_owned(), Code::UnnamedFile),
            ("routes/shop/values.yaml:1:1".to_owned(), Code::UnnamedFile),
        ]
    );
}

#[test]
fn a_path_cannot_leave_the_unit() {
    for path in ["../care/ca.pem", "../../policies/ca.pem", "/etc/ssl/ca.pem", "../../../../x"] {
        let found = of_service(&format!("endpoints: [{{url: \"https://a\"}}]\ntls: {{ca: {path}}}\n"));
        assert_eq!(found, ["5:11 outside_unit"], "{path}");
    }
}

#[test]
fn the_second_of_two_equal_names_is_refused_and_the_first_one_shown() {
    let (_, findings) = parse_all(&[
        GATEWAY,
        ("routes/care/s.yaml", &service("endpoints: [{url: \"http://a\"}]\n")),
        ("routes/shop/a.yaml", &service("endpoints: [{url: \"http://a\"}]\n")),
        (
            "routes/shop/b.yaml",
            &format!(
                "{}---\n{}",
                route(OK).replace("name: r", "name: s"),
                service("endpoints: [{url: \"http://a\"}]\n")
            ),
        ),
    ]);
    let [finding] = findings.items() else { panic!("{findings:?}") };
    assert_eq!(
        (finding.code, finding.place.to_string().as_str()),
        (Code::DuplicateName, "routes/shop/b.yaml:9:18")
    );
    assert_eq!(finding.related.as_ref().unwrap().0.to_string(), "routes/shop/a.yaml:3:18");
}

#[test]
fn there_is_exactly_one_gateway() {
    let (_, findings) = parse(&[("policies/other.txt", ""), ("routes/shop/r.yaml", &route(OK))]);
    assert!(findings.contains(&("policies:1:1".to_owned(), Code::GatewayCount)));
    let (_, findings) = parse(&[GATEWAY, ("policies/second.yaml", GATEWAY.1)]);
    assert_eq!(findings, [("policies/second.yaml:2:7".to_owned(), Code::GatewayCount)]);
    let (_, findings) = parse(&[("policies/gateway.yaml", "apiVersion: segue/v1\nkind: [Gateway\n")]);
    assert_eq!(findings.len(), 1, "a Gateway that cannot be read is not missing: {findings:?}");
}

#[test]
fn a_route_answers_in_exactly_one_way() {
    assert_eq!(of_route("match: {path: /}\n"), ["2:7 missing_key"]);
    assert_eq!(of_route(&format!("{OK}proxy: {{service: a}}\n")), ["6:1 invalid_value"]);
    assert_eq!(of_route("match: {path: /}\nstatic: {body: x}\nsteps: {}\n"), ["6:1 invalid_value"]);
    assert_eq!(of_route("match: {path: /}\nproxy: {service: a}\nsteps: {a: {call: b.c}}\n"), [""; 0]);
    assert_eq!(of_route("match: {path: /}\nresponds: {}\n"), ["5:1 unknown_key"]);
}

#[test]
fn a_step_calls_in_exactly_one_way() {
    let step = |text: &str| of_route(&format!("{OK}steps:\n  a: {text}\n"));
    assert_eq!(step("{}"), ["7:3 missing_key"]);
    assert_eq!(step("{http: {service: s, path: /}, with: {}}"), ["7:36 invalid_value"]);
    assert_eq!(step("{call: a.b, forEach: {in: '${ x }'}}"), ["7:18 missing_key"]);
    assert_eq!(
        step("{call: a.b, forEach: {in: 3, as: request, max: 0}}"),
        ["7:32 wrong_type", "7:39 invalid_name", "7:53 invalid_value"]
    );
    assert_eq!(
        step("{call: a.b, expect: [abc, 99], passStatus: [200]}"),
        ["7:27 invalid_value", "7:32 invalid_value", "7:50 invalid_value"]
    );
    assert_eq!(step("{call: a.b, with: {query: 3, headers: [a]}}"), ["7:32 wrong_type", "7:44 wrong_type"]);
    assert_eq!(step("7"), ["7:6 wrong_type"]);
}

#[test]
fn names_in_expressions_are_no_words_of_the_language() {
    let found = of_route(&format!("{OK}vars: {{in: 1, Big: 2, ok_1: 3, a-b: 4}}\n"));
    assert_eq!(found, ["6:8 invalid_name", "6:15 invalid_name", "6:32 invalid_name"]);
}

#[test]
fn a_header_of_the_connection_is_not_a_templates_business() {
    for name in
        ["Connection", "transfer-encoding", "TE", "Upgrade", "proxy-authorization", "host", "keep-alive"]
    {
        let found = of_route(&format!("match: {{path: /}}\nrespond:\n  headers:\n    {name}: x\n"));
        assert_eq!(found, ["7:5 invalid_value"], "{name}");
    }
    let found = of_route(
        "match: {path: /}\nrespond: {headers: {X-A: 1, x-a: 2, \"x b\": 3, x-c: {a: 1}, x-d: [[1]]}}\n",
    );
    assert_eq!(found, ["5:29 duplicate_key", "5:37 invalid_value", "5:52 wrong_type", "5:66 wrong_type"]);
    let found = of_route(
        "match: {path: /}\nproxy: {service: a, headers: {set: {te: x}, remove: [content-length, cookie]}}\n",
    );
    assert_eq!(found, ["5:37 invalid_value", "5:54 invalid_value"]);
}

#[test]
fn a_secret_is_never_inline() {
    let found =
        of_service("endpoints: [{url: \"http://a\"}]\nheaders: {Authorization: Bearer abc, x-a: '${ b }'}\n");
    assert_eq!(found, ["5:26 invalid_value", "5:44 invalid_value"]);
    let step = "steps: {a: {http: {service: s, path: /, headers: {authorization: abc}}}}\n";
    assert_eq!(of_route(&format!("{OK}{step}")), ["6:66 invalid_value"]);
    assert_eq!(of_route(&format!("{OK}{}", step.replace("abc", "'${ vars.t }'"))), [""; 0]);
    let found = of_service(
        "endpoints: [{url: \"http://a\"}]\nheaders: {x-a: {env: A, file: b}, x-b: {}, x-c: {env: 1A}}\n",
    );
    assert_eq!(found, ["5:25 invalid_value", "5:35 missing_key", "5:55 invalid_name"]);
    let found = of_gateway(
        "listeners: [{name: a, address: \"127.0.0.1:1\"}]\nadmin: {address: \"127.0.0.1:2\", token: abc}\n",
    );
    assert_eq!(found, ["5:40 invalid_value"]);
}

#[test]
fn an_admin_listener_off_loopback_needs_a_token() {
    let ok = "listeners: [{name: a, address: \"127.0.0.1:1\"}]\n";
    assert_eq!(of_gateway(&format!("{ok}admin: {{address: \"0.0.0.0:9901\"}}\n")), ["5:18 missing_key"]);
    assert_eq!(of_gateway(&format!("{ok}admin: {{address: \"[::1]:9901\"}}\n")), [""; 0]);
}

#[test]
fn urls_and_addresses_are_checked_to_the_character() {
    assert_eq!(of_service("endpoints:\n  - url: http://a:b@host/\n"), ["5:17 invalid_url"]);
    assert_eq!(of_service("endpoints:\n  - url: \"http://host/x?a=1\"\n"), ["5:24 invalid_url"]);
    assert_eq!(of_service("endpoints: []\n"), ["4:12 invalid_value"]);
    assert_eq!(of_service("endpoints: [{url: {env: U, default: \"ftp://x\"}}]\n"), ["4:38 invalid_url"]);
    let found = of_gateway(
        "listeners: [{name: a, address: localhost}, {name: a, address: \"1.2.3.4:5\"}]\ntrustedProxies: [10.0.0.0/99]\n",
    );
    assert_eq!(found, ["4:32 invalid_url", "5:18 invalid_value"]);
}

#[test]
fn a_document_with_a_finding_stays_so_that_its_name_is_known() {
    let (all, _) = parse(&[GATEWAY, ("routes/shop/s.yaml", &service("endpoints: 7\ntimeout: x\n"))]);
    assert_eq!(all.services[0].metadata.name.value, "s");
    assert_eq!(all.services[0].timeout, Duration::from_secs(10));
}

#[test]
fn a_unit_with_a_broken_document_is_known_as_unread() {
    let (all, _) = parse(&[GATEWAY, ("routes/shop/s.yaml", "apiVersion: segue/v1\nkind: [Service\n")]);
    assert_eq!(all.unread, ["shop".into()]);
}

#[test]
fn findings_of_one_file_do_not_hide_those_of_another() {
    let many: String = (0..40_000).map(|n| format!("k{n}: 1\n")).collect();
    let (_, findings) =
        parse(&[GATEWAY, ("routes/a/a.yaml", &route(&many)), ("routes/b/b.yaml", &route("x: 1\n"))]);
    assert_eq!(findings.iter().filter(|(place, _)| place.starts_with("routes/a/")).count(), 500);
    assert!(findings.iter().any(|(place, _)| place == "routes/b/b.yaml:4:1"));
}

/// A key of the format at random, so that random templates get beyond the first check.
fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1", "true", "~", "'${ x }'", "5s", "64KiB", "a.b", "/p", "[]", "{}", "http://a",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        let keys = [
            "match",
            "path",
            "steps",
            "call",
            "http",
            "with",
            "forEach",
            "in",
            "as",
            "max",
            "respond",
            "proxy",
            "headers",
            "set",
            "remove",
            "service",
            "endpoints",
            "url",
            "env",
            "file",
            "listeners",
            "address",
            "errors",
            "problem",
            "status",
            "limits",
            "tls",
            "ca",
            "retry",
            "timeout",
            "metadata",
            "name",
            "owner",
            "body",
            "when",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((prop::sample::select(keys.to_vec()), inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        parse(&[("routes/a/b.yaml", &text), ("policies/b.yaml", &format!("apiVersion: segue/v1\nkind: {text}"))]);
    }

    #[test]
    fn no_shape_makes_it_panic(
        kind in prop::sample::select(vec!["Route", "Service", "Gateway"]),
        keys in prop::collection::vec((prop::sample::select(vec![
            "match", "steps", "respond", "proxy", "static", "errors", "require", "vars", "timeout", "endpoints",
            "operations", "tls", "headers", "limits", "listeners", "admin", "drain", "trustedProxies", "workers",
        ]), any_value()), 0..6),
    ) {
        let keys: String = keys.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        let text = format!("apiVersion: segue/v1\nkind: {kind}\nmetadata: {{name: a, owner: b}}\n{keys}");
        let path = if kind == "Gateway" { "policies/a.yaml" } else { "routes/a/a.yaml" };
        let (_, findings) = parse_all(&[(path, &text)]);
        prop_assert!(crate::diagnostic::render::text(&findings, &|_| Some(&text)).len() >= findings.items().len());
    }
}
