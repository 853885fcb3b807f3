use std::time::Instant;

use proptest::prelude::*;

use super::*;

#[test]
fn nested_loops_end_by_budget() {
    let list = format!("[{}]", (0..100).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    let started = Instant::now();
    let budget = "error: the expression does or produces more than it may";
    assert_eq!(
        over(&list, "request.body.map(a, request.body.map(b, request.body.map(c, request.body.map(d, 1))))"),
        budget
    );
    assert_eq!(
        over(
            &list,
            "request.body.all(a, request.body.all(b, request.body.all(c, request.body.all(d, true))))"
        ),
        budget
    );
    assert_eq!(
        over(&list, "request.body.exists(a, request.body.exists(b, request.body.exists(c, false)))"),
        budget
    );
    assert!(started.elapsed().as_secs() < 2);
}

#[test]
fn the_deepest_nesting_that_is_allowed_fits_the_stack_of_a_thread() {
    let deep =
        |open: &str, inner: &str, close: &str| format!("{}{inner}{}", open.repeat(30), close.repeat(30));
    let run = move || {
        assert_eq!(eval(&deep("[1].map(x, x + ", "1", ")[0]")), "31");
        assert_eq!(eval(&deep("[1].filter(x, ", "true", ").size() == 1")), "true");
        assert_eq!(eval(&deep("{'a': ", "1", "}.a")), "1");
        assert_eq!(eval(&format!("{}1", "-".repeat(120))), "1");
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn produced_bytes_end_by_budget() {
    let body = format!("\"{}\"", "x".repeat(8192));
    let budget = "error: the expression does or produces more than it may";
    let numbers = (0..64).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let source = format!("[{numbers}].map(a, [{numbers}].map(b, request.body + request.body))");
    assert_eq!(over(&body, &source), budget);
    assert_eq!(over(&body, &format!("[{numbers}].map(a, [{numbers}].map(b, request.body))")), budget);
}

#[test]
fn an_execution_has_ten_times_the_fuel_of_an_expression() {
    let list = format!("[{}]", vec!["0"; 300].join(","));
    let (program, data, meter) = (
        compile("request.body.map(a, request.body.exists(b, b == 1)).size()"),
        data(&list),
        Meter::default(),
    );
    let frame = Frame { data: &data, meter: &meter, locals: &[], turn: 0 };
    let spent = (0..100).take_while(|_| !matches!(program.eval(&frame), Err(EvalError::Budget))).count();
    assert_eq!(spent, 0);
    let program = compile("request.body.map(a, a + 1).size()");
    let fresh = Meter::default();
    let frame = Frame { data: &data, meter: &fresh, locals: &[], turn: 0 };
    let times = (0..10_000).take_while(|_| program.eval(&frame).is_ok()).count();
    assert!((100..2_000).contains(&times), "{times}");
}

#[test]
fn lookups_in_large_maps_cost_fuel() {
    let members: Vec<String> = (0..20_000).map(|i| format!("\"k{i}\":{i}")).collect();
    let body = format!("{{{}}}", members.join(","));
    let started = Instant::now();
    assert!(over(&body, "request.body.map(k, request.body[k])").contains("more than it may"));
    assert_eq!(over(&body, "request.body == request.body"), "true");
    assert!(started.elapsed().as_secs() < 2);
}

#[test]
fn long_and_deep_sources_are_refused_without_overflowing_the_stack() {
    let too_large = |source: &str| {
        let found = faults(source);
        assert!(found.starts_with("expression_too_large"), "{found}");
    };
    too_large(&format!("1{}", "+1".repeat(20_000)));
    too_large(&format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000)));
    too_large(&format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000)));
    too_large(&format!("{}true", "!".repeat(20_000)));
    too_large(&format!("request.body{}", ".a".repeat(20_000)));
    too_large(&format!("request.body{}", "[0]".repeat(20_000)));
    too_large(&format!("'a'{}", ".size()".repeat(5_000)));
    too_large(&format!("{}1", "true ? 1 : ".repeat(5_000)));
    too_large(&" ".repeat(70_000));
    assert_eq!(eval(&format!("1{}", "+1".repeat(99))), "100");
    assert_eq!(eval(&format!("true{}", " && true".repeat(5_000))), "true");
    assert_eq!(eval(&format!("{}1{}", "(".repeat(30), ")".repeat(30))), "1");
}

fn fragments() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "request.body",
        "steps.a.body",
        "steps.b.?body",
        "x",
        "vars.v",
        "1",
        "2.5",
        "3u",
        "'a'",
        "b'x'",
        "null",
        "true",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        ".",
        ".?",
        "[?",
        "?",
        ":",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        "in",
        "&&",
        "||",
        "!",
        ".map(x,",
        ".filter(x,",
        ".all(x,",
        "has(",
        "size(",
        "omit()",
        ".orValue(",
        "'\\",
        "\"\"\"",
        "$",
        "é",
        "optional.of(",
        "string(",
        "int(",
        ".size()",
        "[0]",
        ".k",
        "merge(",
    ]);
    prop::collection::vec(words, 0..14).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_text_is_judged_without_a_panic(text in any::<String>()) {
        let _ = Program::compile(&text, &scope());
        let _ = split(&text);
    }

    #[test]
    fn anything_like_an_expression_ends_in_a_value_or_a_message(source in fragments()) {
        let _ = split(&source);
        match Program::compile(&source, &scope()) {
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    prop_assert!(fault.len > 0 && fault.offset <= source.len(), "{source}: {fault:?}");
                }
            }
            Ok(program) => {
                let (data, meter) = (data(r#"{"k":[1,{"k":"v"}],"n":1.5}"#), Meter::default());
                let frame = Frame { data: &data, meter: &meter, locals: &[], turn: 0 };
                let mut streamed = Vec::new();
                let by_stream = program.write(&frame, &mut streamed);
                let mut made = Vec::new();
                let by_value = program.leaf(&frame).and_then(|leaf| leaf.map_or(Ok(false), |value| value.write_json(&mut made, &meter).map(|()| true)));
                match (by_stream, by_value) {
                    (Ok(a), Ok(b)) => {
                        prop_assert_eq!(a, b);
                        prop_assert_eq!(&streamed, &made);
                        if a {
                            prop_assert!(serde_json::from_slice::<serde_json::Value>(&streamed).is_ok(), "{source}");
                        }
                    }
                    (Err(_), Err(_)) => prop_assert!(streamed.is_empty()),
                    (a, b) => prop_assert!(false, "{source}: {a:?} {b:?}"),
                }
            }
        }
    }
}
