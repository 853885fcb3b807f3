//! `request` of a route: schemas in place and in files, names, defaults.

use super::*;

const REST: &str = "match: {path: '/x/{id}'}\nrespond: {body: '${ request.path.id }'}\n";

/// The findings of a route with this `request` beside these files, as `code: message`.
fn with(request: &str, files: &[(&str, &str)]) -> Vec<String> {
    let text = format!("{HEAD}{REST}request: {request}\n");
    let all: Vec<_> = files.iter().copied().chain([("routes/shop/r.yaml", text.as_str())]).collect();
    let (plan, findings) = compiled(&all);
    assert_eq!(plan.is_none(), findings.has_errors());
    findings.items().iter().map(|one| format!("{}: {}", one.code.as_str(), one.message)).collect()
}

#[test]
fn a_declared_capture_must_be_one() {
    assert_eq!(with("{path: {id: {type: string}}}", &[]), [""; 0]);
    assert_eq!(
        with("{path: {idd: {type: string}}}", &[]),
        ["unknown_key: the route's path captures no `idd`"]
    );
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_at_load() {
    for request in [
        "{query: {q: {type: strnig}}}",
        "{query: {q: {type: string, pattern: '(?=a)b'}}}",
        "{query: {q: {type: object}}}",
        "{query: {q: {type: integer, default: many}}}",
        "{body: {schema: {$ref: '#/nowhere'}}}",
    ] {
        let found = with(request, &[]);
        assert!(found.len() == 1 && found[0].starts_with("invalid_schema: "), "{request}: {found:?}");
    }
    assert!(with("{query: {q: string}}", &[])[0].starts_with("wrong_type"));
}

#[test]
fn a_body_schema_may_lie_in_files_that_refer_to_each_other() {
    let order = r##"{"type": "object", "properties": {"id": {"$ref": "common/ids.yaml#/$defs/id"}}}"##;
    let ids = "$defs: {id: {type: string}}\n";
    let files = [("routes/shop/schemas/order.json", order), ("routes/shop/schemas/common/ids.yaml", ids)];
    assert_eq!(with("{body: {schema: schemas/order.json, maxBytes: 64KiB}}", &files), [""; 0]);
    let found = with("{body: {schema: schemas/order.json}}", &files[..1]);
    assert!(
        found[0].starts_with("unreadable: there is no file `routes/shop/schemas/common/ids.yaml`"),
        "{found:?}"
    );
    let broken = [("routes/shop/schemas/order.json", "{\"type\": ")];
    let found = with("{body: {schema: schemas/order.json}}", &broken);
    assert!(
        found[0].starts_with("invalid_schema: the schema `routes/shop/schemas/order.json` cannot be read"),
        "{found:?}"
    );
    let found = with("{body: {schema: ../care/secret.json}}", &[("routes/care/secret.json", "{}")]);
    assert!(found.iter().any(|one| one.starts_with("outside_unit")), "{found:?}");
    let away =
        [("routes/shop/o.json", r#"{"$ref": "../care/secret.json"}"#), ("routes/care/secret.json", "{}")];
    let found = with("{body: {schema: o.json}}", &away);
    assert!(found.iter().any(|one| one.starts_with("outside_unit")), "{found:?}");
}

#[test]
fn a_proxy_route_cannot_check_its_body_and_a_static_one_nothing() {
    let proxied = "match: {path: /}\nproxy: {service: orders}\nrequest: {body: {required: true}}\n";
    assert_eq!(found(proxied), ["3:11 body_not_readable"]);
    let capped = "match: {path: /}\nproxy: {service: orders}\nrequest: {body: {maxBytes: 1KiB}}\n";
    assert_eq!(found(capped), [""; 0]);
    let fixed = "match: {path: /}\nstatic: {}\nrequest: {query: {}}\n";
    assert_eq!(found(fixed), ["3:1 invalid_value"]);
}

#[test]
fn a_retry_on_a_streamed_body_is_a_warning() {
    let route = |read: &str| {
        format!(
            "match: {{methods: [PUT], path: /}}\nsteps: {{s: {{http: {{service: orders, method: PUT, path: /x, body: '${{ request.body }}'{read}}}, retry: {{attempts: 2}}}}}}\nrespond: {{body: '${{ steps.s.status }}'}}\n"
        )
    };
    let codes = |route: &str| {
        found(route).iter().filter_map(|one| Some(one.split_once(' ')?.1.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(codes(&route("")), ["retry_streamed"]);
    assert_eq!(codes(&route(", query: {n: '${ request.body.n }'}")), [""; 0]);
}
