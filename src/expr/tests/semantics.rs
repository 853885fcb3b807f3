use super::*;

const BODY: &str = r#"{"a":{"b":"x","n":null},"list":[1,"two",{"k":"v"}],"esc":"q\"\u0041","t":true,
"items":[{"id":"1","qty":2,"ok":true},{"id":"2","qty":5,"ok":false},{"id":"3","qty":1,"ok":true}]}"#;

fn body(source: &str) -> String {
    over(BODY, &source.replace('@', "request.body"))
}

#[test]
fn selecting_a_missing_key_is_an_error_that_names_the_path() {
    assert_eq!(body("@.a.b"), "\"x\"");
    assert_eq!(body("@['a']['b']"), "\"x\"");
    assert_eq!(body("@.a.c"), "error: `request.body.a.c` is absent");
    assert_eq!(body("@.c.d.e"), "error: `request.body.c` is absent");
    assert_eq!(body("@.list[7]"), "error: `request.body.list[7]` is absent");
    assert_eq!(body("@.list[-1]"), "error: `request.body.list[-1]` is absent");
    assert_eq!(body("@.list[2].k"), "\"v\"");
    assert_eq!(body("@.list[1.0]"), "\"two\"");
    assert_eq!(body("steps.b.body.x"), "error: `steps.b.body` is absent");
    assert_eq!(body("@.a.n.x"), "error: `request.body.a.n.x` cannot be read, as what is before it is null");
    assert_eq!(body("@.t.x"), "error: `request.body.t.x` cannot be read, as what is before it is a boolean");
    assert_eq!(
        body("@.list.x"),
        "error: `request.body.list.x` cannot be read, as what is before it is a list"
    );
}

#[test]
fn optional_selection_gives_optionals() {
    assert_eq!(body("@.?a.?b"), "\"x\"");
    assert_eq!(body("@.?c"), "omitted");
    assert_eq!(body("@.?c.d.e"), "omitted");
    assert_eq!(body("@.a[?'zz']"), "omitted");
    assert_eq!(body("@.?a.zz"), "omitted");
    assert_eq!(body("@.c.?d"), "error: `request.body.c` is absent");
    assert_eq!(body("@.list[?7].orValue('none')"), "\"none\"");
    assert_eq!(body("@.?c.orValue('d')"), "\"d\"");
    assert_eq!(body("@.?a.b.orValue('d')"), "\"x\"");
    assert_eq!(body("@.?c.or(@.?a).value().b"), "\"x\"");
    assert_eq!(body("@.?c.hasValue()"), "false");
    assert_eq!(body("@.?c.value()"), "error: `value` was called on an optional that has none");
    assert_eq!(body("@.a.?n"), "null");
    assert_eq!(body("@.a.n.?x.orValue(1)"), "1");
    assert_eq!(body("steps.b.?body.?x.orValue(0)"), "0");
    assert_eq!(body("steps.b.body.?x.orValue(0)"), "0");
    assert_eq!(body("optional.of(1).or(optional.none()).value()"), "1");
    assert_eq!(body("optional.ofNonZeroValue('').hasValue()"), "false");
    assert_eq!(body("optional.ofNonZeroValue(@.a.b).value()"), "\"x\"");
    assert_eq!(body("optional.of({'x': 1}).x.value()"), "1");
    assert_eq!(body("optional.of({'x': 1}).y.hasValue()"), "false");
    assert_eq!(body("optional.none() == optional.none()"), "true");
    assert_eq!(body("@.?t == optional.of(true)"), "true");
    assert_eq!(body("@.t.orValue(1)"), "error: an optional is needed, not a boolean");
}

#[test]
fn has_asks_for_the_last_field_and_for_a_step_at_any_depth() {
    assert_eq!(body("has(@.a.b)"), "true");
    assert_eq!(body("has(@.a.n)"), "true");
    assert_eq!(body("has(@.a.c)"), "false");
    assert_eq!(body("has(@.c.d)"), "error: `request.body.c` is absent");
    assert_eq!(body("has(@.?c.d)"), "false");
    assert_eq!(body("has(steps.b.body)"), "false");
    assert_eq!(body("has(steps.b.body.x.y)"), "false");
    assert_eq!(body("has(steps.a.body)"), "true");
    assert_eq!(body("has(request.path.id) && !has(request.path.rest)"), "true");
    assert_eq!(body("has(request.query.q) && !has(request.query.r)"), "true");
    assert_eq!(body("has({'x': 1}.x)"), "true");
}

#[test]
fn omitted_values_drop_their_key_or_element() {
    assert_eq!(
        body("{'a': omit(), 'b': optional.none(), 'c': null, 'd': @.?zz, 'e': @.?t}"),
        r#"{"c":null,"e":true}"#
    );
    assert_eq!(body("[1, omit(), @.?zz, 2]"), "[1,2]");
    assert_eq!(body("[?@.?zz, ?@.?t]"), "[true]");
    assert_eq!(body("{?'a': @.?zz, ?'b': @.?t, 'c': 1}"), r#"{"b":true,"c":1}"#);
    assert_eq!(body("@.items.map(i, i.?zz)"), "[]");
    assert_eq!(body("omit()"), "omitted");
    assert_eq!(faults("[?1]"), "type_mismatch 2+1: after `?` an optional is needed, not a number");
}

#[test]
fn macros_walk_lists_and_maps() {
    assert_eq!(body("@.items.filter(i, i.ok).map(i, i.id)"), r#"["1","3"]"#);
    assert_eq!(body("@.items.map(i, i.qty > 1, i.qty * 2)"), "[4,10]");
    assert_eq!(body("@.items.map(i, [1, 2].map(j, i.qty * j))"), "[[2,4],[5,10],[1,2]]");
    assert_eq!(
        body("@.items.filter(i, i.qty > 1).map(i, i.id).map(i, i + '!').filter(x, x != '1!')"),
        r#"["2!"]"#
    );
    assert_eq!(body("@.items.map(i, @.items.filter(j, j.qty > i.qty).size())"), "[1,0,2]");
    assert_eq!(body("@.items.map(i, [i.id].map(x, x + i.id)[0])"), r#"["11","22","33"]"#);
    assert_eq!(body("@.items.all(i, i.qty > 0)"), "true");
    assert_eq!(body("@.items.exists(i, i.qty == 5)"), "true");
    assert_eq!(body("@.items.exists_one(i, i.ok)"), "false");
    assert_eq!(body("@.items.exists_one(i, i.qty == 5)"), "true");
    assert_eq!(body("@.a.map(k, k)"), r#"["b","n"]"#);
    assert_eq!(body("{'x': 1, 'y': 2}.filter(k, k != 'x')"), r#"["y"]"#);
    assert_eq!(body("[].all(x, x)"), "true");
    assert_eq!(body("[].exists(x, x)"), "false");
    assert_eq!(body("@.t.map(x, x)"), "error: a macro needs a list or a map, not a boolean");
}

#[test]
fn and_or_and_quantifiers_absorb_errors() {
    assert_eq!(body("@.zz || true"), "true");
    assert_eq!(body("true || @.zz"), "true");
    assert_eq!(body("@.zz && false"), "false");
    assert_eq!(body("@.zz || false"), "error: `request.body.zz` is absent");
    assert_eq!(body("@.zz && true"), "error: `request.body.zz` is absent");
    assert_eq!(body("@.a.b || true"), "true");
    assert_eq!(body("[1, 0].exists(x, 1 / x == 1)"), "true");
    assert_eq!(body("[0, 1].exists(x, 1 / x == 1)"), "true");
    assert_eq!(body("[0, 2].exists(x, 1 / x == 1)"), "error: division by zero");
    assert_eq!(body("[0, 2].all(x, 1 / x == 1)"), "false");
    assert_eq!(body("[0, 1].all(x, 1 / x == 1)"), "error: division by zero");
}

#[test]
fn equality_takes_any_two_values() {
    assert_eq!(body("@.a.b == 'x' && 'x' == @.a.b"), "true");
    assert_eq!(body("@.esc == 'q\"A'"), "true");
    assert_eq!(body("1 == '1'"), "false");
    assert_eq!(body("null == null && @.a.n == null && null != false"), "true");
    assert_eq!(body("[1, 2.0] == [1.0, 2]"), "true");
    assert_eq!(body("{'a': 1, 'b': [2]} == {'b': [2.0], 'a': 1u}"), "true");
    assert_eq!(body("@.a == {'n': null, 'b': 'x'}"), "true");
    assert_eq!(body("@.list == [1, 'two', {'k': 'v'}]"), "true");
    assert_eq!(body("@.list == [1, 'two']"), "false");
    assert_eq!(body("{1: 'a'}[1] + {true: 'b'}[true]"), "\"ab\"");
    assert_eq!(body("'two' in @.list && !(3 in @.list) && 'a' in @ && !('zz' in @)"), "true");
    assert_eq!(body("{'k': 'v'} in @.list"), "true");
    assert_eq!(body("'a' < 'b' && false < true && b'a' < b'b'"), "true");
    assert_eq!(body("@.t < 1"), "error: `<` cannot compare a boolean and a number");
}

#[test]
fn strings_and_lists_join_with_plus_only_among_themselves() {
    assert_eq!(body("'a' + @.a.b + @.esc"), r#""axq\"A""#);
    assert_eq!(body("@.list + [4]"), r#"[1,"two",{"k":"v"},4]"#);
    assert_eq!(body("@.a.b + 1"), "error: `+` cannot take a string and a number");
    assert_eq!(body("size(@.list) + size('é') + 'abc'.size() + size(@)"), "12");
    assert_eq!(body("'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo')"), "true");
    assert_eq!(body("@.t.contains('x')"), "error: `contains` needs two strings, not a boolean and a string");
    assert_eq!(body("merge({'a': 1, 'b': 2}, {'c': 3, 'a': 4}, @.a)"), r#"{"a":4,"b":"x","c":3,"n":null}"#);
    assert_eq!(body("b'x'"), "error: bytes cannot be written as JSON");
}

#[test]
fn header_names_do_not_depend_on_case() {
    assert_eq!(body("request.headers['X-Tenant']"), "\"t\"");
    assert_eq!(body("request.headers[?'x-none'].orValue('-')"), "\"-\"");
    assert_eq!(body("request.headers.accept"), "\"a/b, c/d\"");
    assert_eq!(body("request.headerValues('Accept')"), r#"["a/b","c/d"]"#);
    assert_eq!(body("steps.a.headerValues('link')"), "[]");
    assert_eq!(body("request.path"), r#"{"id":"c-1"}"#);
    assert_eq!(body("'x-tenant' in request.headers"), "true");
}

#[test]
fn a_condition_is_a_boolean_and_nothing_else() {
    let (data, meter) = (data(BODY), Meter::default());
    let frame = Frame { data: &data, meter: &meter, locals: &[], turn: 0 };
    assert!(compile("request.body.t").test(&frame).unwrap());
    let error = compile("request.body.a.b").test(&frame).unwrap_err();
    assert_eq!(error.to_string(), "a condition gave a string, not a boolean");
}

#[test]
fn locals_are_read_by_their_place() {
    let scope = Scope { locals: vec!["x".to_owned(), "y".to_owned()], ..scope() };
    let program = Program::compile("[x, y.k, [3].map(x, x)[0]]", &scope).unwrap();
    let (data, meter) = (data(BODY), Meter::default());
    let document = Document::parse(Bytes::from_static(b"{\"k\":2}")).unwrap();
    let locals = [Value::Int(1), Value::Json(document.root())];
    let mut out = Vec::new();
    program.write(&Frame { data: &data, meter: &meter, locals: &locals, turn: 0 }, &mut out).unwrap();
    assert_eq!(out, b"[1,2,3]");
}
