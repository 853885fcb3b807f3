//! JWK Sets (RFC 7517): which of their keys can be used, and which of those is a token's.
//!
//! A key that cannot be used is skipped with a reason, so that one bad key does not lock out an issuer. It is
//! never used "a bit": every rule that it breaks takes it out of every algorithm.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::{
    algorithm::{Algorithm, Curve, Material, Verifier},
    roca,
};
use crate::{
    diagnostic::{Code, Diagnostic, Place},
    json::{Document, Kind, Ref},
};

/// Keys of a set are told apart by a walk, so there are not many.
const MOST_KEYS: usize = 256;

/// RFC 7518 §3.3.
const LEAST_RSA_BITS: usize = 2048;
/// What the library verifies, and a bound of what one token may cost.
const MOST_RSA_BITS: usize = 8192;

/// The usable keys of a JWK Set.
pub struct KeySet {
    /// Tells it from every other one, so that what was verified by a key that is gone is not good any more.
    pub(super) id: u64,
    keys: Vec<Key>,
    /// Why others are not: index and reason.
    pub skipped: Vec<(usize, &'static str)>,
}

/// A usable key.
struct Key {
    kid: Option<Box<str>>,
    /// One per algorithm that it fits.
    verifiers: Vec<(Algorithm, Verifier)>,
}

static SETS: AtomicU64 = AtomicU64::new(1);

/// What a set has for a token.
pub(super) enum Found<'a> {
    /// The one key that it can be.
    Key(&'a Verifier),
    /// No key has its `kid`, or fits its algorithm where it has none.
    Unknown,
    /// Its `kid` is that of a key for other algorithms.
    OtherAlgorithm,
    /// It has no `kid`, and more than one key fits.
    Ambiguous,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a set. Symmetric keys count only where `secrets` are allowed: in a file of one's own.
    pub fn parse(bytes: Bytes, secrets: bool) -> Result<Self, &'static str> {
        let document = Document::parse(bytes).map_err(|error| error.reason)?;
        let root = document.root();
        let keys = root.get("keys").filter(|keys| keys.kind() == Kind::List);
        let keys = keys.ok_or("it has no list `keys`")?;
        if keys.len() > MOST_KEYS {
            return Err("it has more than 256 keys");
        }
        let mut seen: HashMap<String, usize> = HashMap::new();
        for kid in keys.items().filter_map(|key| Some(key.get("kid")?.as_str()?.into_owned())) {
            *seen.entry(kid).or_default() += 1;
        }
        let has_public = keys.items().any(|key| {
            key.get("kty").and_then(Ref::as_str).is_some_and(|kty| matches!(&*kty, "RSA" | "EC" | "OKP"))
        });
        let mut set = Self::empty();
        for (index, jwk) in keys.items().enumerate() {
            let twice = |kid: &str| seen.get(kid).is_some_and(|count| *count > 1);
            match Key::read(jwk, secrets, has_public, twice) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.skipped.push((index, why)),
            }
        }
        Ok(set)
    }

    /// Reads a set of one's own, from a file that a template names. Without a usable key it is a finding.
    #[expect(clippy::result_large_err, reason = "a finding of load time travels two calls up")]
    pub fn of_file(path: &str, bytes: Bytes, place: &Place) -> Result<Self, Diagnostic> {
        let wrong = |why: String| {
            Diagnostic::new(Code::InvalidKeys, place.clone(), format!("`jwks.file: {path}`: {why}"))
        };
        let set = Self::parse(bytes, true).map_err(|why| wrong(format!("it is no JWK Set: {why}")))?;
        if !set.is_empty() {
            return Ok(set);
        }
        let reasons = set.skipped.iter().take(4).map(|(index, why)| format!("key {}: {why}", index + 1));
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        let help = if reasons.is_empty() { "add a key to `keys`".to_owned() } else { reasons };
        Err(wrong("it has no usable key".to_owned()).help(help))
    }

    /// A set by which no token is good.
    #[must_use]
    pub fn empty() -> Self {
        Self { id: SETS.fetch_add(1, Relaxed), keys: Vec::new(), skipped: Vec::new() }
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        if let Some(kid) = kid {
            let key = self.keys.iter().find(|key| key.kid.as_deref() == Some(kid));
            return match key.map(|key| key.verifier(algorithm)) {
                Some(Some(verifier)) => Found::Key(verifier),
                Some(None) => Found::OtherAlgorithm,
                None => Found::Unknown,
            };
        }
        let mut fitting = self.keys.iter().filter_map(|key| key.verifier(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(verifier), None) => Found::Key(verifier),
            (Some(_), Some(_)) => Found::Ambiguous,
            (None, _) => Found::Unknown,
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some keys are secrets.
        f.debug_struct("KeySet").field("keys", &self.keys.len()).field("skipped", &self.skipped).finish()
    }
}

// === impl Key ===

impl Key {
    fn read(
        jwk: Ref<'_>,
        secrets: bool,
        has_public: bool,
        twice: impl Fn(&str) -> bool,
    ) -> Result<Self, &'static str> {
        let kty = text(jwk, "kty")?.ok_or("it has no `kty`")?;
        let kid = text(jwk, "kid")?;
        if kid.as_deref().is_some_and(twice) {
            return Err("its `kid` is that of another key too");
        }
        // RFC 7517 §4.2, §4.3
        if text(jwk, "use")?.is_some_and(|intended| intended != "sig") {
            return Err("its `use` is not `sig`");
        }
        if let Some(operations) = jwk.get("key_ops") {
            let mut names = operations.items().map(Ref::as_str);
            if !names.any(|name| name.is_some_and(|name| name == "verify")) {
                return Err("`verify` is not among its `key_ops`");
            }
        }
        let alg = match text(jwk, "alg")? {
            Some(alg) => Some(Algorithm::parse(&alg).ok_or("its `alg` is none that verifies tokens")?),
            None => None,
        };
        let verifiers = match &*kty {
            "RSA" => {
                let (n, e) = (integer(jwk, "n")?, integer(jwk, "e")?);
                check_rsa(&n, &e)?;
                verifiers(alg, &Material::Rsa(&n, &e))
            }
            "EC" => {
                let (curve, size) = match text(jwk, "crv")?.as_deref() {
                    Some("P-256") => (Curve::P256, 32),
                    Some("P-384") => (Curve::P384, 48),
                    Some("P-521") => (Curve::P521, 66),
                    _ => return Err("its `crv` is none of P-256, P-384 and P-521"),
                };
                let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
                if x.len() != size || y.len() != size {
                    return Err("its coordinates are not as long as its curve's");
                }
                verifiers(alg, &Material::Ec(curve, &[&[4], &*x, &*y].concat()))
            }
            "OKP" => {
                if text(jwk, "crv")?.as_deref() != Some("Ed25519") {
                    return Err("its `crv` is not Ed25519");
                }
                let x = bytes(jwk, "x")?;
                if x.len() != 32 {
                    return Err("it is not as long as an Ed25519 key");
                }
                verifiers(alg, &Material::Ed25519(&x))
            }
            "oct" if !secrets => return Err("a secret can only come from a file"),
            "oct" if has_public => return Err("it is a secret beside public keys"),
            "oct" => verifiers(alg, &Material::Secret(&bytes(jwk, "k")?)),
            _ => return Err("its `kty` is none of RSA, EC, OKP and oct"),
        };
        if verifiers.is_empty() {
            return Err(match (&*kty, alg) {
                ("oct", _) => "it is shorter than the hash of its algorithm",
                (_, Some(_)) => "its `alg` is not one for it, or it is no valid key",
                (_, None) => "it is no valid key",
            });
        }
        Ok(Self { kid: kid.map(String::into_boxed_str), verifiers })
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        self.verifiers.iter().find(|(own, _)| *own == algorithm).map(|(_, verifier)| verifier)
    }
}

/// A verifier for the key's `alg`, or else for each that it fits.
fn verifiers(alg: Option<Algorithm>, material: &Material<'_>) -> Vec<(Algorithm, Verifier)> {
    let all = Algorithm::ALL.iter().copied().filter(|one| alg.is_none_or(|alg| alg == *one));
    all.filter_map(|algorithm| Some((algorithm, Verifier::new(algorithm, material)?))).collect()
}

/// RFC 7518 §3.3 asks for 2048 bits. An exponent of 1 signs nothing, an even one or an even modulus is no RSA.
fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), &'static str> {
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if bits < LEAST_RSA_BITS {
        return Err("it has fewer than 2048 bits");
    }
    if bits > MOST_RSA_BITS {
        return Err("it has more than 8192 bits");
    }
    if e.len() > 4 || matches!(e, [] | [0..3]) {
        return Err("its exponent is below 3 or above 32 bits");
    }
    if n.last().is_none_or(|last| last % 2 == 0) || e.last().is_none_or(|last| last % 2 == 0) {
        return Err("its modulus or its exponent is even");
    }
    if roca::is_marked(n) {
        return Err("anybody can factor it (CVE-2017-15361)");
    }
    Ok(())
}

/// A member that is text, if it is there.
fn text(jwk: Ref<'_>, name: &str) -> Result<Option<String>, &'static str> {
    match jwk.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(|text| Some(text.into_owned())).ok_or("a member that is not text"),
    }
}

fn bytes(jwk: Ref<'_>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = text(jwk, name)?.ok_or("a member is missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a member is not base64url")
}

/// Big-endian without the zeros that some write in front (RFC 7518 §2 forbids them).
fn integer(jwk: Ref<'_>, name: &str) -> Result<Vec<u8>, &'static str> {
    let mut value = bytes(jwk, name)?;
    let zeros = value.iter().take_while(|byte| **byte == 0).count();
    value.drain(..zeros);
    Ok(value)
}
