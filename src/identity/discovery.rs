//! OpenID Connect Discovery 1.0, as far as keys go.

use bytes::Bytes;

use super::fetch::{self, Failure};
use crate::json::{Document, Ref};

/// Where an issuer says of itself what there is to know (§4): a slash at its end goes.
pub(super) fn url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

/// Where its keys are. Whoever answers for another issuer is not believed (§4.3).
pub(super) fn keys_url(document: &Bytes, issuer: &str) -> Result<String, Failure> {
    let document = Document::parse(document.clone()).map_err(|_| Failure::Discovery("it is not JSON"))?;
    let root = document.root();
    if root.get("issuer").and_then(Ref::as_str).is_none_or(|said| said != issuer) {
        return Err(Failure::Discovery("it is of another issuer"));
    }
    let url = root.get("jwks_uri").and_then(Ref::as_str);
    let url = url.ok_or(Failure::Discovery("it has no `jwks_uri`"))?.into_owned();
    let parsed: http::Uri = url.parse().map_err(|_| Failure::Discovery("its `jwks_uri` is not a URL"))?;
    match parsed.scheme_str() {
        Some("https") => Ok(url),
        // What a remote document names may not be on this machine.
        Some("http")
            if parsed.host().is_some_and(fetch::is_loopback)
                && issuer
                    .parse::<http::Uri>()
                    .is_ok_and(|issuer| issuer.host().is_some_and(fetch::is_loopback)) =>
        {
            Ok(url)
        }
        _ => Err(Failure::Discovery("its `jwks_uri` is not https")),
    }
}
