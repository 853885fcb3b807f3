//! Signature algorithms of tokens (RFC 7518 §3.1, RFC 8037 §3.1), and keys that are ready to verify with one.

use aws_lc_rs::{
    hmac,
    signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm},
};

macro_rules! algorithms {
    ($($variant:ident = $name:literal,)*) => {
        /// An algorithm that a token may be signed with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the words are those of RFC 7518 and RFC 8037")]
        pub enum Algorithm { $($variant,)* }

        impl Algorithm {
            /// Every algorithm there is. `none` is not among them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of `alg`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Case-sensitive, as RFC 7515 §4.1.1 wants it.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

algorithms! {
    Rs256 = "RS256",
    Rs384 = "RS384",
    Rs512 = "RS512",
    Ps256 = "PS256",
    Ps384 = "PS384",
    Ps512 = "PS512",
    Es256 = "ES256",
    Es384 = "ES384",
    Es512 = "ES512",
    EdDsa = "EdDSA",
    Hs256 = "HS256",
    Hs384 = "HS384",
    Hs512 = "HS512",
}

/// What a key is made of.
pub(super) enum Material<'a> {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa(&'a [u8], &'a [u8]),
    /// A curve and an uncompressed point (SEC 1 §2.3.3).
    Ec(Curve, &'a [u8]),
    /// An Ed25519 public key.
    Ed25519(&'a [u8]),
    /// A shared secret.
    Secret(&'a [u8]),
}

/// Curves of RFC 7518 §6.2.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

/// A key, ready for one algorithm.
pub(super) enum Verifier {
    Public(Box<ParsedPublicKey>),
    Secret(Box<hmac::Key>),
}

// === impl Verifier ===

impl Verifier {
    /// Nothing when the key is of another kind, weaker than the algorithm, or no key at all.
    pub(super) fn new(algorithm: Algorithm, material: &Material<'_>) -> Option<Self> {
        use Algorithm::{
            EdDsa, Es256, Es384, Es512, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
        };
        match (material, algorithm) {
            (Material::Rsa(n, e), Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512) => {
                let parameters: &'static RsaParameters = match algorithm {
                    Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    _ => &signature::RSA_PSS_2048_8192_SHA512,
                };
                let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()?;
                Some(Self::Public(Box::new(key)))
            }
            (Material::Ec(Curve::P256, point), Es256) => public(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Material::Ec(Curve::P384, point), Es384) => public(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Material::Ec(Curve::P521, point), Es512) => public(&signature::ECDSA_P521_SHA512_FIXED, point),
            (Material::Ed25519(key), EdDsa) => public(&signature::ED25519, key),
            (Material::Secret(secret), Hs256 | Hs384 | Hs512) => {
                let (algorithm, least) = match algorithm {
                    Hs256 => (hmac::HMAC_SHA256, 32),
                    Hs384 => (hmac::HMAC_SHA384, 48),
                    _ => (hmac::HMAC_SHA512, 64),
                };
                // RFC 7518 §3.2
                let key = (secret.len() >= least).then(|| hmac::Key::new(algorithm, secret));
                key.map(Box::new).map(Self::Secret)
            }
            _ => None,
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

fn public(algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> Option<Verifier> {
    ParsedPublicKey::new(algorithm, key).ok().map(Box::new).map(Verifier::Public)
}
