//! Which mistakes are found, and where.

use super::*;

const NONE: [&str; 0] = [];

#[test]
fn a_name_that_does_not_exist_has_a_nearest_one() {
    let step = |call: &str| {
        format!("match: {{path: /}}\nsteps:\n  x: {{{call}}}\nrespond: {{body: ['${{ steps.x.body }}']}}")
    };
    let cases = [
        ("call: order.list", "3:13 unknown_service", "did you mean `orders`?"),
        ("call: customers.get", "3:13 unknown_service", "did you mean `care/customers`?"),
        ("call: care/customer.get", "3:13 unknown_service", "did you mean `care/customers`?"),
        ("call: orders.lits", "3:13 unknown_operation", "did you mean `list`?"),
        ("call: orders", "3:13 unknown_operation", "SERVICE.OPERATION"),
        ("http: {service: care/notes, path: /}", "3:23 not_visible", "visibility: all"),
        ("call: orders.get, with: {path: {ID: 1, id: 2}}", "3:39 unknown_key", "did you mean `id`?"),
        ("call: orders.get", "3:13 missing_key", "with: {path: {id: …}}"),
    ];
    for (call, place, help) in cases {
        assert_eq!(found(&step(call)), [place], "{call}");
        assert!(said(&step(call)).contains(help), "{call}: {}", said(&step(call)));
    }
}

#[test]
fn faults_of_expressions_stand_inside_their_scalar() {
    let body =
        |body: &str| found(&format!("match: {{path: '/{{id}}'}}\nsteps: {{}}\nrespond:\n  body: {body}"));
    assert_eq!(body("${ request.path.idd }"), ["4:25 unknown_reference"]);
    assert_eq!(body("'it''s ${ request.path.idd }'"), ["4:32 unknown_reference"]);
    assert_eq!(body("\"é\\t${ request.path.idd }\""), ["4:29 unknown_reference"]);
    assert_eq!(body("|\n    a\n    ${ steps.nope.body }"), ["6:14 unknown_step"]);
    assert_eq!(body("${ 1 + }"), ["4:16 expression_syntax"]);
    assert_eq!(body("${ error.code }"), ["4:12 unknown_reference"]);
    assert_eq!(body("${ self.body }"), ["4:12 unknown_reference"]);
}

#[test]
fn an_unclosed_expression_says_to_quote_it() {
    let route = "match: {path: /}\nsteps: {}\nrespond:\n  body: ${ request.method # }";
    assert_eq!(found(route), ["4:9 unclosed_expression"]);
    assert!(said(route).contains("quote this expression") && said(route).contains(" #"));
    let route = "match: {path: /}\nsteps: {}\nrespond:\n  body: 'a ${ request.method'";
    assert_eq!(found(route), ["4:12 unclosed_expression"]);
    assert!(said(route).contains("quote this expression"));
}

#[test]
fn steps_in_a_circle_are_printed_as_a_path() {
    let steps = "  a: {call: orders.list, with: {query: {x: '${ steps.b.body }'}}}\n  b: {call: orders.list, after: [c]}\n  c: {call: orders.list, with: {query: {x: '${ steps.a.body }'}}}";
    assert_eq!(found_in_steps(steps, "'${ steps.a.body }'"), ["1:48 step_cycle"]);
    let route = format!("match: {{path: /}}\nrespond: {{}}\nsteps:\n{steps}");
    assert!(said(&route).contains("a → b → c → a"), "{}", said(&route));
    let own = "  a: {call: orders.list, ensure: [{that: '${ steps.a.status == 200 }'}]}";
    assert_eq!(found_in_steps(own, "'${ steps.a.body }'"), ["1:46 step_cycle"]);
}

#[test]
fn a_circle_through_vars_is_found() {
    let route = "match: {path: /}\nvars: {v: '${ steps.a.body }', w: '${ vars.w }'}\nsteps:\n  a: {call: orders.list, with: {query: {x: '${ vars.v }'}}}\nrespond: {body: ['${ steps.a.body }', '${ vars.w }']}";
    assert_eq!(found(route), ["2:39 step_cycle", "4:48 step_cycle"]);
    assert!(said(route).contains("a → vars.v → a"));
}

#[test]
fn a_step_that_may_have_no_answer_is_not_read_plainly() {
    let read = |how: &str, read: &str| {
        found_in_steps(&format!("  a: {{call: orders.list, {how}}}"), &format!("['{read}']"))
    };
    let plain = "-1:22 plain_read_of_tolerated";
    for how in ["optional: true", "when: '${ request.method == \"GET\" }'"] {
        assert_eq!(read(how, "${ steps.a.body.x }"), [plain], "{how}");
        assert_eq!(read(how, "${ steps.a.status }"), [plain], "{how}");
        assert_eq!(read(how, "${ steps.a.body.?x.orValue(1) }"), NONE, "{how}");
        assert_eq!(read(how, "${ steps.a.?body }"), NONE, "{how}");
        assert_eq!(read(how, "${ has(steps.a.body.x) }"), NONE, "{how}");
        assert_eq!(read(how, "${ steps.a.outcome }"), NONE, "{how}");
        assert_eq!(read(how, "${ steps.a.error.?code.orValue(1) }"), NONE, "{how}");
        assert_eq!(read(&format!("{how}, fallback: {{}}"), "${ steps.a.body.x }"), NONE, "{how}");
    }
    let each = "optional: true, forEach: {in: [1, 2], as: n, max: 9}";
    assert_eq!(read(each, "${ steps.a.items }"), NONE);
    assert_eq!(read(each, "${ steps.a.byKey }"), NONE);
}

#[test]
fn unsafe_steps_need_an_order() {
    let body = "['${ steps.a.status }', '${ steps.b.status }', '${ steps.c.status }']";
    let steps = |a: &str, b: &str, c: &str| {
        found_in_steps(
            &format!(
                "  a: {{call: orders.place{a}}}\n  b: {{call: orders.place{b}}}\n  c: {{call: orders.search{c}}}"
            ),
            body,
        )
    };
    assert_eq!(steps("", "", ""), ["2:3 unordered_unsafe"]);
    assert_eq!(steps("", ", after: [a]", ""), NONE);
    assert_eq!(steps(", after: [c]", "", ", after: [b]"), NONE, "ordered through a safe step");
    assert_eq!(steps(", unordered: true", "", ""), NONE);
    assert_eq!(steps("", ", after: [aa]", ""), ["2:3 unordered_unsafe", "2:35 unknown_step"]);
}

#[test]
fn unsafe_items_run_one_after_the_other() {
    let each = |more: &str| {
        found_in_steps(
            &format!(
                "  a: {{call: orders.place, forEach: {{in: [1], as: n, max: 9, concurrency: 2}}{more}}}"
            ),
            "'${ steps.a.items }'",
        )
    };
    assert_eq!(each(""), ["1:3 unordered_unsafe"]);
    assert_eq!(each(", unordered: true"), NONE);
}

#[test]
fn a_safe_step_that_nothing_reads_is_a_warning() {
    let steps = "  a: {call: orders.list}\n  b: {call: orders.place}\n  c: {call: orders.list, after: [d]}\n  d: {call: orders.list}";
    assert_eq!(found_in_steps(steps, "'${ steps.c.body }'"), ["1:3 unused_step"]);
    let broken = "  a: {call: orders.list}";
    assert_eq!(found_in_steps(broken, "'${ steps.a.body + }'"), ["-1:36 expression_syntax"]);
}

#[test]
fn a_loop_variable_is_known_in_the_call_only() {
    let steps = "  a:\n    call: orders.get\n    forEach: {in: '${ n.list }', as: n, key: '${ n }', max: 3}\n    when: ${ n.x }\n    with: {path: {id: '${ n }'}, query: {q: '${ n }'}, headers: {x-n: '${ n }'}, body: {n: '${ n }'}}\n    ensure: [{that: '${ self.status == 200 && n != 1 }'}]\n    fallback: '${ n }'";
    let found = found_in_steps(steps, "'${ steps.a.items }'");
    assert_eq!(found, ["3:23 unknown_reference", "4:14 unknown_reference"]);
}

#[test]
fn require_cannot_read_steps() {
    let route = "match: {path: /}\nvars: {v: '${ steps.a.body }'}\nrequire:\n  - {that: '${ steps.a.status == 200 }'}\n  - {that: '${ vars.v == 1 }'}\nsteps: {a: {call: orders.list}}\nrespond: {body: '${ steps.a.body }'}";
    assert_eq!(found(route), ["4:16 unknown_reference", "5:16 unknown_reference"]);
}

#[test]
fn a_proxy_route_cannot_read_the_body() {
    let route = "match: {path: /}\nsteps: {a: {call: orders.place, with: {body: '${ request.body }'}}}\nproxy: {service: orders, query: {x: '${ request.body.x }'}}";
    assert_eq!(found(route), ["2:50 body_not_readable", "3:41 body_not_readable"]);
}

#[test]
fn paths_are_judged_inside_their_scalar() {
    assert_eq!(found("match: {path: '/a/x{id}'}\nstatic: {}"), ["1:19 invalid_path"]);
    assert_eq!(found("match:\n  path: /a/{rest...}/b\nstatic: {}"), ["2:12 invalid_path"]);
    let http = |path: &str| {
        found_in_steps(&format!("  a: {{http: {{service: orders, path: {path}}}}}"), "'${ steps.a.body }'")
    };
    assert_eq!(http("'/x?y=${ 1 }'"), ["1:40 invalid_path"]);
    assert_eq!(http("'/${ request.path.id }/../x'"), ["1:38 invalid_path"]);
    assert_eq!(http("'/${ request.path.id }/a b'"), ["1:61 invalid_path"]);
    assert_eq!(http("'${ request.path.rest }'"), ["1:38 invalid_path"]);
    assert_eq!(http("'/orders/{id}'"), ["1:46 invalid_path"]);
    let with = |id: &str| {
        found_in_steps(
            &format!("  a: {{call: orders.get, with: {{path: {{id: {id}}}}}}}"),
            "'${ steps.a.body }'",
        )
    };
    assert_eq!(with("'..'"), ["1:43 invalid_path"]);
    assert_eq!(with("''"), ["1:43 invalid_path"]);
}

#[test]
fn shaping_that_does_not_fit_is_found() {
    let body = |body: &str| found(&format!("match: {{path: /}}\nsteps: {{}}\nrespond:\n  body: {body}"));
    assert_eq!(body("{$eech: [1], $as: n, $yield: 1}"), ["4:10 unknown_key"]);
    assert_eq!(body("{$each: [1], $as: n}"), ["4:9 missing_key"]);
    assert_eq!(body("{$each: [1], $as: for, $yield: 1}"), ["4:27 invalid_name"]);
    assert_eq!(body("{$if: true, $then: 1, other: 2}"), ["4:31 unknown_key"]);
    assert_eq!(body("{$if: yes, $then: 1}"), ["4:15 wrong_type"]);
    assert_eq!(body("{$merge: [{}, 1]}"), ["4:23 wrong_type"]);
    assert_eq!(body("{$foo: 1}"), ["4:10 unknown_key"]);
}

#[test]
fn conditions_and_statuses_have_their_form() {
    let steps = |when: &str| {
        found_in_steps(
            &format!("  a: {{call: orders.list, when: {when}, fallback: 1}}"),
            "'${ steps.a.body }'",
        )
    };
    assert_eq!(steps("request.method"), ["1:32 wrong_type"]);
    assert_eq!(steps("'${ true } x'"), ["1:32 type_mismatch"]);
    assert_eq!(steps("true"), NONE);
    assert_eq!(steps("'${ 1 + 1 }'"), ["1:33 type_mismatch"]);
    let respond = |respond: &str| found(&format!("match: {{path: /}}\nsteps: {{}}\nrespond: {respond}"));
    assert_eq!(respond("{status: '${ \"x\" }'}"), ["3:20 type_mismatch"]);
    assert_eq!(
        respond("{body: 'a ${ [1] } ${ 1 } ${ null }'}"),
        ["3:20 type_mismatch", "3:36 type_mismatch"]
    );
    assert_eq!(respond("{body: {$each: '${ 1 }', $as: n, $yield: 1}}"), ["3:26 type_mismatch"]);
    assert_eq!(found("match: {path: /}\nsteps: {}\nrespond: {status: 99}"), ["3:19 invalid_value"]);
    assert_eq!(
        found("match: {path: /}\nsteps: {}\nrespond: {headers: {x-a: \"a\\nb\"}}"),
        ["3:26 invalid_value"]
    );
}

#[test]
fn a_static_answer_computes_nothing() {
    let fixed = |fixed: &str| found(&format!("match: {{path: /}}\nstatic: {fixed}"));
    assert_eq!(fixed("{body: {a: '${ request.method }'}}"), ["2:21 invalid_value"]);
    assert_eq!(fixed("{headers: {x-a: '${ 1 }'}}"), ["2:26 invalid_value"]);
    assert_eq!(fixed("{body: {$if: true, $then: 1}}"), ["2:16 invalid_value"]);
    assert_eq!(fixed("{headers: {content-type: text/html}, body: [1]}"), ["2:52 wrong_type"]);
}

#[test]
fn more_than_64_steps_are_too_many() {
    let steps: String = (0..65).map(|index| format!("  s{index}: {{call: orders.list}}\n")).collect();
    assert_eq!(found_in_steps(&steps, "1"), ["65:3 too_many_steps"]);
}

#[test]
fn listeners_and_admin_are_judged() {
    let text = "apiVersion: segue/v1\nkind: Gateway\nmetadata: {name: edge, owner: platform}\nlisteners:\n  - {name: a, address: \"127.0.0.1:8080\"}\n  - {name: a, address: \"127.0.0.1:8081\"}\n  - {name: c, address: \"127.0.0.1:8080\"}\nadmin: {address: \"0.0.0.0:9901\"}\ntrustedProxies: [10.0.0.0/8, 10.0.0.0/33]\n";
    let (_, findings) = compile(&Tree::from_texts([("policies/gateway.yaml", text)]));
    let found: Vec<_> = findings
        .items()
        .iter()
        .map(|f| format!("{}:{} {}", f.place.line, f.place.column, f.code.as_str()))
        .collect();
    assert_eq!(found, ["6:12 duplicate_name", "7:24 invalid_url", "8:18 missing_key", "9:30 invalid_value"]);
}

#[test]
fn one_mistake_does_not_hide_or_cause_another() {
    let route = "match: {path: '/{id}/{id}'}\nvars: {v: '${ nope }'}\nsteps:\n  a: {call: orders.nope}\n  b: {call: nope.list, with: {query: {x: '${ steps.zz.body }'}}}\n  c: {call: orders.get}\n  d: {call: orders.list, optional: true}\n  e: {http: {service: orders, path: x}}\nrespond:\n  status: 700\n  body: ['${ steps.a.body + }', '${ steps.b.body }', '${ steps.c.body }', '${ steps.d.body }', '${ steps.e.bdy }']\nerrors: [{when: '${ error.kode }', problem: {title: '${'}}]";
    let lines: Vec<_> =
        found(route).iter().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(lines, ["1", "2", "4", "5", "5", "6", "8", "10", "11", "11", "11", "12", "12"]);
}

#[test]
fn a_broken_document_hides_no_other() {
    let first = format!("{HEAD}match: {{path: a}}\nstatic: {{}}");
    let second = HEAD.replace("name: r", "name: s") + "match: {path: /b}\nproxy: {service: nope}";
    let (plan, findings) = compiled(&[("routes/shop/a.yaml", &first), ("routes/shop/b.yaml", &second)]);
    assert!(plan.is_none());
    let codes: Vec<_> = findings.items().iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["invalid_path", "unknown_service"]);
}

#[test]
fn a_scalar_of_a_thousand_expressions_is_refused_at_once() {
    let scalar = "${ steps.nope.body } ".repeat(1000);
    assert_eq!(
        found(&format!("match: {{path: /}}\nsteps: {{}}\nrespond: {{body: '{scalar}'}}")),
        ["3:17 expression_too_large"]
    );
}
