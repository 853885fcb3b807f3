//! Functions beyond what the conformance data and the page of the language ask.

use std::time::Instant;

use super::*;

const BUDGET: &str = "error: the expression does or produces more than it may";

#[test]
fn patterns_mean_what_they_mean_in_re2() {
    let matches = |text: &str, pattern: &str| {
        let quote = |text: &str| serde_json::to_string(text).unwrap();
        let literal = over(&quote(text), &format!("request.body.matches(r'{pattern}')"));
        let computed = over(
            &format!("[{}, {}]", quote(text), quote(pattern)),
            "request.body[0].matches(request.body[1])",
        );
        assert_eq!(literal, computed, "{pattern}");
        literal == "true"
    };
    assert!(matches("abc", "b"));
    assert!(!matches("abc", "^b"));
    assert!(matches("٣", r"\pN") && !matches("٣", r"\d") && matches("3", r"^\d$"));
    assert!(!matches("ü", r"^\w$") && matches("ü", r"^\W$") && matches("a_1", r"^\w+$"));
    assert!(!matches("\u{a0}", r"\s") && matches("a b", r"a\sb") && matches("ab", r"a\Sb*"));
    assert!(matches("a b", r"\bb\b") && !matches("ab", r"\bb") && matches("üb", r"\bb"));
    assert!(matches("[", "[[]") && matches("]", "[]]") && matches("a", "[^]]") && !matches("]", "[^]]"));
    assert!(matches("&", "^[a&&b]$") && matches("-", "^[a--b]$") && matches("~", "^[a~~b]$"));
    assert!(matches("a-1", r"^[\w-]+$") && matches("x", "[[:alpha:]]") && !matches("1", "[[:alpha:]]"));
    assert!(matches("a.b", r"^\Qa.b\E$") && !matches("axb", r"^\Qa.b\E$"));
    assert!(matches("AB", "(?i)^ab$") && matches("a\nb", "(?s)a.b") && !matches("a\nb", "a.b"));
    assert!(matches("", "") && matches("aaa", "^a{2,3}$") && matches("ab", "(?P<x>a)b"));
}

#[test]
fn a_pattern_that_is_not_valid_is_found_at_load_and_fails_when_it_is_computed() {
    let found = faults("'a'.matches('a(')");
    assert!(found.starts_with("invalid_value 12+4: the pattern is not valid: unclosed group"), "{found}");
    assert!(faults("matches('a', r'(a)\\1')").contains("invalid_value 13+8: the pattern is not valid"));
    assert!(faults("'a'.matches('(?=a)')").contains("not valid"));
    assert!(faults(&format!("'a'.matches('{}')", "a".repeat(5000))).contains("longer than 4096"));
    assert!(faults("'a'.matches('(a{1000}){1000}')").contains("repeats or nests too much"));
    let deep = format!("'a'.matches('{}a{}')", "(".repeat(500), ")".repeat(500));
    assert!(faults(&deep).contains("not valid"), "{}", faults(&deep));
    assert!(over("\"a(\"", "'x'.matches(request.body)").contains("error: the pattern is not valid"));
    assert_eq!(faults("1.matches('a')"), "type_mismatch 0+1: `matches` needs a string, not a number");
    assert_eq!(over("1", "request.body.matches('a')"), "error: `matches` needs a string, not a number");
}

#[test]
fn hostile_patterns_end_by_budget_or_answer_soon() {
    let started = Instant::now();
    let long = format!("\"{}\"", "a".repeat(200_000));
    for pattern in
        ["(a*)*b", "(a|aa)+$b", "(a|b)*a(a|b){12}c", "(.*)(.*)(.*)(.*)x", "a{1,1000}b", "(\\\\pL|\\\\pN)*!"]
    {
        let answer = over(&long, &format!("request.body.matches('{pattern}')"));
        assert!(answer == "false" || answer == BUDGET, "{pattern}: {answer}");
    }
    // A state per subset of the last letters: the lazy DFA cannot keep them.
    let mut random = fastrand::Rng::with_seed(3);
    let mixed: String = (0..200_000).map(|_| if random.bool() { 'a' } else { 'b' }).collect();
    let answer = over(&format!("\"{mixed}\""), "request.body.matches('a[ab]{40}c|a[ab]{41}d|b[ab]{42}e')");
    assert!(answer == "false" || answer == BUDGET, "{answer}");
    let many = over("[\"(a|b)*c{1,50}\"]", "lists.range(200).filter(i, 'x'.matches(request.body[0]))");
    assert_eq!(many, BUDGET);
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn decimals_are_exact_to_38_digits() {
    assert_eq!(eval("sum([0.1, 0.2, 0.3])"), "0.6");
    assert_eq!(over("[1e-20, 1]", "sum(request.body)"), "1.00000000000000000001");
    assert_eq!(over("[1e30, 1]", "sum(request.body)"), "1000000000000000000000000000001");
    assert!(over("[1e30, 1e-30]", "sum(request.body)").contains("exact to 38 digits"));
    assert!(over("[1e400, 1]", "sum(request.body)").contains("exact to 38 digits"));
    assert_eq!(over("[1e400]", "sum(request.body)"), "1e400");
    assert_eq!(eval("sum([9223372036854775807, 1])"), "9223372036854775808");
    assert_eq!(eval("sum([18446744073709551615u, 1u])"), "18446744073709551616");
    assert_eq!(eval("sum([1, 2]) + 1"), "4");
    assert_eq!(eval("sum([1.5, 1.5])"), "3");
    assert_eq!(over("[1.10, 2.2]", "sum(request.body)"), "3.3");
    assert_eq!(eval("sum([1.0 / 0.0, 1]) > 1e308"), "true");
    assert_eq!(eval("sum(['a'])"), "error: `sum` needs a list of numbers, and a string is in it");
    assert_eq!(eval("sum([1, omit(), optional.none()])"), "1");
    assert_eq!(
        over("[\"x\"]", "sum(request.body)"),
        "error: `sum` needs a list of numbers, and a string is in it"
    );
    assert_eq!(eval("[round(0.5, 0), round(1.5, 0), round(-0.5, 0), round(-1.5, 0)]"), "[0,2,0,-2]");
    assert_eq!(
        eval("[round(1.005, 2), round(-2.675, 2), round(1e300, 2), round(12, 3)]"),
        "[1,-2.68,1e300,12]"
    );
    assert_eq!(eval("[round(15, -1), round(25, -1), round(4, -1)]"), "[20,20,0]");
    assert_eq!(eval("round(1.5, 39)"), "error: `round` takes -38 to 38 places");
    assert_eq!(over("12345678901234567890.125", "round(request.body, 2)"), "12345678901234567890.12");
    assert_eq!(eval("round(1.0 / 0.0, 2) > 1.0"), "true");
}

#[test]
fn times_are_read_strictly() {
    for wrong in [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00+2:00",
        "0000-12-31T23:59:59Z",
        "9999-12-31T23:59:59-00:01",
        "2026-01-01T00:00:0éZ",
        "",
    ] {
        assert!(eval(&format!("timestamp('{wrong}')")).starts_with("error: `timestamp` needs"), "{wrong}");
    }
    assert_eq!(eval("timestamp('2024-02-29t23:59:59.5z')"), "\"2024-02-29T23:59:59.5Z\"");
    for wrong in ["", "1", "s", "1.5.5s", "1x", "1h-1m", "--1s", "1e3s", ".s", "9223372037s"] {
        assert!(eval(&format!("duration('{wrong}')")).starts_with("error: `duration` needs"), "{wrong}");
    }
    assert_eq!(
        eval("[duration('0'), duration('-1.5h'), duration('1us'), duration('.5s')]"),
        r#"["0s","-5400s","0.000001s","0.5s"]"#
    );
    assert!(eval("duration('9223372036s') + duration('9223372036s')").contains("out of the range of time"));
    assert!(faults("timestamp('2026-01-01T00:00:00Z').getHours('+24:00')").contains("no time zone"));
}

#[test]
fn zones_have_their_history_and_unknown_ones_fail() {
    let hours = |zone: &str| eval(&format!("timestamp('2026-07-01T12:00:00Z').getHours('{zone}')"));
    assert_eq!(
        [hours("UTC"), hours("Europe/Rome"), hours("US/Pacific"), hours("-03:00")],
        ["12", "14", "5", "9"]
    );
    assert_eq!(eval("timestamp('2026-01-01T12:00:00Z').getHours('Europe/Rome')"), "13");
    assert_eq!(eval("timestamp('1900-01-01T12:00:00Z').getMinutes('Europe/Paris')"), "9");
    assert!(eval("timestamp('0001-01-01T00:00:00Z').getHours('Europe/Paris')").parse::<u8>().is_ok());
    assert!(eval("timestamp('9999-12-31T23:59:59Z').getFullYear('Pacific/Auckland')").parse::<u16>().is_ok());
    assert_eq!(
        faults("execution.now.getHours('Mars/Base')"),
        "invalid_value 23+11: there is no time zone `Mars/Base` (write an IANA name (`Europe/Rome`) or an offset (`+02:00`))"
    );
    let computed = over("\"Mars/Base\"", "execution.now.getHours(request.body)");
    assert_eq!(computed, "error: there is no time zone of that name");
    assert_eq!(over("\"Europe/Rome\"", "execution.now.getHours(request.body)"), "23");
}

#[test]
fn what_functions_make_is_charged_before_it_is_made() {
    let started = Instant::now();
    let text = format!("\"{}\"", "x".repeat(8192));
    for source in [
        "lists.range(9000000000000000000)",
        "lists.range(100000).map(i, i)",
        "lists.range(2000).map(i, request.body.upperAscii())",
        "lists.range(2000).map(i, request.body.replace('', request.body))",
        "request.body.replace('x', request.body)",
        "lists.range(2000).map(i, request.body).join(request.body)",
        "lists.range(2000).map(i, base64.encode(request.body)).size() > 0 && false",
        "lists.range(3000).map(i, json.encode([request.body]))",
        "lists.range(1000).map(i, request.body.split(''))",
        "lists.range(99).map(i, request.body + 'x').sort().map(x, lists.range(99).map(i, x + 'y').reverse())",
        "lists.range(300).map(i, '%s %s %s %s'.format([request.body, request.body, request.body, request.body]))",
        "lists.range(40000).sortBy(x, -x)",
        "lists.range(9000).map(x, [x]).distinct()",
        "lists.range(2000).map(i, url.encode(request.body))",
        "lists.range(2000).map(i, sha256(request.body))",
        "lists.range(2000).map(i, strings.quote(request.body).reverse())",
        "cel.bind(a, request.body + request.body, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, [d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d, d + d]))))",
        "lists.range(300).transformMap(i, v, lists.range(300).transformList(j, w, v))",
        "lists.range(30000).transformMapEntry(i, v, {string(v): v})",
        "lists.range(40000).map(i, uuid())",
    ] {
        assert_eq!(over(&text, source), BUDGET, "{source}");
    }
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn maps_of_lists_keep_the_order_of_the_list() {
    let items = r#"[{"k":"b","n":1},{"k":"a","n":2},{"k":"b","n":3},{"k":7,"n":4},{"k":true,"n":5}]"#;
    assert_eq!(over(items, "keyBy(request.body, 'k').b.n"), "3");
    assert_eq!(over(items, "keyBy(request.body, 'k').map(k, k)"), r#"["b","a","7","true"]"#);
    assert_eq!(
        over(items, "groupBy(request.body, 'k').transformMap(k, v, v.map(e, e.n))"),
        r#"{"b":[1,3],"a":[2],"7":[4],"true":[5]}"#
    );
    assert_eq!(
        over("[{\"n\":1}]", "keyBy(request.body, 'k')"),
        "error: `keyBy` needs the field `k` in every element"
    );
    assert_eq!(
        over("[{\"k\":[]}]", "groupBy(request.body, 'k')"),
        "error: `groupBy` cannot make a list a key"
    );
    assert_eq!(over("[1]", "keyBy(request.body, 'k')"), "error: `keyBy` needs a list of maps, not a number");
    assert_eq!(over("null", "keyBy(request.body, 'k')"), "error: `keyBy` needs a list, not null");
}

#[test]
fn buckets_are_stable_and_even() {
    assert_eq!(
        eval("[bucket('a', 's', 100), bucket('b', 's', 100), bucket('a', 't', 100), bucket(1, 's', 100)]"),
        "[93,78,70,17]"
    );
    let counts = eval("lists.range(1000).map(i, bucket(i, 'x', 4)).filter(b, b == 0).size()");
    let count: u32 = counts.parse().unwrap();
    assert!((200..300).contains(&count), "{count}");
    assert_eq!(eval("bucket('a', 's', 0)"), "error: `bucket` needs at least 1 bucket");
}

#[test]
fn addresses_are_compared_as_what_they_are() {
    assert_eq!(eval("inCidr('10.0.0.1', '10.0.0.0/8')"), "true");
    assert_eq!(
        eval("inCidr('2001:db8::1', ['2001:db8::/32']) && !inCidr('2001:db9::1', ['2001:db8::/32'])"),
        "true"
    );
    assert_eq!(eval("inCidr('10.0.0.1', ['::/0'])"), "false");
    assert_eq!(eval("inCidr('::ffff:10.0.0.1', ['10.0.0.1'])"), "true");
    assert_eq!(
        eval("inCidr('nope', ['10.0.0.0/8'])"),
        "error: `inCidr` was given a string that is no IP address"
    );
    assert!(eval("inCidr('10.0.0.1', ['10.0.0.0/33'])").contains("no CIDR"));
    assert!(eval("inCidr('10.0.0.1', ['10.0.0.0/+8'])").contains("no CIDR"));
    assert_eq!(eval("inCidr('10.0.0.1', [])"), "false");
    assert_eq!(
        eval("cidr('0.0.0.0/0').containsIP('255.255.255.255') && cidr('::/0').containsIP('::1')"),
        "true"
    );
    assert_eq!(
        eval("[cidr('10.1.2.3/0').masked(), cidr('2001:db8::1/64').masked()]"),
        r#"["0.0.0.0/0","2001:db8::/64"]"#
    );
}

#[test]
fn json_survives_being_encoded_and_decoded() {
    let body = r#"{"a":[1,2.50,1e400,18446744073709551616,"é\"",null,true],"b":{"c":{}}}"#;
    assert_eq!(
        over(body, "json.encode(request.body) == json.encode(json.decode(json.encode(request.body)))"),
        "true"
    );
    assert_eq!(over(body, "json.decode(json.encode(request.body)).a[2]"), "1e400");
    assert_eq!(eval("json.decode('[1, 2]')[1] + 1"), "3");
    assert_eq!(eval("json.decode('1.5') * 2.0"), "3");
    assert!(eval("json.decode('{\"a\":1,\"a\":2}')").contains("what is not JSON"));
    assert!(eval(&format!("json.decode('{}')", "[".repeat(1000))).contains("what is not JSON"));
    assert_eq!(eval("json.encode(b'x')"), "error: bytes cannot be written as JSON");
}

#[test]
fn variables_of_nested_macros_do_not_disturb_each_other() {
    assert_eq!(
        eval("[1, 2].transformList(i, v, [10, 20].transformList(j, w, i * 100 + j * 10 + v + w))"),
        "[[11,31],[112,132]]"
    );
    assert_eq!(eval("cel.bind(x, 1, [2, 3].map(y, cel.bind(x, x + y, x * 10)).map(z, z + x))"), "[31,41]");
    assert_eq!(eval("optional.of(1).optMap(x, optional.of(2).optMap(y, x + y).value()).value()"), "3");
    assert_eq!(eval("[3, 1].sortBy(x, [x, 9].map(y, y * x)[0]).map(x, x)"), "[1,3]");
    assert_eq!(eval("[[2, 1], [3]].map(l, l.sortBy(v, v).map(v, v + l.size()))"), "[[3,4],[4]]");
    assert_eq!(
        faults("[1].all(x, x, true)"),
        "expression_syntax 11+1: the variables of `all` need different names"
    );
    assert!(faults("cel.bind(1, 2, 3)").contains("write `cel.bind(x, value, …)`"));
    assert!(faults("[1].transformMap(k, v)").contains("takes 3 or 4 arguments, not 2"));
    assert!(faults("'a'.optMap(x, x)").contains("`optMap` needs an optional, not a string"));
    assert!(faults("[1].transformMapEntry(k, v, 1)").contains("gives a map"));
}

#[test]
fn a_leading_dot_skips_the_variables_of_macros() {
    let scope = Scope { locals: vec!["o".to_owned()], ..scope() };
    let program = Program::compile("[1].map(o, o + .o)[0]", &scope).unwrap();
    let (data, meter) = (data("null"), Meter::default());
    let locals = [Value::Int(5)];
    let mut out = Vec::new();
    program.write(&Frame { data: &data, meter: &meter, locals: &locals, turn: 0 }, &mut out).unwrap();
    assert_eq!(out, b"6");
    assert_eq!(over("7", "[1].map(request, .request.body + request)"), "[8]");
}

#[test]
fn a_sort_takes_values_of_one_kind_and_keeps_the_order_of_equals() {
    assert_eq!(eval("[2, 1.5, 3u].sort()"), "[1.5,2,3]");
    assert_eq!(eval("['b', 'a', 'B'].sort()"), r#"["B","a","b"]"#);
    assert_eq!(
        eval("[{'k': 1, 'n': 1}, {'k': 0, 'n': 2}, {'k': 1, 'n': 3}].sortBy(x, x.k).map(x, x.n)"),
        "[2,1,3]"
    );
    assert_eq!(eval("[1, 'a'].sort()"), "error: `sort` cannot order a number and a string");
    assert_eq!(eval("[[1], [2]].sort()"), "error: `sort` cannot order a list and a list");
    assert_eq!(eval("[0.0 / 0.0, 1.0].sort().map(x, x == x)"), "[false,true]");
    assert_eq!(eval("[].sort()"), "[]");
}
