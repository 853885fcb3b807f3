//! Every algorithm: what it signs is good, and nothing else is.

use super::{
    super::Algorithm,
    Case,
    make::{self, Signer, base64url, claims, header},
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for algorithm in Algorithm::ALL.iter().copied() {
        let (key, name) = (Signer::of(algorithm), algorithm.as_str());
        let good = key.token(algorithm, &header(algorithm), &claims());
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let bytes = key.sign(algorithm, signed.as_bytes());
        let with = |signature: &[u8]| format!("{signed}.{}", base64url(signature));
        let bad = |what: &str, token: String| Case::bad(format!("{name}, {what}"), token).keys(key.set());
        cases.push(Case::good(name, good.clone()).keys(key.set()));
        cases.push(Case::good(format!("{name}, named by the key"), good.clone()).keys(format!(
            r#"{{"keys":[{{"kid":"1","use":"sig","key_ops":["verify"],"alg":"{name}",{}}}]}}"#,
            key.jwk()
        )));
        cases.push(
            Case::good(format!("{name}, the only one taken"), good.clone())
                .keys(key.set())
                .algorithms(&[name]),
        );
        let others: Vec<_> =
            Algorithm::ALL.iter().map(|one| one.as_str()).filter(|one| *one != name).collect();
        cases.push(bad("not taken", good.clone()).algorithms(&others));
        cases.push(bad("no signature", format!("{signed}.")));
        cases.push(bad("a byte of the signature is another", {
            let mut bytes = bytes.clone();
            bytes[7] ^= 1;
            with(&bytes)
        }));
        cases.push(bad("the signature is cut", with(&bytes[..bytes.len() - 1])));
        cases.push(bad("a byte behind the signature", with(&[&*bytes, &[0][..]].concat())));
        cases.push(bad("a signature of zeros", with(&vec![0; bytes.len()])));
        cases.push(bad("other claims", {
            let (head, _) = signed.split_once('.').unwrap();
            format!("{head}.{}.{signature}", base64url(make::claims_with(r#","admin":true"#)))
        }));
        cases.push(bad("another header", {
            let (_, claims) = signed.split_once('.').unwrap();
            let head = format!(r#"{{"kid":"1","alg":"{name}"}}"#);
            format!("{}.{claims}.{signature}", base64url(head))
        }));
        // The header says what the key did not sign with.
        for other in Algorithm::ALL.iter().copied().filter(|other| *other != algorithm) {
            let same_family = name[..2] == other.as_str()[..2] || (name[2..] == other.as_str()[2..]);
            if same_family {
                let token = key.token(algorithm, &header(other), &claims());
                cases.push(bad(&format!("called {}", other.as_str()), token));
            }
        }
    }
    cases.extend(foreign());
    cases.extend(confused());
    cases.extend(ecdsa());
    cases
}

/// Signed well, by somebody else.
fn foreign() -> Vec<Case> {
    let rsa = make::OTHER_RSA.token(Algorithm::Rs256, &header(Algorithm::Rs256), &claims());
    let pss = make::OTHER_RSA.token(Algorithm::Ps256, &header(Algorithm::Ps256), &claims());
    let ec = make::OTHER_P256.token(Algorithm::Es256, &header(Algorithm::Es256), &claims());
    let secret = Signer::Secret(vec![7; 64]).token(Algorithm::Hs256, &header(Algorithm::Hs256), &claims());
    vec![
        Case::bad("another RSA key", rsa).keys(make::RSA.set()),
        Case::bad("another RSA key, PSS", pss).keys(make::RSA.set()),
        Case::bad("another EC key", ec),
        Case::bad("another secret", secret).keys(make::SECRET.set()),
    ]
}

/// Public keys taken for secrets, and algorithms that are none.
fn confused() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, key) in [("RSA", &make::RSA), ("EC", &make::P256), ("Ed25519", &make::ED)] {
        let spki = key.spki();
        let pem = {
            use base64::{Engine, engine::general_purpose::STANDARD};
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki))
        };
        let jwk = format!("{{{}}}", key.jwk());
        for (form, secret) in
            [("DER", spki.clone()), ("PEM", pem.into_bytes()), ("JWK", jwk.into_bytes()), ("nothing", vec![])]
        {
            for algorithm in [Algorithm::Hs256, Algorithm::Hs512] {
                let token = Signer::Secret(secret.clone()).token(algorithm, &header(algorithm), &claims());
                let what = format!("{name} key as {form} is the secret of {}", algorithm.as_str());
                cases.push(Case::bad(what.clone(), token.clone()).keys(key.set()));
                cases.push(Case::bad(format!("{what}, fetched"), token).keys(key.set()).fetched());
            }
        }
    }
    for none in ["none", "None", "NONE", "nOnE", "", "none\\u0000", "HS0", "es256", "ES256 ", "RS1", "HS1"] {
        let head = format!(r#"{{"alg":"{none}","kid":"1"}}"#);
        let unsigned = format!("{}.{}.", base64url(&head), base64url(claims()));
        cases.push(Case::bad(format!("alg `{none}` without a signature"), unsigned));
        let signed = make::P256.token(Algorithm::Es256, &head, &claims());
        cases.push(Case::bad(format!("alg `{none}` with a signature"), signed));
    }
    for alg in ["null", "true", "[\"ES256\"]", "{}", "256"] {
        let head = format!(r#"{{"alg":{alg},"kid":"1"}}"#);
        cases.push(Case::bad(format!("alg {alg}"), make::P256.token(Algorithm::Es256, &head, &claims())));
    }
    let head = r#"{"kid":"1","typ":"JWT"}"#;
    cases.push(Case::bad("no alg", make::P256.token(Algorithm::Es256, head, &claims())));
    cases
}

/// Signatures of r and s that a careless verifier takes (CVE-2022-21449 and its kin).
fn ecdsa() -> Vec<Case> {
    let order = |text: &str| {
        let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect::<Vec<u8>>()
    };
    let n = order("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let zero = vec![0; 32];
    let one = [&[0; 31][..], &[1]].concat();
    let signed = format!("{}.{}", base64url(header(Algorithm::Es256)), base64url(claims()));
    let mut cases = Vec::new();
    for (what, r, s) in [
        ("r = s = 0", &zero, &zero),
        ("r = 0", &zero, &one),
        ("s = 0", &one, &zero),
        ("r = s = 1", &one, &one),
        ("r = s = n", &n, &n),
        ("r = n, s = 0", &n, &zero),
        ("r = 1, s = n", &one, &n),
    ] {
        let signature = [&**r, s].concat();
        cases.push(Case::bad(what, format!("{signed}.{}", base64url(signature))));
    }
    // r plus the order would fit into no 32 bytes for most keys; the ASN.1 form is another's.
    let Signer::Ec(..) = &*make::P256 else { unreachable!() };
    let raw = make::P256.sign(Algorithm::Es256, signed.as_bytes());
    let integer = |bytes: &[u8]| {
        let body = [&[0][..], bytes].concat();
        [&[2, body.len() as u8][..], &body].concat()
    };
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let der = [&[0x30, body.len() as u8][..], &body].concat();
    cases.push(Case::bad("a signature in ASN.1", format!("{signed}.{}", base64url(der))));
    let swapped = [&raw[32..], &raw[..32]].concat();
    cases.push(Case::bad("r and s swapped", format!("{signed}.{}", base64url(swapped))));
    let padded = [&zero[..1], &raw[..32], &zero[..1], &raw[32..]].concat();
    cases.push(Case::bad("zeros before r and s", format!("{signed}.{}", base64url(padded))));
    cases
}
