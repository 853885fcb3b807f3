//! A token in compact form (RFC 7515 §7.1), taken apart: everything that can be said of it without a key.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::{Reject, algorithm::Algorithm};
use crate::{
    json::{Document, Kind, Number, Ref},
    policy::authenticate::Issuer,
};

/// The longest token that is looked at.
pub(super) const MOST_BYTES: usize = 8 * 1024;
/// Values and keys of its claims.
const MOST_NODES: usize = 4096;
/// Seconds beyond this are not exact in every reader of JSON.
const MOST_SECONDS: f64 = 9_007_199_254_740_991.0;

/// A token whose parts could be read.
pub(super) struct Token<'a> {
    /// Header and claims as they were signed.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Document,
}

/// What the claims come to.
pub(super) struct Facts {
    pub(super) subject: Option<Arc<str>>,
    pub(super) scopes: Arc<[Arc<str>]>,
    /// When it is over, clocks included: seconds since the epoch.
    pub(super) until: f64,
}

// === impl Token ===

impl<'a> Token<'a> {
    /// Reads header and claims (RFC 7515 §5.2, RFC 7519 §7.2).
    pub(super) fn parse(text: &'a str) -> Result<Self, Reject> {
        if text.len() > MOST_BYTES {
            return Err("the token is longer than 8 KiB");
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("the token has not three parts");
        };
        let signed = &text.as_bytes()[..header.len() + 1 + claims.len()];
        let header = object(header)?;
        let header = header.root();
        let algorithm = header.get("alg").and_then(Ref::as_str).and_then(|name| Algorithm::parse(&name));
        let algorithm = algorithm.ok_or("the token's algorithm is none that is known")?;
        // Nothing here understands an extension, and whoever asks for one must not be misunderstood (§4.1.11).
        if header.get("crit").is_some() {
            return Err("the token has `crit`");
        }
        // RFC 7797: without `crit` it has no meaning, but whoever wrote it signed something else.
        if header.get("b64").is_some_and(|b64| b64.as_bool() != Some(true)) {
            return Err("the token's `b64` is not true");
        }
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or("the token's `kid` is not text")?.into_owned()),
        };
        let claims = object(claims)?;
        Ok(Self { signed, signature: decode(signature)?, algorithm, kid, claims })
    }

    /// Whose it says it is.
    pub(super) fn issuer(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.claims.root().get("iss")?.as_str()
    }

    /// Checks the claims (RFC 7519 §4.1) at a time given in seconds since the epoch.
    pub(super) fn check(&self, issuer: &Issuer, now: f64) -> Result<Facts, Reject> {
        let claims = self.claims.root();
        let skew = issuer.clock_skew.as_secs_f64();
        let wanted =
            |aud: Ref<'_>| aud.as_str().is_some_and(|aud| issuer.audiences.iter().any(|own| **own == *aud));
        let audience = claims.get("aud").ok_or("the token has no `aud`")?;
        let meant = match audience.kind() {
            Kind::String => wanted(audience),
            Kind::List if audience.items().all(|one| one.kind() == Kind::String) => {
                audience.items().any(wanted)
            }
            _ => return Err("the token's `aud` is neither text nor a list of texts"),
        };
        if !meant {
            return Err("the token is for another audience");
        }
        let expiry = seconds(claims, "exp")?.ok_or("the token has no `exp`")?;
        if now >= expiry + skew {
            return Err("the token has expired");
        }
        if seconds(claims, "nbf")?.is_some_and(|from| now + skew < from) {
            return Err("the token is not valid yet");
        }
        // It says nothing about validity; what is no time is no `iat` all the same.
        seconds(claims, "iat")?;
        for name in &issuer.required_claims {
            if claims.get(name).is_none_or(Ref::is_null) {
                return Err("the token lacks a claim that is required");
            }
        }
        let subject = match claims.get("sub") {
            None => None,
            Some(subject) => Some(subject.as_str().ok_or("the token's `sub` is not text")?.as_ref().into()),
        };
        let scopes = match &issuer.scopes_claim {
            Some(name) => claims.get(name),
            None => claims.get("scope").or_else(|| claims.get("scp")),
        };
        Ok(Facts { subject, scopes: scopes.map(scopes_of).unwrap_or_default(), until: expiry + skew })
    }
}

/// A text with spaces (RFC 8693 §4.2), or a list of texts; anything else grants nothing.
fn scopes_of(value: Ref<'_>) -> Arc<[Arc<str>]> {
    match value.as_str() {
        Some(text) => text.split(' ').filter(|scope| !scope.is_empty()).map(Arc::from).collect(),
        None => value.items().filter_map(|scope| Some(Arc::from(&*scope.as_str()?))).collect(),
    }
}

/// A NumericDate (RFC 7519 §2): a number, perhaps with a fraction, and never a text.
fn seconds(claims: Ref<'_>, name: &str) -> Result<Option<f64>, Reject> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = match value.as_number() {
        Some(Number::Int(value)) => value as f64,
        Some(Number::Double(value)) => value,
        Some(Number::Uint(_) | Number::Text(_)) | None => f64::NAN,
    };
    if seconds.abs() <= MOST_SECONDS { Ok(Some(seconds)) } else { Err("a time of the token is no time") }
}

fn decode(part: &str) -> Result<Vec<u8>, Reject> {
    // Without padding, and with nothing in the bits that are left over.
    URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part of the token is not base64url")
}

fn object(part: &str) -> Result<Document, Reject> {
    let document = Document::parse_within(Bytes::from(decode(part)?), MOST_NODES);
    let document = document.map_err(|_| "a part of the token is not JSON, or has a member twice")?;
    if document.root().kind() == Kind::Map {
        Ok(document)
    } else {
        Err("a part of the token is no JSON object")
    }
}
