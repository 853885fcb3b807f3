//! The compact form and the header.

use super::{
    super::Algorithm,
    Case,
    make::{self, base64url, claims, es256, header},
};

const ES256: Algorithm = Algorithm::Es256;

fn head(head: &str) -> String {
    make::P256.token(ES256, head, &claims())
}

/// Signs any two texts as if they were header and claims.
fn raw(header: &str, claims: &str) -> String {
    let signed = format!("{header}.{claims}");
    let signature = make::P256.sign(ES256, signed.as_bytes());
    format!("{signed}.{}", base64url(signature))
}

pub(super) fn cases() -> Vec<Case> {
    let good = es256(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (h, c, s) = (parts[0], parts[1], parts[2]);
    let mut cases = vec![
        Case::good("as it should be", good.clone()),
        Case::bad("nothing", String::new()),
        Case::bad("dots", "..".to_owned()),
        Case::bad("one part", h.to_owned()),
        Case::bad("two parts", format!("{h}.{c}")),
        Case::bad("four parts", format!("{good}.")),
        Case::bad("five parts, as of JWE", format!("{good}.{h}.{c}")),
        Case::bad("a dot in front", format!(".{good}")),
        Case::bad("no header", raw("", c)),
        Case::bad("no claims", raw(h, "")),
        Case::bad("detached claims", format!("{h}..{s}")),
        Case::bad("a space in front", format!(" {good}")),
        Case::bad("a space behind", format!("{good} ")),
        Case::bad("a line feed behind", format!("{good}\n")),
        Case::bad("NUL behind", format!("{good}\0")),
        Case::bad("padding behind", format!("{good}==")),
        Case::bad("padded header", raw(&format!("{}=", base64url(r#"{"alg":"ES256","kid":"1" }"#)), c)),
        Case::bad("padded claims", raw(h, &format!("{c}="))),
        Case::bad("a line feed within", raw(h, &format!("{}\n{}", &c[..8], &c[8..]))),
        Case::bad("two tokens", format!("{good},{good}")),
        Case::bad("scheme twice", format!("Bearer {good}")),
        Case::bad("not text", format!("{h}.{c}.é")),
        Case::bad(
            "JSON serialization",
            format!(r#"{{"protected":"{h}","payload":"{c}","signature":"{s}"}}"#),
        ),
        Case::bad("claims that are a list", es256("[1]")),
        Case::bad("claims that are text", es256("\"a\"")),
        Case::bad("claims that are null", es256("null")),
        Case::bad("claims that are no JSON", es256("{")),
        Case::bad("claims with a byte order mark", es256(&format!("\u{feff}{}", claims()))),
        Case::bad("claims with text behind", es256(&format!("{} x", claims()))),
        Case::bad("a token in a token", make::P256.token(ES256, &header(ES256), &good)),
        Case::bad("header that is a list", head(r#"["ES256"]"#)),
        Case::bad("header that is no JSON", head("alg: ES256")),
        Case::bad("header with a comment", head(r#"{"alg":"ES256","kid":"1"/**/}"#)),
    ];
    // The same bytes in another alphabet, or with bits that mean nothing.
    let classic = r#"{"alg":"ES256","kid":"1","x":"???>>>"}"#;
    let (safe, unsafe_) = {
        use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
        (base64url(classic), STANDARD_NO_PAD.encode(classic))
    };
    assert_ne!(safe, unsafe_);
    cases.push(Case::good("base64url", raw(&safe, c)));
    cases.push(Case::bad("base64", raw(&unsafe_, c)));
    let loose = {
        let mut text = base64url(r#"{"alg":"ES256","kid":"1" }"#);
        let last = text.pop().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.find(last).unwrap();
        text.push(alphabet[at + 1..].chars().next().unwrap());
        text
    };
    cases.push(Case::bad("bits left over in the header", raw(&loose, c)));
    let last = s.chars().last().unwrap();
    for other in ["A", "Q", "g", "w"].into_iter().filter(|other| !other.starts_with(last)) {
        cases.push(Case::bad(
            format!("the signature ends with `{other}`"),
            format!("{h}.{c}.{}{other}", &s[..s.len() - 1]),
        ));
    }
    for other in ["B", "h", "x", "_"] {
        cases.push(Case::bad(
            format!("bits left over in the signature, `{other}`"),
            format!("{h}.{c}.{}{other}", &s[..s.len() - 1]),
        ));
    }
    cases.extend(headers());
    let fill = |bytes: usize| {
        let empty = es256(&make::claims_with(r#","fill":"""#)).len();
        es256(&make::claims_with(&format!(r#","fill":"{}""#, "a".repeat((bytes - empty) * 3 / 4))))
    };
    let (fits, too_long) = (fill(8190), fill(8200));
    assert!(fits.len() <= 8192 && too_long.len() > 8192, "{} {}", fits.len(), too_long.len());
    cases.push(Case::good("8 KiB", fits));
    cases.push(Case::bad("more than 8 KiB", too_long));
    let deep = format!(r#","a":{}{}"#, "[".repeat(200), "]".repeat(200));
    cases.push(Case::bad("200 lists in each other", es256(&make::claims_with(&deep))));
    cases
}

fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, more) in [
        ("crit of nothing", r#""crit":[]"#),
        ("crit of something", r#""crit":["exp"],"exp":1"#),
        ("crit that is understood elsewhere", r#""crit":["b64"],"b64":true"#),
        ("crit that is null", r#""crit":null"#),
        ("crit that is text", r#""crit":"exp""#),
        ("crit in escapes", r#""\u0063rit":["x"]"#),
        ("b64 false", r#""b64":false"#),
        ("b64 false with crit", r#""b64":false,"crit":["b64"]"#),
        ("b64 that is text", r#""b64":"false""#),
        ("b64 that is null", r#""b64":null"#),
        ("b64 that is 0", r#""b64":0"#),
        ("alg twice", r#""alg":"ES256""#),
        ("alg twice, none", r#""alg":"none""#),
        ("alg twice in escapes", r#""\u0061lg":"none""#),
        ("kid twice", r#""kid":"1""#),
        ("kid twice in escapes", r#""ki\u0064":"1""#),
        ("a member twice", r#""x":1,"x":1"#),
        ("a member twice within", r#""x":{"y":1,"y":1}"#),
        ("a member twice in escapes within", r#""x":{"y":1,"\u0079":1}"#),
    ] {
        cases.push(Case::bad(what, head(&format!(r#"{{"alg":"ES256","kid":"1",{more}}}"#))));
    }
    for (what, more) in [
        ("typ of access tokens", r#""typ":"at+jwt""#),
        ("typ with its tree", r#""typ":"application/at+jwt""#),
        ("no typ that is known", r#""typ":"x""#),
        ("b64 true", r#""b64":true"#),
        ("a member that nobody knows", r#""x":[1,{"y":null}]"#),
        ("jku", r#""jku":"https://evil.example.com/keys""#),
        ("x5u", r#""x5u":"https://evil.example.com/certificate""#),
        ("x5c", r#""x5c":["MIIB"]"#),
        ("x5t", r#""x5t":"AAAA""#),
    ] {
        let token = head(&format!(r#"{{"alg":"ES256","kid":"1",{more}}}"#));
        cases.push(Case::good(format!("{what} is ignored"), token));
    }
    for (what, kid) in [
        ("another kid", r#""2""#),
        ("kid of another case", r#""1 ""#),
        ("kid that is empty", r#""""#),
        ("kid that is a number", "1"),
        ("kid that is null", "null"),
        ("kid that is a list", r#"["1"]"#),
        ("kid that is a path", r#""../1""#),
        ("kid that is a file", r#""/dev/null""#),
        ("kid that is SQL", r#""1' OR '1'='1""#),
        ("kid with NUL", r#""1\u0000""#),
        ("kid with a line feed", r#""1\n""#),
    ] {
        cases.push(Case::bad(what, head(&format!(r#"{{"alg":"ES256","kid":{kid}}}"#))));
    }
    cases.push(Case::good("kid in escapes", head(r#"{"alg":"ES256","kid":"\u0031"}"#)));
    // The attacker brings the key along, by every member that can.
    let own = &make::OTHER_P256;
    for member in [
        format!(r#""jwk":{{{}}}"#, own.jwk()),
        format!(r#""jwk":{{"kid":"1",{}}}"#, own.jwk()),
        r#""jku":"https://evil.example.com/keys""#.to_owned(),
        r#""x5u":"https://evil.example.com/x""#.to_owned(),
        format!(r#""x5c":["{}"]"#, base64url(own.spki())),
    ] {
        for kid in [r#","kid":"1""#, ""] {
            let head = format!(r#"{{"alg":"ES256"{kid},{member}}}"#);
            let what = format!("a key brought along{kid}: {}", &member[..6]);
            cases.push(Case::bad(what, own.token(ES256, &head, &claims())));
        }
    }
    cases
}
