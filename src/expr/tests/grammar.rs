use super::*;

#[test]
fn operators_bind_as_in_cel() {
    assert_eq!(eval("1 + 2 * 3"), "7");
    assert_eq!(eval("(1 + 2) * 3"), "9");
    assert_eq!(eval("10 - 3 - 2"), "5");
    assert_eq!(eval("100 / 10 / 2 % 4"), "1");
    assert_eq!(eval("-2 * -3"), "6");
    assert_eq!(eval("--3"), "3");
    assert_eq!(eval("!!true"), "true");
    assert_eq!(eval("1 + 1 == 2 && 3 > 2 || false"), "true");
    assert_eq!(eval("false && true || true"), "true");
    assert_eq!(eval("true || false && false"), "true");
    assert_eq!(eval("1 in [1, 2] == true"), "true");
    assert_eq!(eval("true ? (false ? 1 : 2) : 3"), "2");
    assert_eq!(eval("false ? 1 : false ? 2 : 3"), "3");
    assert_eq!(eval("[1,2,3,][1]"), "2");
    assert_eq!(eval("{'a': {'b': [1, 2]},}.a.b[1]"), "2");
    assert_eq!(eval("2 - -2"), "4");
    assert_eq!(eval("2-1"), "1");
}

#[test]
fn literals_take_every_form() {
    assert_eq!(eval("0x1F"), "31");
    assert_eq!(eval("-0xff"), "-255");
    assert_eq!(eval("18446744073709551615u"), "18446744073709551615");
    assert_eq!(eval("0xFFu"), "255");
    assert_eq!(eval("-9223372036854775808"), "-9223372036854775808");
    assert_eq!(eval("[1.5, .5, 1e3, 2.5E-3, 1e21]"), "[1.5,0.5,1000,0.0025,1e21]");
    assert_eq!(eval(r#"'it\'s' + "\"q\"""#), r#""it's\"q\"""#);
    assert_eq!(eval(r"r'\d+'"), r#""\\d+""#);
    assert_eq!(eval("\"\"\"a\n\"b\" 'c'\"\"\""), r#""a\n\"b\" 'c'""#);
    assert_eq!(eval("'''x'y'''"), "\"x'y\"");
    assert_eq!(eval(r"'\x41\u00e9\U0001F600\101\n'"), "\"Aé😀A\\n\"");
    assert_eq!(eval(r"b'\xff\101' == b'\377A'"), "true");
    assert_eq!(eval("size(b'é')"), "2");
    assert_eq!(eval("rb'\\x' == b'\\\\x'"), "true");
    assert_eq!(eval("[true, false, null]"), "[true,false,null]");
    assert_eq!(eval("1 // a comment\n + 1"), "2");
    assert_eq!(over(r#"{"x-y": 1, "if": 2}"#, "[request.body.`x-y`, request.body.if]"), "[1,2]");
}

#[test]
fn says_where_an_expression_breaks() {
    assert_eq!(faults("1 +"), "expression_syntax 3+1: the expression ends where a value was expected");
    assert_eq!(faults("1 2"), "expression_syntax 2+1: a number stands where an operator was expected");
    assert_eq!(faults("a = 1"), "expression_syntax 2+1: `=` is no operator (compare with `==`)");
    assert_eq!(faults("true & false"), "expression_syntax 5+1: `&` means nothing here (write `&&`)");
    assert_eq!(faults("'abc"), "expression_syntax 0+1: a string is not closed");
    assert_eq!(
        faults("'a\\q'"),
        "expression_syntax 2+1: there is no such escape; write `\\\\` for a backslash"
    );
    assert_eq!(faults("  "), "expression_syntax 0+2: the expression is empty");
    assert_eq!(faults("é"), "expression_syntax 0+2: `é` means nothing here");
    assert_eq!(faults("1abc"), "expression_syntax 0+1: a number ends in letters");
    assert!(faults("9223372036854775808").contains("beyond int64"));
    assert!(faults("99999999999999999999").contains("beyond 64 bits"));
    assert!(faults("Foo{a: 1}").contains("messages cannot be built"));
    assert!(faults("request.in").contains("a field name"));
    for word in ["as", "for", "if", "let", "package", "while"] {
        assert_eq!(faults(word), format!("expression_syntax 0+{}: `{word}` is a reserved word", word.len()));
    }
}

#[test]
fn refuses_a_duplicate_key_of_a_map_literal() {
    assert_eq!(faults("{'a': 1, 'b': 2, 'a': 3}"), "duplicate_key 17+3: the key `a` stands twice");
    assert_eq!(eval("{'a': 1, 'a' + '': 3}"), "error: a key stands twice in a map literal");
}

#[test]
fn splits_scalars() {
    let literal = |text: &str| Piece::Literal(text.to_owned());
    let expression = |offset, source: &str| Piece::Expression { offset, source: source.to_owned() };
    assert_eq!(split("plain").unwrap(), [literal("plain")]);
    assert_eq!(split("").unwrap(), []);
    assert_eq!(split("  ${ a }\n").unwrap(), [expression(4, " a ")]);
    assert_eq!(split("a${b}c").unwrap(), [literal("a"), expression(3, "b"), literal("c")]);
    assert_eq!(split("${a} ${b}").unwrap(), [expression(2, "a"), literal(" "), expression(7, "b")]);
    assert_eq!(split("$${a} $5 $").unwrap(), [literal("${a} $5 $")]);
    assert_eq!(split("$$${a}").unwrap(), [literal("$${a}")]);
    assert_eq!(split(r#"${ {"k": "}"} }"#).unwrap(), [expression(2, r#" {"k": "}"} "#)]);
    assert_eq!(split(r"${ r'\' + 'a}' }").unwrap(), [expression(2, r" r'\' + 'a}' ")]);
    assert_eq!(split("${ '''}''' }").unwrap(), [expression(2, " '''}''' ")]);
    assert_eq!(split("${ 'é}' }é").unwrap(), [expression(2, " 'é}' "), literal("é")]);
    assert_eq!(split("${ a // }\n }").unwrap(), [expression(2, " a // }\n ")]);
    assert_eq!(split("x ${ a").unwrap_err(), SplitError { offset: 2 });
    assert_eq!(split(r#"x ${ "a"#).unwrap_err(), SplitError { offset: 2 });
    assert_eq!(split("${ a }} ${").unwrap_err(), SplitError { offset: 8 });
}
