//! What a tree without findings becomes.

use std::fmt::Write;

use super::*;
use crate::{
    expr::{Shape, Text},
    plan::{BodyUse, Headers, PathPart, PathPattern, Query, Segment, Tolerance, answer::StatusTemplate},
};

pub(super) const CUSTOMER_360: &str = r#"
match: {hosts: [API.example.com], methods: [GET], path: "/customers/{id}/360", headers: {x-channel: mobile}, query: {beta: "true"}}
timeout: 900ms
vars: {locale: '${ request.headers[?"accept-language"].orValue("en") }'}
require: [{that: '${ request.headers[?"x-tenant"].orValue("") != "" }', problem: {status: 403, title: Tenant missing}}]
steps:
  profile:
    call: care/customers.get
    with: {path: {id: "${ request.path.id }"}, headers: {accept-language: "${ vars.locale }"}}
    passStatus: [404]
  orders:
    http: {service: orders, method: GET, path: /orders, query: {customer: "${ request.path.id }", limit: 20}}
    timeout: 300ms
    ensure: [{that: "${ self.body.complete }", problem: {status: 409, title: Orders are being migrated}}]
  shipments:
    forEach: {in: '${ steps.orders.body.orders.filter(o, o.status == "shipped") }', as: o, key: "${ o.id }", max: 20, concurrency: 5}
    http: {service: orders, method: GET, path: "/shipments/${ o.id }"}
    optional: true
  loyalty:
    when: ${ has(steps.profile.body.loyaltyId) }
    http: {service: orders, method: GET, path: "/accounts/${ steps.profile.body.loyaltyId }"}
    fallback: {tier: none, points: 0}
respond:
  status: 200
  headers: {cache-control: "private, max-age=5"}
  body:
    id: ${ request.path.id }
    name: ${ steps.profile.body.first } ${ steps.profile.body.last }
    tier: ${ steps.loyalty.body.tier }
    orders:
      $each: ${ steps.orders.body.orders }
      $as: o
      $where: ${ o.status != "returned" }
      $yield: {id: "${ o.id }", total: "${ o.total }", eta: "${ steps.shipments.byKey[?o.id].?body.?eta }"}
    degraded: ${ execution.degraded }
errors:
  - when: ${ error.step == "profile" && error.upstream.status == 404 }
    problem: {status: 404, type: "https://errors.example.com/unknown-customer", title: Unknown customer}
"#;

/// What a step calls.
fn sent(step: &crate::plan::Step) -> &crate::plan::Call {
    step.action.call().expect("a call")
}

#[test]
fn the_customer_example_of_the_format_runs_in_two_waves() {
    let route = planned(CUSTOMER_360);
    assert_eq!(&*route.name, "shop/r");
    assert_eq!(route.timeout.as_millis(), 900);
    assert_eq!(route.matching.hosts, ["api.example.com"]);
    let composition = composition(&route);
    assert_eq!(
        order(composition),
        ["profile 0 []", "orders 0 []", "shipments 1 [orders]", "loyalty 1 [profile]"]
    );
    assert_eq!(composition.waves, 2);
    assert_eq!(composition.require.len(), 1);
    assert_eq!(composition.vars[0].0, "locale");
    let [profile, orders, shipments, loyalty] = &*composition.steps else { panic!() };
    assert!([profile, orders, shipments, loyalty].iter().all(|step| step.body == BodyUse::Parsed));
    assert_eq!(profile.pass_status[0], 404);
    assert!(profile.safe && orders.ensure.len() == 1);
    assert!(matches!(shipments.tolerance, Tolerance::Optional));
    assert!(matches!(&loyalty.tolerance, Tolerance::Fallback(Shape::Literal(json))
        if json == br#"{"tier":"none","points":0}"#));
    let each = shipments.for_each.as_ref().expect("forEach");
    assert_eq!((each.name.as_str(), each.max, each.concurrency), ("o", 20, 5));
    assert!(
        matches!(&*sent(shipments).path, [PathPart::Literal(text), PathPart::Segment(_)] if text == "/shipments/")
    );
    let Query::Parameters(query) = &sent(orders).query else { panic!() };
    assert!(matches!(&*query[1].1.0, [Text::Literal(text)] if text == "20"));
    let Endpoint::Compose { respond, errors, .. } = &route.endpoint else { panic!() };
    assert!(matches!(respond.status, StatusTemplate::Fixed(status) if status == 200));
    assert!(matches!(&respond.body, Some(Shape::Map(members)) if members.len() == 5));
    assert!(matches!(errors[0].problem.status, Some(StatusTemplate::Fixed(status)) if status == 404));
}

#[test]
fn trip_search_fans_out_over_trains_and_then_over_their_seats() {
    let route = planned(
        r#"
match: {methods: [GET], path: /trips}
steps:
  trains: {http: {service: orders, path: /trains, query: {from: "${ request.query.from }"}}}
  seats:
    forEach: {in: "${ steps.trains.body.trains }", as: train, key: "${ train.id }", max: 50, concurrency: 8}
    http: {service: orders, path: "/trains/${ train.id }/seats"}
  prices:
    forEach: {in: "${ steps.trains.body.trains }", as: train, key: "${ train.id }", max: 50, concurrency: 8}
    http: {service: orders, method: POST, safe: true, path: /prices, body: {train: "${ train.id }", free: "${ steps.seats.byKey[train.id].body.free }"}}
  offers: {http: {service: orders, path: /offers}, fallback: []}
respond:
  body:
    trips:
      $each: ${ steps.trains.body.trains }
      $as: t
      $yield: {id: "${ t.id }", seats: "${ steps.seats.byKey[t.id].body.free }", price: "${ steps.prices.byKey[?t.id].?body.?amount }"}
    offers: ${ steps.offers.body }
"#,
    );
    let composition = composition(&route);
    assert_eq!(
        order(composition),
        ["trains 0 []", "seats 1 [trains]", "prices 2 [trains seats]", "offers 0 []"]
    );
    assert!(composition.steps[2].safe);
    assert_eq!(composition.request_body, BodyUse::Unread);
}

#[test]
fn order_follows_references_through_vars_and_after() {
    let route = planned(
        "match: {path: /}\nvars: {b: '${ vars.a }', a: '${ steps.first.body.x }'}\nsteps:\n  last: {call: orders.list, after: [second]}\n  second: {call: orders.list, with: {query: {x: '${ vars.b }'}}}\n  first: {call: orders.list}\nrespond: {body: ['${ steps.last.body }']}",
    );
    assert_eq!(order(composition(&route)), ["last 2 [second]", "second 1 [first]", "first 0 []"]);
}

#[test]
fn an_operations_path_is_filled_from_with() {
    let route = planned(
        r#"
match: {path: "/x/{id}/{rest...}"}
steps:
  one: {call: orders.get, with: {path: {id: "a b/${ request.path.id }"}}}
  two: {call: orders.get, with: {path: {id: 5}}}
  three: {call: orders.file, with: {path: {name: "${ request.path.rest }"}}}
  four: {call: orders.page, with: {path: {name: "${ request.path.id }"}}}
respond: {body: ["${ steps.one.body }", "${ steps.two.body }", "${ steps.three.body }", "${ steps.four.body }"]}
"#,
    );
    let path = |index: usize| &*sent(&composition(&route).steps[index]).path;
    assert!(matches!(path(0), [PathPart::Literal(text), PathPart::Segment(_)] if text == "/orders/a%20b%2F"));
    assert!(matches!(path(1), [PathPart::Literal(text)] if text == "/orders/5"));
    assert!(matches!(path(2), [PathPart::Literal(text), PathPart::Rest(_)] if text == "/files/"));
    assert!(matches!(path(3), [_, PathPart::Segment(_), PathPart::Literal(text)] if text == ".html"));
}

#[test]
fn a_rest_capture_keeps_its_slashes_in_a_proxied_path() {
    let route = planned(
        "match: {path: '/c/{id}/{rest...}'}\nproxy: {service: orders, path: '/v2/${ request.path.id }/${ request.path.rest }'}",
    );
    let Endpoint::Proxy { composition: None, proxy, .. } = &route.endpoint else { panic!() };
    let path = proxy.path.as_deref().expect("a path");
    assert!(matches!(
        path,
        [PathPart::Literal(_), PathPart::Segment(_), PathPart::Literal(_), PathPart::Rest(_)]
    ));
    assert!(proxy.query.is_none() && !proxy.preserve_host);
}

#[test]
fn a_proxy_runs_its_steps_first() {
    let route = planned(
        "match: {path: /p}\nsteps: {auth: {http: {service: orders, path: /check}}}\nproxy: {service: care/customers, headers: {set: {x-user: '${ steps.auth.headers[\"x-user\"] }'}, remove: [cookie]}}",
    );
    let Endpoint::Proxy { composition: Some(steps), proxy, .. } = &route.endpoint else { panic!() };
    assert_eq!(steps.steps[0].body, BodyUse::Unread);
    assert_eq!((proxy.set.len(), proxy.remove.len()), (1, 1));
}

#[test]
fn a_whole_body_is_forwarded_and_not_parsed() {
    let uses = |respond: &str| {
        let route = planned(&format!(
            "match: {{path: /}}\nsteps:\n  x: {{call: orders.place, with: {{body: '${{ request.body }}'}}}}\nrespond: {respond}"
        ));
        let composition = composition(&route);
        (composition.request_body, composition.steps[0].body)
    };
    use BodyUse::{Forwarded, Parsed, Unread};
    assert_eq!(uses("{body: '${ steps.x.body }'}"), (Forwarded, Forwarded));
    assert_eq!(uses("{body: ['${ steps.x.body }']}"), (Forwarded, Parsed));
    assert_eq!(uses("{body: {x: '${ steps.x.status }', y: '${ request.body }'}}"), (Parsed, Unread));
    assert_eq!(
        uses("{headers: {x-id: '${ steps.x.body.id }'}, body: '${ steps.x.body }'}"),
        (Forwarded, Parsed)
    );
}

#[test]
fn a_failed_answer_is_kept_where_errors_read_it() {
    let route = planned(
        "match: {path: /}\nsteps: {x: {call: orders.list}}\nrespond: {body: {s: '${ steps.x.status }'}}\nerrors: [{problem: {status: 502, why: '${ error.upstream.body }'}}]",
    );
    assert_eq!(composition(&route).steps[0].body, BodyUse::Forwarded);
}

#[test]
fn a_static_answer_is_rendered_once() {
    let answer = |fixed: &str| match planned(&format!("match: {{path: /}}\nstatic: {fixed}")).endpoint {
        Endpoint::Static(answer) => answer,
        _ => panic!("static"),
    };
    let json = answer(
        "{status: 203, headers: {x-a: [1, two]}, body: {b: 1.20, a: [yes, null, 0x10], $$c: '$${x}'}}",
    );
    assert_eq!(json.body, r#"{"b":1.20,"a":["yes",null,16],"$c":"${x}"}"#);
    assert_eq!(
        (json.status.as_u16(), &json.headers["content-type"]),
        (203, &"application/json".parse().expect("valid"))
    );
    assert_eq!(json.headers.get_all("x-a").iter().count(), 2);
    assert_eq!(answer("{body: hello}").body, "\"hello\"");
    let text = answer("{headers: {content-type: text/plain; charset=utf-8}, body: hello}");
    assert_eq!(text.body, "hello");
    let none = answer("{status: 204}");
    assert!(none.body.is_empty() && none.headers.is_empty());
}

#[test]
fn shaping_becomes_shapes_and_literals_are_rendered() {
    let route = planned(
        r#"
match: {path: /}
vars:
  v: {$merge: [{a: 1}, "${ request.query }", {$if: "${ request.method == 'GET' }", $then: {b: 2}}]}
steps: {}
respond: {body: {fixed: {a: [1, 2.50]}, v: "${ vars.v }", each: {$each: [1, 2], $as: n, $yield: "${ n }"}}}
"#,
    );
    let composition = composition(&route);
    let (_, Shape::Merge(parts)) = &composition.vars[0] else { panic!() };
    assert!(matches!(&parts[..], [Shape::Literal(_), Shape::Text(_), Shape::If { otherwise: None, .. }]));
    let Endpoint::Compose { respond, .. } = &route.endpoint else { panic!() };
    let Some(Shape::Map(members)) = &respond.body else { panic!() };
    assert!(matches!(&members[0].1, Shape::Literal(json) if json == br#"{"a":[1,2.50]}"#));
    assert!(matches!(&members[2].1, Shape::Each { condition: None, .. }));
}

#[test]
fn white_space_around_one_expression_keeps_its_type() {
    let route = planned(
        "match: {path: /}\nsteps: {}\nrespond:\n  body:\n    a: |\n      ${ request.query }\n    b: \"  ${ request.method }!\"\n",
    );
    let Endpoint::Compose { respond, .. } = &route.endpoint else { panic!() };
    let Some(Shape::Map(members)) = &respond.body else { panic!() };
    assert!(matches!(&members[0].1, Shape::Text(Text::One(_))));
    assert!(matches!(&members[1].1, Shape::Text(Text::Parts(parts)) if parts.len() == 3));
}

#[test]
fn query_and_headers_may_be_one_expression() {
    let route = planned(
        "match: {path: /}\nsteps: {x: {call: orders.list, with: {query: '${ request.query }', headers: '${ request.headers }'}}}\nrespond: {body: ['${ steps.x.body }']}",
    );
    let call = sent(&composition(&route).steps[0]);
    assert!(matches!((&call.query, &call.headers), (Query::Expression(_), Headers::Expression(_))));
}

#[test]
fn a_pattern_is_canonical() {
    let route = planned("match: {path: '/%61/{id}/'}\nstatic: {}");
    let literal = |text: &str| Segment::Literal(text.to_owned());
    let segments = vec![literal("a"), Segment::Capture("id".into()), literal("")];
    assert_eq!(route.matching.path, PathPattern { text: "/%61/{id}/".into(), segments });
}

#[test]
fn the_gateway_and_the_services_are_in_the_plan() {
    let (plan, findings) = compiled(&[]);
    assert_eq!(findings.items(), []);
    let plan = plan.expect("a plan");
    let names: Vec<_> = plan.services.iter().map(|service| &*service.name).collect();
    assert_eq!(names, ["care/customers", "care/notes", "shop/orders"]);
    assert_eq!(plan.gateway.listeners[0].name, "http");
}

#[test]
fn compiling_twice_gives_the_same() {
    let broken = CUSTOMER_360.replace("steps.profile", "steps.profil").replace("o.id", "oo.id");
    for route in [CUSTOMER_360, &broken] {
        let text = format!("{HEAD}{route}");
        let run = || {
            let (plan, findings) = compiled(&[("routes/shop/r.yaml", &text)]);
            format!("{plan:?}{findings:?}")
        };
        assert_eq!(run(), run());
    }
}

#[test]
fn ten_thousand_routes_compile_in_a_moment() {
    let mut text = String::new();
    for index in 0..10_000 {
        let _ = write!(
            text,
            "---\napiVersion: segue/v1\nkind: Route\nmetadata: {{name: r{index}, owner: sales}}\nmatch: {{path: '/r{index}/{{id}}'}}\nsteps: {{x: {{call: orders.get, with: {{path: {{id: '${{ request.path.id }}'}}}}}}}}\nrespond: {{body: {{id: '${{ steps.x.body.id }}'}}}}\n"
        );
    }
    let tree = [
        ("policies/gateway.yaml", GATEWAY),
        ("policies/open.yaml", OPEN),
        ("routes/shop/r.yaml", &text),
        ("routes/shop/services.yaml", SERVICES),
    ];
    let started = std::time::Instant::now();
    let (plan, findings) = compile(&Tree::from_texts(tree));
    assert_eq!(findings.items(), []);
    assert_eq!(plan.map(|plan| plan.routes.len()), Some(10_000));
    // A debug build on a busy machine; a release build takes a tenth.
    assert!(started.elapsed().as_secs() < 20, "took {:?}", started.elapsed());
}
