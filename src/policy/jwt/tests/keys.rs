//! Keys that may not be used, and choosing among those that may.

use super::{
    super::Algorithm,
    Case,
    make::{self, Signer, base64url, claims, header},
};

fn set(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A key with members before its own.
fn key(members: &str, signer: &Signer) -> String {
    format!("{{{members}{}}}", signer.jwk())
}

fn token(algorithm: Algorithm) -> String {
    Signer::of(algorithm).token(algorithm, &header(algorithm), &claims())
}

fn nameless(algorithm: Algorithm) -> String {
    let head = format!(r#"{{"alg":"{}"}}"#, algorithm.as_str());
    Signer::of(algorithm).token(algorithm, &head, &claims())
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = intended();
    cases.extend(malformed());
    cases.extend(secrets());
    cases.extend(rsa());
    cases.extend(chosen());
    cases
}

fn intended() -> Vec<Case> {
    let mut cases = Vec::new();
    for (members, good) in [
        (r#""use":"sig","#, true),
        (r#""use":"enc","#, false),
        (r#""use":"SIG","#, false),
        (r#""use":"","#, false),
        (r#""use":null,"#, false),
        (r#""use":["sig"],"#, false),
        (r#""key_ops":["verify"],"#, true),
        (r#""key_ops":["sign","verify"],"#, true),
        (r#""key_ops":["sign"],"#, false),
        (r#""key_ops":["encrypt","decrypt"],"#, false),
        (r#""key_ops":["Verify"],"#, false),
        (r#""key_ops":[],"#, false),
        (r#""key_ops":null,"#, false),
        (r#""key_ops":"verify","#, false),
        (r#""use":"enc","key_ops":["verify"],"#, false),
        (r#""alg":"ES256","#, true),
        (r#""alg":"ES384","#, false),
        (r#""alg":"RS256","#, false),
        (r#""alg":"HS256","#, false),
        (r#""alg":"EdDSA","#, false),
        (r#""alg":"ECDH-ES","#, false),
        (r#""alg":"none","#, false),
        (r#""alg":"es256","#, false),
        (r#""alg":null,"#, false),
        (r#""x5c":["MIIB"],"x5t":"AAAA","#, true),
        (r#""exp":1,"nbf":9999999999,"#, true),
    ] {
        let keys = set(&[key(&format!(r#""kid":"1",{members}"#), &make::P256)]);
        let case = Case { good, ..Case::bad(format!("a key with {members}"), token(Algorithm::Es256)) };
        cases.push(case.keys(keys));
    }
    for (alg, used, good) in [
        ("RS256", Algorithm::Rs256, true),
        ("RS256", Algorithm::Ps256, false),
        ("RS256", Algorithm::Rs512, false),
        ("PS256", Algorithm::Rs256, false),
        ("PS256", Algorithm::Ps256, true),
        ("RSA-OAEP", Algorithm::Rs256, false),
        ("ES256", Algorithm::Rs256, false),
    ] {
        let keys = set(&[key(&format!(r#""kid":"1","alg":"{alg}","#), &make::RSA)]);
        let what = format!("an RSA key for {alg} with {}", used.as_str());
        cases.push(Case { good, ..Case::bad(what, token(used)) }.keys(keys));
    }
    cases
}

fn malformed() -> Vec<Case> {
    let mut cases = Vec::new();
    let es256 = || token(Algorithm::Es256);
    let Signer::Ec(pair, ..) = &*make::P256 else { unreachable!() };
    let point = aws_lc_rs::signature::KeyPair::public_key(pair).as_ref();
    let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
    let mut off = point[33..].to_vec();
    off[31] ^= 1;
    let off = base64url(off);
    let short = base64url(&point[1..32]);
    let long = base64url([&[0][..], &point[1..33]].concat());
    for (what, jwk) in [
        ("no kty", format!(r#"{{"kid":"1","crv":"P-256","x":"{x}","y":"{y}"}}"#)),
        ("kty of another case", format!(r#"{{"kid":"1","kty":"ec","crv":"P-256","x":"{x}","y":"{y}"}}"#)),
        ("kty RSA", format!(r#"{{"kid":"1","kty":"RSA","crv":"P-256","x":"{x}","y":"{y}"}}"#)),
        ("kty OKP", format!(r#"{{"kid":"1","kty":"OKP","crv":"P-256","x":"{x}","y":"{y}"}}"#)),
        ("no crv", format!(r#"{{"kid":"1","kty":"EC","x":"{x}","y":"{y}"}}"#)),
        ("crv P-384", format!(r#"{{"kid":"1","kty":"EC","crv":"P-384","x":"{x}","y":"{y}"}}"#)),
        ("crv secp256k1", format!(r#"{{"kid":"1","kty":"EC","crv":"secp256k1","x":"{x}","y":"{y}"}}"#)),
        ("crv Ed25519", format!(r#"{{"kid":"1","kty":"EC","crv":"Ed25519","x":"{x}","y":"{y}"}}"#)),
        ("no y", format!(r#"{{"kid":"1","kty":"EC","crv":"P-256","x":"{x}"}}"#)),
        (
            "a point that is not on the curve",
            format!(r#"{{"kid":"1","kty":"EC","crv":"P-256","x":"{x}","y":"{off}"}}"#),
        ),
        ("x and y swapped", format!(r#"{{"kid":"1","kty":"EC","crv":"P-256","x":"{y}","y":"{x}"}}"#)),
        ("x that is too short", format!(r#"{{"kid":"1","kty":"EC","crv":"P-256","x":"{short}","y":"{y}"}}"#)),
        ("x that is too long", format!(r#"{{"kid":"1","kty":"EC","crv":"P-256","x":"{long}","y":"{y}"}}"#)),
        ("x with padding", format!(r#"{{"kid":"1","kty":"EC","crv":"P-256","x":"{x}=","y":"{y}"}}"#)),
        ("x that is a number", format!(r#"{{"kid":"1","kty":"EC","crv":"P-256","x":1,"y":"{y}"}}"#)),
        ("kid that is a number", format!(r#"{{"kid":1,"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)),
        (
            "a member twice",
            format!(r#"{{"kid":"1","kid":"1","kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#),
        ),
        ("a key that is text", "\"1\"".to_owned()),
        ("a key that is null", "null".to_owned()),
        ("zeros for a point", {
            let zero = base64url([0; 32]);
            format!(r#"{{"kid":"1","kty":"EC","crv":"P-256","x":"{zero}","y":"{zero}"}}"#)
        }),
    ] {
        cases.push(Case::bad(what, es256()).keys(set(&[jwk])));
    }
    for (what, keys) in [
        ("a set that is empty", r#"{"keys":[]}"#.to_owned()),
        ("a set without keys", "{}".to_owned()),
        ("a set that is a list", format!("[{}]", key(r#""kid":"1","#, &make::P256))),
        ("a key that is no set", key(r#""kid":"1","#, &make::P256)),
        ("keys that are a map", format!(r#"{{"keys":{{"1":{}}}}}"#, key("", &make::P256))),
        ("keys twice", format!(r#"{{"keys":[],"keys":[{}]}}"#, key(r#""kid":"1","#, &make::P256))),
        ("no JSON", "<html>".to_owned()),
        ("257 keys", set(&vec![key("", &make::P256); 257])),
    ] {
        cases.push(Case::bad(what, es256()).keys(keys));
    }
    let Signer::Ed(pair) = &*make::ED else { unreachable!() };
    let x = aws_lc_rs::signature::KeyPair::public_key(pair).as_ref();
    for (what, crv, x) in [
        ("X25519", "X25519", base64url(x)),
        ("Ed448", "Ed448", base64url(x)),
        ("an Ed25519 key that is too short", "Ed25519", base64url(&x[1..])),
        ("an Ed25519 key that is too long", "Ed25519", base64url([x, &[0]].concat())),
    ] {
        let jwk = format!(r#"{{"kid":"1","kty":"OKP","crv":"{crv}","x":"{x}"}}"#);
        cases.push(Case::bad(what, token(Algorithm::EdDsa)).keys(set(&[jwk])));
    }
    cases
}

fn secrets() -> Vec<Case> {
    let mut cases = Vec::new();
    for (algorithm, bytes, good) in [
        (Algorithm::Hs256, 0, false),
        (Algorithm::Hs256, 1, false),
        (Algorithm::Hs256, 31, false),
        (Algorithm::Hs256, 32, true),
        (Algorithm::Hs256, 300, true),
        (Algorithm::Hs384, 47, false),
        (Algorithm::Hs384, 48, true),
        (Algorithm::Hs512, 63, false),
        (Algorithm::Hs512, 64, true),
    ] {
        let signer = Signer::Secret(vec![5; bytes]);
        let token = signer.token(algorithm, &header(algorithm), &claims());
        let what = format!("a secret of {bytes} bytes for {}", algorithm.as_str());
        cases.push(Case { good, ..Case::bad(what.clone(), token.clone()) }.keys(signer.set()));
        cases.push(Case::bad(format!("{what}, fetched"), token).keys(signer.set()).fetched());
    }
    let hs256 = || token(Algorithm::Hs256);
    for (what, keys) in [
        (
            "a secret beside an EC key",
            set(&[key(r#""kid":"1","#, &make::SECRET), key(r#""kid":"2","#, &make::P256)]),
        ),
        (
            "a secret beside an RSA key",
            set(&[key(r#""kid":"2","#, &make::RSA), key(r#""kid":"1","#, &make::SECRET)]),
        ),
        (
            "a secret beside a public key that cannot be used",
            set(&[key(r#""kid":"1","#, &make::SECRET), key(r#""kid":"2","use":"enc","#, &make::ED)]),
        ),
        ("a secret for encryption", set(&[key(r#""kid":"1","use":"enc","#, &make::SECRET)])),
        ("a secret for signing only", set(&[key(r#""kid":"1","key_ops":["sign"],"#, &make::SECRET)])),
        ("a secret for another algorithm", set(&[key(r#""kid":"1","alg":"HS512","#, &make::SECRET)])),
        ("a secret that is not base64url", r#"{"keys":[{"kid":"1","kty":"oct","k":"***"}]}"#.to_owned()),
        ("a secret without `k`", r#"{"keys":[{"kid":"1","kty":"oct"}]}"#.to_owned()),
    ] {
        cases.push(Case::bad(what, hs256()).keys(keys));
    }
    // The public key beside it stays.
    let both = set(&[key(r#""kid":"2","#, &make::SECRET), key(r#""kid":"1","#, &make::P256)]);
    cases.push(Case::good("an EC key beside a secret", token(Algorithm::Es256)).keys(both));
    let two = set(&[key(r#""kid":"1","#, &make::SECRET), key(r#""kid":"2","#, &Signer::Secret(vec![9; 64]))]);
    cases.push(Case::good("one of two secrets", hs256()).keys(two));
    cases
}

/// RSA of 1024 bits and the token that it signed, by OpenSSL.
const SMALL: (&str, &str) = (include_str!("small_rsa.json"), include_str!("small_rsa.jwt"));

fn rsa() -> Vec<Case> {
    let mut cases = Vec::new();
    let rs256 = || token(Algorithm::Rs256);
    cases.push(Case::bad("RSA of 1024 bits", SMALL.1.trim().to_owned()).keys(SMALL.0));
    let Signer::Rsa(pair) = &*make::RSA else { unreachable!() };
    let n = make::modulus(pair);
    let jwk = |n: &[u8], e: &[u8]| {
        set(&[format!(r#"{{"kid":"1","kty":"RSA","n":"{}","e":"{}"}}"#, base64url(n), base64url(e))])
    };
    cases
        .push(Case::good("zeros before n and e", rs256()).keys(jwk(&[&[0, 0], &*n].concat(), &[0, 1, 0, 1])));
    for (what, n, e) in [
        ("an exponent of 0", n.clone(), vec![0]),
        ("an exponent of 1", n.clone(), vec![1]),
        ("an exponent of 2", n.clone(), vec![2]),
        ("an even exponent", n.clone(), vec![1, 0, 2]),
        ("no exponent", n.clone(), vec![]),
        ("an exponent of 40 bits", n.clone(), vec![1, 0, 0, 0, 1]),
        (
            "an even modulus",
            {
                let mut n = n.clone();
                *n.last_mut().unwrap() ^= 1;
                n
            },
            vec![1, 0, 1],
        ),
        (
            "a modulus of 2047 bits",
            {
                let mut n = n.clone();
                n[0] = 0x7f;
                n
            },
            vec![1, 0, 1],
        ),
        ("no modulus", vec![], vec![1, 0, 1]),
        ("a modulus of 16384 bits", vec![0xff; 2048], vec![1, 0, 1]),
    ] {
        cases.push(Case::bad(what, rs256()).keys(jwk(&n, &e)));
    }
    // With an exponent of 1 the padded hash is its own signature.
    let signed = format!("{}.{}", base64url(header(Algorithm::Rs256)), base64url(claims()));
    let info = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
        0x04, 0x20,
    ];
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, signed.as_bytes());
    let filler = vec![0xff; n.len() - 3 - info.len() - 32];
    let padded = [&[0, 1][..], &filler, &[0], &info, hash.as_ref()].concat();
    let forged = format!("{signed}.{}", base64url(padded));
    cases.push(Case::bad("a forgery for an exponent of 1", forged.clone()).keys(jwk(&n, &[1])));
    cases.push(Case::bad("the same for the real key", forged).keys(make::RSA.set()));
    cases
}

fn chosen() -> Vec<Case> {
    let (first, second) = (key(r#""kid":"1","#, &make::P256), key(r#""kid":"2","#, &make::OTHER_P256));
    let (one, other) = (key("", &make::P256), key("", &make::OTHER_P256));
    let es256 = || token(Algorithm::Es256);
    let unnamed = || nameless(Algorithm::Es256);
    let same = |kid: &str, signer: &Signer| key(&format!(r#""kid":"{kid}","#), signer);
    let mut cases = Vec::new();
    for (what, token, keys, good) in [
        ("one of two by its kid", es256(), vec![second.clone(), first.clone()], true),
        (
            "its kid is the other's",
            es256(),
            vec![same("1", &make::OTHER_P256), same("2", &make::P256)],
            false,
        ),
        ("its key has no kid", es256(), vec![one.clone()], false),
        ("no kid, one key", unnamed(), vec![one.clone()], true),
        ("no kid, one key with one", unnamed(), vec![first.clone()], true),
        ("no kid, two keys", unnamed(), vec![first.clone(), second], false),
        ("no kid, two keys without", unnamed(), vec![one.clone(), other], false),
        (
            "no kid, one key fits",
            unnamed(),
            vec![first.clone(), key("", &make::RSA), key("", &make::P384)],
            true,
        ),
        (
            "no kid, the other cannot be used",
            unnamed(),
            vec![first.clone(), key(r#""use":"enc","#, &make::OTHER_P256)],
            true,
        ),
        ("no kid, none fits", unnamed(), vec![key("", &make::RSA)], false),
        ("a kid twice", es256(), vec![first.clone(), same("1", &make::OTHER_P256)], false),
        ("a kid twice, the other way", es256(), vec![same("1", &make::OTHER_P256), first.clone()], false),
        ("a kid twice, the same key", es256(), vec![first.clone(), first.clone()], false),
        ("a kid twice, another kind", es256(), vec![first.clone(), same("1", &make::RSA)], false),
        (
            "a kid twice, one for encryption",
            es256(),
            vec![first.clone(), key(r#""kid":"1","use":"enc","#, &make::RSA)],
            false,
        ),
        (
            "a kid twice in escapes",
            es256(),
            vec![first.clone(), key(r#""kid":"\u0031","#, &make::RSA)],
            false,
        ),
        (
            "another kid twice",
            es256(),
            vec![first.clone(), same("2", &make::RSA), same("2", &make::ED)],
            true,
        ),
        (
            "no kid, kids twice leave one",
            unnamed(),
            vec![one, same("2", &make::OTHER_P256), same("2", &make::OTHER_P256)],
            true,
        ),
        ("a bad key beside", es256(), vec![first, r#"{"kty":"RSA"}"#.to_owned(), "1".to_owned()], true),
    ] {
        cases.push(Case { good, ..Case::bad(what, token) }.keys(set(&keys)));
        let fetched =
            Case { good, ..Case::bad(format!("{what}, fetched"), cases.last().unwrap().token.clone()) };
        cases.push(fetched.keys(set(&keys)).fetched());
    }
    cases
}

#[test]
fn a_key_that_anybody_can_factor_is_none_and_others_are() {
    use aws_lc_rs::rsa::{KeyPair, KeySize};

    use super::super::{KeySet, roca};

    let usable = |n: &[u8]| {
        let keys = set(&[format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, base64url(n))]);
        let set = KeySet::parse(keys.into(), false).unwrap();
        (set.len(), set.skipped.first().map(|(_, why)| *why))
    };
    assert_eq!(usable(&roca::tests::marked()), (0, Some("anybody can factor it (CVE-2017-15361)")));
    for _ in 0..6 {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        assert_eq!(usable(&make::modulus(&key)), (1, None));
    }
}
