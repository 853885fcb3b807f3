use super::*;

#[test]
fn untouched_numbers_survive_byte_for_byte() {
    let body = r#"{"a":9007199254740993,"b":1.10,"c":1e400,"d":[ 1.0 , {"x" : -0.0}],"e":123456789012345678901234567890}"#;
    assert_eq!(over(body, "request.body"), body);
    assert_eq!(
        over(body, "[request.body.a, request.body.b, request.body.c]"),
        "[9007199254740993,1.10,1e400]"
    );
    assert_eq!(over(body, "{'k': request.body.d}"), r#"{"k":[ 1.0 , {"x" : -0.0}]}"#);
    assert_eq!(over(body, "request.body.d.filter(x, true)"), r#"[1.0,{"x" : -0.0}]"#);
    assert_eq!(over(body, "request.body.d.map(x, x)"), r#"[1.0,{"x" : -0.0}]"#);
    assert_eq!(over(body, "request.body.e"), "123456789012345678901234567890");
    assert_eq!(over(body, "request.body.e == request.body.e"), "true");
    assert_eq!(over(body, "string(request.body.e)"), "\"123456789012345678901234567890\"");
}

#[test]
fn integers_beyond_64_bits_have_no_arithmetic() {
    let body = r#"{"e":18446744073709551616,"u":18446744073709551615}"#;
    assert_eq!(
        over(body, "request.body.e + 1"),
        "error: there is no arithmetic with integers beyond 64 bits"
    );
    assert_eq!(
        over(body, "request.body.e > 1"),
        "error: integers beyond 64 bits can be compared for equality only"
    );
    assert_eq!(over(body, "request.body.e == 1"), "false");
    assert_eq!(over(body, "request.body.u - 1"), "18446744073709551614");
}

#[test]
fn mixed_numbers_are_promoted() {
    assert_eq!(eval("1 + 1.5"), "2.5");
    assert_eq!(eval("2u * 3"), "6");
    assert_eq!(eval("1 == 1.0 && 1u == 1 && 1.0 == 1u"), "true");
    assert_eq!(eval("1 < 1.5 && 2u > 1 && 1.5 < 2"), "true");
    assert_eq!(eval("9007199254740993 == 9007199254740992.0"), "false");
    assert_eq!(eval("9007199254740993 > 9007199254740992.0"), "true");
    assert_eq!(eval("-1 < 18446744073709551615u"), "true");
    assert_eq!(eval("-1.5 < -1 && -1 < -0.5"), "true");
    assert_eq!(eval("7 / 2"), "3");
    assert_eq!(eval("-7 % 3"), "-1");
    assert_eq!(eval("7 / 2.0"), "3.5");
}

#[test]
fn overflow_and_division_by_zero_are_errors() {
    let overflow = "error: the result of an integer operation is beyond 64 bits";
    assert_eq!(eval("9223372036854775807 + 1"), overflow);
    assert_eq!(eval("-9223372036854775808 - 1"), overflow);
    assert_eq!(eval("9223372036854775807 * 2"), overflow);
    assert_eq!(eval("-9223372036854775808 / -1"), overflow);
    assert_eq!(eval("18446744073709551615u + 1u"), overflow);
    assert_eq!(eval("0u - 1u"), overflow);
    assert_eq!(eval("-(-9223372036854775808)"), overflow);
    assert_eq!(eval("1 / 0"), "error: division by zero");
    assert_eq!(eval("1 % 0"), "error: remainder of a division by zero");
    assert_eq!(eval("1.0 / 0.0"), "error: a number is infinite");
    assert_eq!(eval("0.0 / 0.0"), "error: a number is NaN");
    assert_eq!(eval("0.0 / 0.0 == 0.0 / 0.0"), "false");
    assert_eq!(over("1e400", "request.body * 2"), "error: a number is infinite");
}

#[test]
fn whole_doubles_are_written_without_a_fraction() {
    assert_eq!(eval("2.5 * 2.0"), "5");
    assert_eq!(eval("0.1 + 0.2"), "0.30000000000000004");
    assert_eq!(eval("1e15 * 10.0"), "1e16");
    assert_eq!(eval("-0.0"), "-0.0");
}

#[test]
fn conversions_keep_the_value_or_fail() {
    assert_eq!(eval("[int(3.9), int('42'), int(7u), int(-3.9)]"), "[3,42,7,-3]");
    assert_eq!(eval("int(1e19)"), "error: the value is out of the range of `int`");
    assert_eq!(eval("uint(-1)"), "error: the value is out of the range of `uint`");
    assert_eq!(eval("int('9223372036854775808')"), "error: the value is out of the range of `int`");
    assert_eq!(eval("uint('-1')"), "error: the value is out of the range of `uint`");
    for text in ["x", "", "-", "1.5", " 1", "0x1"] {
        assert_eq!(eval(&format!("int('{text}')")), "error: `int` was given a string that is no integer");
        assert_eq!(eval(&format!("uint('{text}')")), "error: `uint` was given a string that is no integer");
    }
    assert_eq!(eval("[uint(5), uint('6'), uint(1.5)]"), "[5,6,1]");
    assert_eq!(eval("[double('1.5'), double(2)]"), "[1.5,2]");
    assert_eq!(
        eval("[string(1), string(1.5), string(true), string('x'), string(b'y')]"),
        r#"["1","1.5","true","x","y"]"#
    );
    assert_eq!(eval("string(b'\\xff')"), "error: `string` was given bytes that are not UTF-8");
    assert_eq!(eval("[bool('true'), bool('F' + 'alse'), bool(true)]"), "[true,false,true]");
    assert_eq!(eval("bool('yes')"), "error: `bool` was given a string that is no boolean");
    assert_eq!(eval("bytes('é') == b'\\xc3\\xa9'"), "true");
    assert_eq!(eval("string(execution.now)"), "\"2023-11-14T22:13:20.5Z\"");
    assert_eq!(eval("int(execution.now)"), "1700000000");
}
