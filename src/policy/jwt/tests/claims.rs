//! Claims: who it is for, and when.

use super::{
    super::{Algorithm, Verdict},
    Case, at, issuer,
    make::{self, NOW, es256},
};

/// Claims whose `exp`, or what stands in its place, is given.
fn with(members: &str) -> String {
    es256(&format!(r#"{{"iss":"https://id.example.com","aud":"orders",{members}}}"#))
}

pub(super) fn cases() -> Vec<Case> {
    let now = NOW as f64;
    let mut cases = Vec::new();
    // The clocks may differ by 30 s: at the end, "on or after" it is over (RFC 7519 §4.1.4).
    let expires = with(&format!(r#""exp":{NOW}"#));
    for (offset, good) in
        [(-1.0, true), (0.0, true), (29.0, true), (29.9, true), (30.0, false), (31.0, false)]
    {
        let case = Case { good, ..Case::bad(format!("{offset} s after exp"), expires.clone()) };
        cases.push(case.at(now + offset));
    }
    let begins = with(&format!(r#""exp":{},"nbf":{NOW}"#, NOW + 600));
    for (offset, good) in
        [(-31.0, false), (-30.5, false), (-30.0, true), (-1.0, true), (0.0, true), (60.0, true)]
    {
        let case = Case { good, ..Case::bad(format!("{offset} s after nbf"), begins.clone()) };
        cases.push(case.at(now + offset));
    }
    let strict = |case: Case| {
        let issuer = super::Issuer { clock_skew: std::time::Duration::ZERO, ..issuer(true) };
        Case { issuer, ..case }
    };
    cases.push(strict(Case::good("a second before exp, no skew", expires.clone()).at(now - 1.0)));
    cases.push(strict(Case::bad("at exp, no skew", expires).at(now)));
    cases.push(strict(Case::good("at nbf, no skew", begins.clone()).at(now)));
    cases.push(strict(Case::bad("a second before nbf, no skew", begins).at(now - 1.0)));
    cases.push(Case::bad("a clock in 1970", with(&format!(r#""exp":{NOW},"nbf":{NOW}"#))).at(0.0));
    for exp in [
        format!("{}.5", NOW + 60),
        format!("{}e0", NOW + 60),
        "9007199254740991".to_owned(),
        "1.9e9".to_owned(),
        "9.1e9".to_owned(),
    ] {
        cases.push(Case::good(format!("exp {exp}"), with(&format!(r#""exp":{exp}"#))));
    }
    for exp in [
        "0",
        "-1",
        "-9007199254740991",
        "1.5",
        "1e400",
        "-1e400",
        "1e16",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "\"1800000060\"",
        "\"9999999999\"",
        "\"\"",
        "null",
        "true",
        "[9999999999]",
        "{}",
        "{\"a\":9999999999}",
    ] {
        cases.push(Case::bad(format!("exp {exp}"), with(&format!(r#""exp":{exp}"#))));
    }
    cases.push(Case::bad("no exp", with(r#""sub":"a""#)));
    cases.push(Case::bad("EXP", with(r#""EXP":9999999999"#)));
    cases.push(Case::bad("exp twice", with(r#""exp":1,"exp":9999999999"#)));
    cases.push(Case::bad("exp twice in escapes", with(r#""\u0065xp":9999999999,"exp":9999999999"#)));
    cases.push(Case::good("exp in escapes", with(r#""\u0065xp":9999999999"#)));
    for nbf in ["\"0\"", "\"1\"", "null", "false", "[0]", "{}", "1e400", "99999999999", "9007199254740993"] {
        let token = with(&format!(r#""exp":9999999999,"nbf":{nbf}"#));
        cases.push(Case::bad(format!("nbf {nbf}"), token));
    }
    for nbf in ["0", "-1", "1.5", "1e9"] {
        cases.push(Case::good(format!("nbf {nbf}"), with(&format!(r#""exp":9999999999,"nbf":{nbf}"#))));
    }
    for (iat, good) in [("0", true), ("9999999999", true), ("1.5", true), ("\"0\"", false), ("null", false)] {
        let token = with(&format!(r#""exp":9999999999,"iat":{iat}"#));
        cases.push(Case { good, ..Case::bad(format!("iat {iat}"), token) });
    }
    cases.extend(audiences());
    cases.extend(issuers());
    cases.extend(subjects());
    cases
}

fn audiences() -> Vec<Case> {
    let mut cases = Vec::new();
    let with = |aud: &str| es256(&format!(r#"{{"iss":"https://id.example.com",{aud}"exp":9999999999}}"#));
    for aud in [
        r#""orders""#,
        r#""cart""#,
        r#"["orders"]"#,
        r#"["x","cart"]"#,
        r#"["x","y","orders","orders"]"#,
        r#""\u006frders""#,
    ] {
        cases.push(Case::good(format!("aud {aud}"), with(&format!(r#""aud":{aud},"#))));
    }
    for aud in [
        r#""order""#,
        r#""orders2""#,
        r#""Orders""#,
        r#"" orders""#,
        r#""orders cart""#,
        r#""orders,cart""#,
        r#""""#,
        r#""*""#,
        "[]",
        r#"[["orders"]]"#,
        r#"["orders",1]"#,
        r#"["orders",null]"#,
        r#"{"orders":true}"#,
        r#"{"0":"orders"}"#,
        "null",
        "true",
        "1",
    ] {
        cases.push(Case::bad(format!("aud {aud}"), with(&format!(r#""aud":{aud},"#))));
    }
    cases.push(Case::bad("no aud", with("")));
    cases.push(Case::bad("aud twice", with(r#""aud":"orders","aud":"orders","#)));
    cases.push(Case::bad("azp is no aud", with(r#""azp":"orders","#)));
    cases
}

fn issuers() -> Vec<Case> {
    let mut cases = Vec::new();
    let with = |iss: &str| es256(&format!(r#"{{{iss}"aud":"orders","exp":9999999999}}"#));
    cases.push(Case::good("iss in escapes", with(r#""iss":"https:\/\/id.example.com","#)));
    for iss in [
        r#""https://id.example.com/""#,
        r#""https://ID.example.com""#,
        r#""http://id.example.com""#,
        r#""https://id.example.com.evil.com""#,
        r#""https://id.example.com:443""#,
        r#""https://id.example.co""#,
        r#""""#,
        "null",
        "1",
        r#"["https://id.example.com"]"#,
        r#"{"https://id.example.com":1}"#,
    ] {
        cases.push(Case::bad(format!("iss {iss}"), with(&format!(r#""iss":{iss},"#))));
    }
    cases.push(Case::bad("no iss", with("")));
    let twice = r#""iss":"https://evil.example.com","iss":"https://id.example.com","#;
    cases.push(Case::bad("iss twice", with(twice)));
    cases
}

fn subjects() -> Vec<Case> {
    let mut cases = vec![
        Case::good("no sub", with(r#""exp":9999999999"#)),
        Case::good("an empty sub", with(r#""exp":9999999999,"sub":"""#)),
        Case::bad("a member twice", with(r#""exp":9999999999,"a":1,"a":1"#)),
        Case::bad("a member twice within", with(r#""exp":9999999999,"a":{"b":1,"b":1}"#)),
        Case::bad("a member twice in escapes", with(r#""exp":9999999999,"sub":"ann","su\u0062":"root""#)),
    ];
    for sub in ["1", "null", "[\"ann\"]", "{}", "true"] {
        cases.push(Case::bad(format!("sub {sub}"), with(&format!(r#""exp":9999999999,"sub":{sub}"#))));
    }
    let wants = |name: &str, case: Case| {
        let issuer = super::Issuer { required_claims: vec![name.to_owned()], ..issuer(true) };
        Case { issuer, ..case }
    };
    let has = |value: &str| with(&format!(r#""exp":9999999999,"tenant":{value}"#));
    cases.push(wants("tenant", Case::good("a claim that is wanted", has("\"t\""))));
    cases.push(wants("tenant", Case::good("a claim that is wanted and false", has("false"))));
    cases.push(wants("tenant", Case::bad("a claim that is wanted and null", has("null"))));
    cases.push(wants("Tenant", Case::bad("a claim of another case", has("\"t\""))));
    cases.push(wants("tenant", Case::bad("a claim that is missing", es256(&make::claims()))));
    cases
}

fn scopes(claims: &str, claim: Option<&str>) -> Vec<String> {
    let issuer = super::Issuer { scopes_claim: claim.map(str::to_owned), ..issuer(true) };
    let case = Case { issuer, ..Case::good("", with(&format!(r#""exp":9999999999,{claims}"#))) };
    match case.verdict() {
        Verdict::Principal(principal) => principal.scopes.iter().map(ToString::to_string).collect(),
        other => panic!("{claims}: {other:?}"),
    }
}

#[test]
fn scopes_are_read_from_a_text_or_a_list() {
    assert_eq!(scopes(r#""scope":"a b  orders:read""#, None), ["a", "b", "orders:read"]);
    assert_eq!(scopes(r#""scp":["a","b c"]"#, None), ["a", "b c"]);
    assert_eq!(scopes(r#""scope":"a","scp":["b"]"#, None), ["a"]);
    assert_eq!(scopes(r#""scope":"a","roles":["b"]"#, Some("roles")), ["b"]);
    assert!(scopes(r#""scope":"a""#, Some("roles")).is_empty());
    for nothing in ["1", "null", "{\"a\":1}", "\"\"", "[]", "[1]", "true"] {
        assert!(scopes(&format!(r#""scope":{nothing}"#), None).is_empty(), "{nothing}");
    }
}

#[test]
fn a_principal_has_the_claims_as_they_were_signed() {
    let token = with(r#""exp":9999999999,"sub":"a\u006en","n":1.10,"big":9007199254740993"#);
    let Verdict::Principal(principal) = Case::good("", token).verdict() else { panic!("refused") };
    assert_eq!(principal.id.as_deref(), Some("ann"));
    let claims = principal.claims.as_ref().unwrap().root();
    assert_eq!(claims.get("n").unwrap().text(), "1.10");
    assert_eq!(claims.get("big").unwrap().text(), "9007199254740993");
    let _ = (at(0.0), Algorithm::Es256);
}
