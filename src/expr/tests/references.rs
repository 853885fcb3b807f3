use super::*;

fn reads(source: &str) -> Vec<(Slot, bool)> {
    compile(source).references().iter().map(|reference| (reference.slot, reference.tolerant)).collect()
}

#[test]
fn a_reference_is_a_slot_and_says_whether_absence_is_tolerated() {
    let body = Slot::Step(0, StepField::Body);
    assert_eq!(reads("steps.a.body.x.y"), [(body, false)]);
    assert_eq!(reads("steps[\"a\"].body"), [(body, false)]);
    assert_eq!(reads("steps.a.?body.?x"), [(body, true)]);
    assert_eq!(reads("steps.a.body.?x"), [(body, true)]);
    assert_eq!(reads("steps.a.body[?'x']"), [(body, true)]);
    assert_eq!(reads("has(steps.a.body.x.y)"), [(body, true)]);
    assert_eq!(reads("has(steps.a.body)"), [(body, true)]);
    assert_eq!(reads("steps.a.outcome"), [(Slot::Step(0, StepField::Outcome), false)]);
    assert_eq!(reads("request.path.id"), [(Slot::Path(0), false)]);
    assert_eq!(reads("request.path.?rest"), [(Slot::Path(1), true)]);
    assert_eq!(reads("request.path"), [(Slot::Path(0), true), (Slot::Path(1), true)]);
    assert_eq!(
        reads("request.query.q + request.headers['x']"),
        [(Slot::Query, false), (Slot::Headers, false)]
    );
    assert_eq!(reads("vars.w"), [(Slot::Var(1), false)]);
    assert_eq!(reads("steps.each.byKey[?'k'].?body.?eta"), [(Slot::Step(2, StepField::ByKey), true)]);
    assert_eq!(reads("steps.composed.output.x"), [(Slot::Step(3, StepField::Output), false)]);
    assert_eq!(reads("request.headerValues('accept')"), [(Slot::Headers, false)]);
    assert_eq!(reads("steps.a.headerValues('link')"), [(Slot::Step(0, StepField::Headers), false)]);
}

#[test]
fn loop_variables_and_namespaces_are_no_references() {
    assert_eq!(reads("[1].map(steps, steps + 1).filter(request, request > 1)"), []);
    assert_eq!(reads("optional.of(1).hasValue()"), []);
    assert_eq!(reads("cel.bind(steps, 1, steps + 1)"), []);
    assert_eq!(reads("[1].transformList(request, vars, request + vars)"), []);
    assert_eq!(reads("optional.of([1]).optMap(self, self.sortBy(error, error))"), []);
    assert_eq!(reads("math.greatest(1, size(strings.quote(base64.encode('x'))))"), []);
    assert_eq!(reads("type(1) == int && ip.isCanonical('::1') && net.IP == net.CIDR"), []);
    let body = Slot::Step(0, StepField::Body);
    assert_eq!(reads("cel.bind(b, steps.a.body, b.x + b.y)"), [(body, false)]);
    assert_eq!(reads("[1].all(i, v, steps.a.?body.?x == v)"), [(body, true)]);
    let scope = Scope { locals: vec!["o".to_owned()], ..scope() };
    let program = Program::compile("o.id + vars.v", &scope).unwrap();
    assert_eq!(program.references(), [Reference { slot: Slot::Var(0), tolerant: false, offset: 7 }]);
}

#[test]
fn one_slot_alone_is_recognised() {
    assert_eq!(compile(" steps.a.body ").as_slot(), Some(Slot::Step(0, StepField::Body)));
    assert_eq!(compile("(request.body)").as_slot(), Some(Slot::RequestBody));
    assert_eq!(compile("steps.a.?body").as_slot(), None);
    assert_eq!(compile("steps.a.?body").as_body(), Some(Slot::Step(0, StepField::Body)));
    assert_eq!(compile("steps.a.?body.?x").as_body(), None);
    assert_eq!(compile("steps.a.headers").as_body(), None);
    assert_eq!(compile("steps.a.body.x").as_slot(), None);
    assert_eq!(compile("[request.body][0]").as_slot(), None);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    assert_eq!(
        faults("requst.body"),
        "unknown_reference 0+6: there is no `requst` here (did you mean `request`?)"
    );
    assert_eq!(
        faults("request.path.idd"),
        "unknown_reference 13+3: the route's path captures no `idd` (did you mean `id`?)"
    );
    assert_eq!(faults("request.bdy"), "unknown_reference 8+3: `request` has no `bdy` (did you mean `body`?)");
    assert_eq!(faults("steps.c.body"), "unknown_step 6+1: there is no step `c` (did you mean `a`?)");
    assert_eq!(faults("a.body"), "unknown_reference 0+1: there is no `a` here (did you mean `steps.a`?)");
    assert_eq!(
        faults("id"),
        "unknown_reference 0+2: there is no `id` here (did you mean `request.path.id`?)"
    );
    assert_eq!(faults("vars.x"), "unknown_reference 5+1: there is no `x` under `vars` (did you mean `v`?)");
    assert_eq!(
        faults("steps.a.boddy"),
        "unknown_reference 8+5: `steps.a` has no `boddy` (did you mean `body`?)"
    );
}

#[test]
fn a_root_is_read_only_by_its_fields_and_where_it_is_there() {
    assert!(faults("steps").contains("`steps` alone is no value"));
    assert!(faults("steps.a").contains("`steps.a` alone is no value"));
    assert!(faults("steps[request.path.id].body").contains("must be written out"));
    assert!(faults("request").contains("alone is no value"));
    assert!(faults("steps.each.body").contains("`items` (in order) and `byKey`"));
    assert!(faults("steps.a.items").contains("only a step with `forEach`"));
    assert!(faults("steps.composed.body").contains("`output`"));
    assert!(faults("self.body").contains("only in a step's `ensure`"));
    assert!(faults("error.code").contains("only in `errors`"));
    assert!(faults("input.x").contains("only in a Composition"));
    assert!(faults("principal").contains("`principal` alone is no value"));
    assert!(faults("principal.claim.sub").contains("did you mean `claims`?"));
    assert!(faults("principal.scopes + 1").contains("cannot take"));
    let nobody = Scope { principal: false, ..scope() };
    assert!(faults_in("principal.id", &nobody).contains("cannot be read here"));
    let composition = Scope { inputs: Some(vec!["x".to_owned()]), ..Scope::default() };
    assert!(faults_in("principal.id", &composition).contains("cannot be read in a Composition"));
    assert!(faults_in("request.body", &composition).contains("cannot be read in a Composition"));
    assert_eq!(Program::compile("input.x", &composition).unwrap().as_slot(), Some(Slot::Input(0)));
    let inside = Scope { own: true, error: true, ..scope() };
    assert!(Program::compile("self.body.ok && error.upstream.status == 404", &inside).is_ok());
}

#[test]
fn every_fault_of_an_expression_is_found_at_once() {
    let found = faults("requst.body + steps.z.body + foo(vars.nope) + [1].map(x, y)");
    assert_eq!(found.lines().count(), 5, "{found}");
}

#[test]
fn an_unknown_function_is_answered_with_the_nearest() {
    assert_eq!(
        faults("sice('a')"),
        "unknown_function 0+4: there is no function `sice` (did you mean `size`?)"
    );
    assert_eq!(
        faults("'a'.startWith('b')"),
        "unknown_function 4+9: there is no method `startWith` (did you mean `startsWith`?)"
    );
    assert_eq!(
        faults("math.greates(1, 2)"),
        "unknown_function 0+12: there is no function `math.greates` (did you mean `math.greatest`?)"
    );
    assert!(faults("request.body.transformlist(i, v, v)").contains("did you mean `transformList`?"));
    assert!(faults("execution.now.getFulYear()").contains("did you mean `getFullYear`?"));
    assert!(faults("contains('a', 'b')").contains("call it as `x.contains()`"));
    assert_eq!(faults("size()"), "unknown_function 0+4: `size` takes 1 argument, not 0");
    assert_eq!(faults("[1].map(x)"), "unknown_function 4+3: `map` takes 2 or 3 arguments, not 1");
    assert!(faults("[1].map(1, 2)").contains("names its variable"));
    assert!(faults("has(request.headers['x'])").contains("has` takes a field"));
}

#[test]
fn what_can_never_work_is_refused() {
    assert_eq!(faults("1 + 'a'"), "type_mismatch 2+1: `+` cannot take a number and a string");
    assert_eq!(
        faults("size(3)"),
        "type_mismatch 5+1: `size` needs a string or bytes or a list or a map, not a number"
    );
    assert!(faults("!1").contains("`!` needs a boolean"));
    assert!(faults("'a' && true").contains("`&&` needs a boolean, not a string"));
    assert!(faults("1 ? 2 : 3").contains("needs a boolean"));
    assert!(faults("[1] < [2]").contains("cannot take"));
    assert!(faults("1 in 2").contains("`in` cannot take"));
    assert!(faults("'a'.b").contains("has no fields"));
    assert!(faults("'a'.orValue(1)").contains("needs an optional"));
    assert!(faults("steps.a.outcome.map(x, x)").contains("needs a list or a map"));
    assert!(!compile("1 + 1").may_be_condition());
    assert!(compile("request.body").may_be_condition());
    assert_eq!(compile("'a' + request.body").known_type(), Type::Str);
}
