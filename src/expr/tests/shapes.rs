use super::*;

fn text(source: &str) -> Shape {
    Shape::Text(Text::One(compile(source)))
}

fn literal(json: &str) -> Shape {
    Shape::Literal(json.as_bytes().to_vec())
}

fn key(name: &str, shape: Shape) -> (String, Shape) {
    (name.to_owned(), shape)
}

fn write(body: &str, shape: &Shape) -> String {
    let (data, meter) = (data(body), Meter::default());
    let mut out = b"<".to_vec();
    let result = shape.write(&Frame { data: &data, meter: &meter, locals: &[], turn: 0 }, &mut out);
    match result {
        Ok(true) => String::from_utf8(out[1..].to_vec()).unwrap(),
        Ok(false) => {
            assert_eq!(out, b"<");
            "omitted".to_owned()
        }
        Err(error) => {
            assert_eq!(out, b"<");
            format!("error: {error}")
        }
    }
}

#[test]
fn maps_and_lists_keep_their_order_and_drop_what_is_omitted() {
    let shape = Shape::Map(vec![
        key("z", text("request.body.a")),
        key("gone", text("omit()")),
        key("a\"b", literal("[1, 2]")),
        key("list", Shape::List(vec![text("omit()"), literal("1"), text("request.body.?zz"), text("null")])),
    ]);
    assert_eq!(write(r#"{"a":1.10}"#, &shape), r#"{"z":1.10,"a\"b":[1, 2],"list":[1,null]}"#);
    assert_eq!(write("{}", &text("omit()")), "omitted");
    let failing = Shape::Map(vec![key("x", literal("1")), key("y", text("request.body.nope"))]);
    assert_eq!(write("{}", &failing), "error: `request.body.nope` is absent");
}

#[test]
fn each_gives_its_local_to_condition_and_yield() {
    let inner = Scope { locals: vec!["o".to_owned()], ..scope() };
    let nested = Scope { locals: vec!["o".to_owned(), "p".to_owned()], ..scope() };
    let compile_in = |source: &str, scope: &Scope| Program::compile(source, scope).unwrap();
    let shape = Shape::Each {
        list: compile("request.body.list"),
        condition: Some(compile_in("o.n != 2", &inner)),
        yields: Box::new(Shape::Map(vec![
            key("n", Shape::Text(Text::One(compile_in("o.n", &inner)))),
            key(
                "in",
                Shape::Each {
                    list: compile_in("o.inner", &inner),
                    condition: None,
                    yields: Box::new(Shape::Text(Text::One(compile_in("p > 7 ? omit() : o.n + p", &nested)))),
                },
            ),
        ])),
    };
    let body = r#"{"list":[{"n":1,"inner":[5,8]},{"n":2,"inner":[]},{"n":3,"inner":[6]}]}"#;
    assert_eq!(write(body, &shape), r#"[{"n":1,"in":[6]},{"n":3,"in":[9]}]"#);
    assert_eq!(write(r#"{"list":{}}"#, &shape), "error: `$each` needs a list, not a map");
}

#[test]
fn if_without_else_drops_its_place() {
    let shape = |otherwise| {
        Shape::List(vec![Shape::If {
            condition: compile("request.body.c"),
            then: Box::new(literal("\"yes\"")),
            otherwise,
        }])
    };
    assert_eq!(write(r#"{"c":true}"#, &shape(None)), "[\"yes\"]");
    assert_eq!(write(r#"{"c":false}"#, &shape(None)), "[]");
    assert_eq!(write(r#"{"c":false}"#, &shape(Some(Box::new(literal("0"))))), "[0]");
    assert_eq!(write(r#"{"c":1}"#, &shape(None)), "error: a condition gave a number, not a boolean");
}

#[test]
fn merge_is_shallow_and_the_later_wins_in_the_earlier_place() {
    let shape = Shape::Merge(vec![
        literal(r#"{"a": 1, "b": {"x": 1}}"#),
        text("request.body"),
        Shape::Map(vec![key("b", literal("2")), key("a", text("omit()")), key("d", literal("3"))]),
    ]);
    assert_eq!(write(r#"{"c":1.10,"a":"q"}"#, &shape), r#"{"a":"q","b":2,"c":1.10,"d":3}"#);
    assert_eq!(write("[1]", &shape), "error: `$merge` needs maps, not a list");
    assert_eq!(shape.references().len(), 1);
}

#[test]
fn concatenation_takes_scalars_only() {
    let parts = |source: &str| {
        Shape::Text(Text::Parts(vec![
            Part::Literal("<".into()),
            Part::Program(compile(source)),
            Part::Literal(">".into()),
        ]))
    };
    let body = r#"{"s":"a\"b","n":1.10,"t":true,"z":null,"l":[],"m":{}}"#;
    assert_eq!(write(body, &parts("request.body.s")), r#""<a\"b>""#);
    assert_eq!(write(body, &parts("request.body.n")), r#""<1.10>""#);
    assert_eq!(write(body, &parts("request.body.t")), r#""<true>""#);
    assert_eq!(write(body, &parts("execution.now")), r#""<2023-11-14T22:13:20.5Z>""#);
    assert_eq!(write(body, &parts("request.body.z")), "error: null cannot be part of a text");
    assert_eq!(write(body, &parts("request.body.l")), "error: a list cannot be part of a text");
    assert_eq!(write(body, &parts("request.body.m")), "error: a map cannot be part of a text");
    assert_eq!(write(body, &parts("b'x'")), "error: bytes cannot be part of a text");
    assert_eq!(write(body, &parts("request.body.?zz")), "error: an absent value cannot be part of a text");
}

#[test]
fn times_are_written_as_rfc_3339_and_seconds() {
    let show = |value: Value<'_>| {
        let mut out = Vec::new();
        value.write_json(&mut out, &Meter::default()).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(show(Value::Timestamp(0, 0)), "\"1970-01-01T00:00:00Z\"");
    assert_eq!(show(Value::Timestamp(-62_135_596_800, 0)), "\"0001-01-01T00:00:00Z\"");
    assert_eq!(show(Value::Timestamp(951_782_400, 120_000_000)), "\"2000-02-29T00:00:00.12Z\"");
    assert_eq!(show(Value::Duration(3, 500_000_000)), "\"3.5s\"");
    assert_eq!(show(Value::Duration(0, -500_000_000)), "\"-0.5s\"");
}
