//! Keys and tokens, made on the spot.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::super::Algorithm;

/// A key that signs.
pub(crate) enum Signer {
    Rsa(RsaKeyPair),
    /// And its curve and the length of a coordinate.
    Ec(EcdsaKeyPair, &'static str, usize),
    Ed(Ed25519KeyPair),
    Secret(Vec<u8>),
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(crate) static OTHER_RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
pub(crate) static P256: LazyLock<Signer> = LazyLock::new(Signer::p256);
pub(crate) static OTHER_P256: LazyLock<Signer> = LazyLock::new(Signer::p256);
pub(crate) static P384: LazyLock<Signer> = LazyLock::new(Signer::p384);
pub(crate) static P521: LazyLock<Signer> = LazyLock::new(Signer::p521);
pub(crate) static ED: LazyLock<Signer> = LazyLock::new(|| Signer::Ed(Ed25519KeyPair::generate().unwrap()));
pub(crate) static SECRET: LazyLock<Signer> = LazyLock::new(|| Signer::Secret((0..64).collect()));

impl Signer {
    pub(crate) fn p256() -> Self {
        let key = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::Ec(key, "P-256", 32)
    }

    pub(crate) fn p384() -> Self {
        let key = EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self::Ec(key, "P-384", 48)
    }

    pub(crate) fn p521() -> Self {
        let key = EcdsaKeyPair::generate(&signature::ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        Self::Ec(key, "P-521", 66)
    }

    /// The key that usually signs with this algorithm.
    pub(crate) fn of(algorithm: Algorithm) -> &'static Self {
        match algorithm {
            Algorithm::Es256 => &P256,
            Algorithm::Es384 => &P384,
            Algorithm::Es512 => &P521,
            Algorithm::EdDsa => &ED,
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => &SECRET,
            _ => &RSA,
        }
    }

    /// Members of its JWK, without braces.
    pub(crate) fn jwk(&self) -> String {
        match self {
            Self::Rsa(key) => {
                format!(r#""kty":"RSA","n":"{}","e":"AQAB""#, base64url(modulus(key)))
            }
            Self::Ec(key, curve, size) => {
                let point = key.public_key().as_ref();
                let (x, y) = (base64url(&point[1..=*size]), base64url(&point[1 + size..]));
                format!(r#""kty":"EC","crv":"{curve}","x":"{x}","y":"{y}""#)
            }
            Self::Ed(key) => {
                format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, base64url(key.public_key().as_ref()))
            }
            Self::Secret(secret) => format!(r#""kty":"oct","k":"{}""#, base64url(secret)),
        }
    }

    /// Its public key as others write it: what an attacker may take for an HMAC secret.
    pub(crate) fn spki(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ec(key, ..) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Secret(secret) => secret.clone(),
        }
    }

    /// A set of this key alone, named `1`.
    pub(crate) fn set(&self) -> String {
        format!(r#"{{"keys":[{{"kid":"1",{}}}]}}"#, self.jwk())
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm {
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key, ..) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let hash = match algorithm {
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    Algorithm::Hs512 => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
            }
        }
    }

    /// A token with this header and these claims.
    pub(crate) fn token(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", base64url(signature))
    }
}

/// The modulus of a key of 2048 bits, out of its PKCS #1 form.
pub(crate) fn modulus(key: &RsaKeyPair) -> Vec<u8> {
    let der = key.public_key().as_ref();
    assert_eq!((der.len(), &der[265..]), (270, &[2, 3, 1, 0, 1][..]));
    der[9..265].to_vec()
}

/// The time of all tests that have no other.
pub(crate) const NOW: u64 = 1_800_000_000;

/// Claims that are good at [`NOW`].
pub(crate) fn claims() -> String {
    claims_with("")
}

/// The same with more; each begins with a comma.
pub(crate) fn claims_with(more: &str) -> String {
    format!(r#"{{"iss":"https://id.example.com","aud":"orders","sub":"ann","exp":{}{more}}}"#, NOW + 60)
}

/// A header without anything special.
pub(crate) fn header(algorithm: Algorithm) -> String {
    format!(r#"{{"alg":"{}","kid":"1","typ":"JWT"}}"#, algorithm.as_str())
}

/// A good ES256 token with these claims.
pub(crate) fn es256(claims: &str) -> String {
    P256.token(Algorithm::Es256, &header(Algorithm::Es256), claims)
}
