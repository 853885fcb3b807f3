//! Certificates with their keys, and which of them a client is shown.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// A certificate's chain with its key, checked to belong together.
#[derive(Debug)]
pub(super) struct Pair {
    key: Arc<CertifiedKey>,
    /// Lower case; `*.` in front is one label.
    names: Vec<String>,
    /// First and last second of its validity, after 1970.
    pub(super) validity: (i64, i64),
}

/// Why a pair cannot be used, in our words, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Whether it is the key, and not the certificate.
    pub(super) key: bool,
    pub(super) why: String,
    pub(super) help: &'static str,
}

// === impl Pair ===

impl Pair {
    /// Reads a PEM chain and a PEM key.
    pub(super) fn read(cert: &[u8], key: &[u8]) -> Result<Self, Fault> {
        let of_cert = |why: String, help| Fault { key: false, why, help };
        let of_key = |why: &str, help| Fault { key: true, why: why.to_owned(), help };
        let chain = chain(cert).map_err(|why| of_cert(why, CHAIN))?;
        let leaf = chain.first().map(|leaf| X509Certificate::from_der(leaf));
        let Some(Ok((_, leaf))) = leaf else {
            return Err(of_cert("its first certificate cannot be read".to_owned(), CHAIN));
        };
        let validity = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
        let names = names(&leaf);
        let der = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound if is_encrypted(key) => of_key("it is encrypted", DECRYPT),
            pem::Error::NoItemsFound => of_key("it holds no private key", KEY),
            _ => of_key("it is not PEM", KEY),
        })?;
        let signing = any_supported_type(&der)
            .map_err(|_| of_key("its private key is of a kind that is not supported, or damaged", KINDS))?;
        let pair = CertifiedKey::new(chain, signing);
        match pair.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(of_key("it is not the key of the certificate", MATCH));
            }
            Err(error) => {
                return Err(of_cert(format!("its first certificate cannot be used: {error}"), CHAIN));
            }
        }
        Ok(Self { key: Arc::new(pair), names, validity })
    }
}

const CHAIN: &str = "a PEM file with the certificate first, then those that lead to its root";
const KEY: &str = "a PEM file with `-----BEGIN PRIVATE KEY-----`";
const KINDS: &str = "use a key of ECDSA P-256, P-384 or P-521, of Ed25519, or of RSA with 2048 bits or more";
const DECRYPT: &str =
    "write it without a pass phrase (`openssl pkey -in KEY -out NEW`), readable by the gateway alone";
const MATCH: &str =
    "the first certificate of `cert` and `key` must be made for each other; replace both files together";

/// The certificates of a PEM file, at least one.
pub(super) fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match all {
        Ok(chain) if chain.is_empty() => Err("it holds no certificate".to_owned()),
        Ok(chain) => Ok(chain),
        Err(_) => Err("it is not PEM".to_owned()),
    }
}

fn is_encrypted(key: &[u8]) -> bool {
    String::from_utf8_lossy(key).contains("ENCRYPTED")
}

/// The DNS names of a certificate. What it says in its subject is no name of a server (RFC 9525 §2).
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = leaf.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
}

/// Chooses by the name that the client asks for.
#[derive(Debug)]
pub(super) struct ByName {
    first: Arc<CertifiedKey>,
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

// === impl ByName ===

impl ByName {
    pub(super) fn new(pairs: &[Arc<Pair>]) -> Option<Self> {
        let first = Arc::clone(&pairs.first()?.key);
        let mut by_name = Self { first, exact: HashMap::new(), wildcard: HashMap::new() };
        for pair in pairs {
            for name in &pair.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut by_name.wildcard, rest),
                    None => (&mut by_name.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(Arc::clone(&pair.key));
            }
        }
        Some(by_name)
    }

    /// Those for a name, in the order of the template.
    fn named(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let wildcard = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard).map(Vec::as_slice)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(&name.to_ascii_lowercase()));
        let Some(all) = named else { return Some(Arc::clone(&self.first)) };
        // One name may have certificates of several kinds, for clients that know only one.
        let fits = |one: &&Arc<CertifiedKey>| one.key.choose_scheme(hello.signature_schemes()).is_some();
        all.iter().find(fits).or_else(|| all.first()).cloned()
    }
}
