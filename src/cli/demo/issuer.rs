//! Who issues tokens for the demo: a key pair of one run, in place of the sample's development key.
//!
//! The private half is kept in a form of the demo's own, which nothing else writes and no other program reads, so
//! that `segue token` cannot be pointed at a key that signs for anything real. Its issuer is fixed too.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustix::process::{Pid, test_kill_process};
use serde_json::json;

use super::folder::Folder;

/// The set of keys of the sample's `partner-api`, which a run's own set stands in for.
pub(super) const KEY_SET: &str = "policies/keys/development.jwks.json";
/// `iss` of every token, and what `partner-api` takes. Nobody runs it.
const ISSUER: &str = "https://development.id.example.com";
/// The file with the private key.
const KEY_FILE: &str = "tokens.key";
/// Its first line. Not `PRIVATE KEY`: no other key is taken for it, and it for no other.
const BEGIN: &str = "-----BEGIN SEGUE DEMO SIGNING KEY-----";
const END: &str = "-----END SEGUE DEMO SIGNING KEY-----";
/// What the folders of runs are called.
const WHAT: &str = "identity";

/// The key of one run.
pub(super) struct Issuer {
    folder: Folder,
}

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Claims<'a> {
    pub(in crate::cli) subject: &'a str,
    pub(in crate::cli) audience: &'a str,
    pub(in crate::cli) scope: &'a str,
    pub(in crate::cli) lives: Duration,
}

/// A key that the demo made.
pub(in crate::cli) struct DemoKey(EcdsaKeyPair);

// === impl Issuer ===

impl Issuer {
    /// Makes the key and keeps it in a folder of its own.
    pub(super) fn make() -> io::Result<Self> {
        let folder = Folder::make(WHAT)?;
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(io::Error::other)?;
        let secret = key.to_pkcs8v1().map_err(io::Error::other)?;
        folder.write(KEY_FILE, &format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(secret)))?;
        Ok(Self { folder })
    }

    /// The folder, for `segue token --state`.
    pub(super) fn state(&self) -> &Path {
        self.folder.path()
    }
}

// === impl DemoKey ===

impl DemoKey {
    /// The key of the run that keeps its state in this folder; why not, for people.
    pub(in crate::cli) fn of(state: &Path) -> Result<Self, String> {
        let path = state.join(KEY_FILE);
        let shown = path.display();
        let not_ours =
            || format!("{shown} is no key that `segue demo` made, and no other is used for tokens");
        let about = fs::symlink_metadata(&path).map_err(|error| format!("{shown}: {error}"))?;
        if !about.is_file() || about.permissions().mode() & 0o7777 != 0o600 {
            return Err(not_ours());
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
        let body = text.trim_end().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let secret = body.and_then(|body| STANDARD.decode(body.trim()).ok()).ok_or_else(not_ours)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &secret);
        key.map(Self).map_err(|_| not_ours())
    }

    /// Its public half, as a JWK Set.
    pub(super) fn set(&self) -> String {
        // An uncompressed point: one byte that says so, x, y.
        let point = self.0.public_key().as_ref();
        let half = |from: usize| URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default());
        let (x, y) = (half(1), half(33));
        let key = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id(), "x": x, "y": y});
        json!({"keys": [key]}).to_string()
    }

    /// A token by ES256 (RFC 7515 §3.1, RFC 7518 §3.4).
    pub(in crate::cli) fn token(&self, claims: Claims<'_>) -> io::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.id()});
        let claims = json!({
            "iss": ISSUER,
            "sub": claims.subject,
            "aud": claims.audience,
            "scope": claims.scope,
            "iat": now,
            "exp": now.saturating_add(claims.lives.as_secs()),
        });
        let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).map_err(io::Error::other)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// `kid`: each run has another, so that a token of an earlier one is refused for what it is.
    fn id(&self) -> String {
        let hash = digest(&SHA256, self.0.public_key().as_ref());
        let start = hash.as_ref().get(..9).unwrap_or_default();
        format!("demo-{}", URL_SAFE_NO_PAD.encode(start))
    }
}

/// The folders below `folder` of demos that run; one that was killed leaves its own behind.
pub(in crate::cli) fn states(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let start = format!("segue-demo-{WHAT}-");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&start)) else { continue };
        let process = rest.split('-').next().and_then(|id| Pid::from_raw(id.parse().ok()?));
        // Those of other users cannot be read.
        if process.is_some_and(|id| test_kill_process(id).is_ok()) && DemoKey::of(&entry.path()).is_ok() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
