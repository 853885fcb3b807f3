//! `authenticate` of a Policy.

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    keys::{Object, Shape, later, optional, required},
    url,
    yaml::Value,
};
use crate::{
    diagnostic::{Code, nearest},
    policy::authenticate::{
        ApiKeySettings, Issuer, JwtSettings, KeySource, Method, MtlsSettings, Settings, Source,
    },
};

pub(super) static AUTHENTICATE: Object = Object {
    name: "authenticate",
    keys: &[
        optional("jwt", Shape::Object(&JWT), "JSON Web Tokens."),
        optional("apiKey", Shape::Object(&API_KEY), "Keys of Consumers."),
        optional("mtls", Shape::Object(&MTLS), "Client certificates."),
        optional(
            "anonymous",
            Shape::Flag,
            "Without credentials a request goes on as anonymous; bad ones are still refused (false).",
        ),
        optional("mode", Shape::Word(&["any", "all"]), "Whether one must succeed or each (any)."),
        later("introspection"),
    ],
    one_of: &[],
    open: false,
};

static JWT: Object = Object {
    name: "jwt",
    keys: &[
        required("issuers", Shape::List(&Shape::Object(&ISSUER)), "Whose tokens are taken; at least one."),
        optional(
            "from",
            Shape::List(&Shape::Object(&SOURCE)),
            "Where a token is looked for (authorization: Bearer).",
        ),
    ],
    one_of: &[],
    open: false,
};

static API_KEY: Object = Object {
    name: "apiKey",
    keys: &[optional("from", Shape::List(&Shape::Object(&SOURCE)), "Where a key is looked for (x-api-key).")],
    one_of: &[],
    open: false,
};

static MTLS: Object = Object {
    name: "mtls",
    keys: &[
        required(
            "subjects",
            Shape::List(&Shape::Text),
            "URIs of certificates; `*` is one segment of the path.",
        ),
        later("crl"),
    ],
    one_of: &[],
    open: false,
};

static SOURCE: Object = Object {
    name: "an entry of from",
    keys: &[
        optional("header", Shape::Text, "A header field."),
        optional("cookie", Shape::Text, "A cookie."),
        optional("query", Shape::Text, "A query parameter."),
        optional("scheme", Shape::Text, "What stands before the credential in the field: `Bearer`."),
    ],
    one_of: &["header", "cookie", "query"],
    open: false,
};

static ISSUER: Object = Object {
    name: "an issuer",
    keys: &[
        required("issuer", Shape::Text, "What `iss` must be."),
        required("audiences", Shape::List(&Shape::Text), "One of these must be in `aud`."),
        required("jwks", Shape::Object(&JWKS), "Where its keys are."),
        optional(
            "algorithms",
            Shape::List(&Shape::Text),
            "Which algorithms are taken (every asymmetric one).",
        ),
        optional("clockSkew", Shape::Duration, "How far clocks may differ (30s)."),
        optional("requiredClaims", Shape::List(&Shape::Text), "Claims that must be there."),
        optional("scopesClaim", Shape::Text, "The claim with scopes (scope, else scp)."),
        optional("cacheTtl", Shape::Duration, "How long a verified token may be remembered (60s)."),
        optional("cooldown", Shape::Duration, "Between two fetches for unknown keys (30s)."),
    ],
    one_of: &[],
    open: false,
};

static JWKS: Object = Object {
    name: "jwks",
    keys: &[
        optional("uri", Shape::Text, "A JWK Set by https, or by http on loopback."),
        optional("file", Shape::Text, "A JWK Set in a file; HS* only so."),
        optional("discover", Shape::Flag, "By OpenID Connect discovery from the issuer."),
    ],
    one_of: &["uri", "file", "discover"],
    open: false,
};

/// Signatures with a public key.
const ASYMMETRIC: &[&str] =
    &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
/// Signatures with a shared key.
const SYMMETRIC: &[&str] = &["HS256", "HS384", "HS512"];

pub(super) fn decode(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Arc<Settings>> {
    let place = fields.key_place("authenticate").clone();
    let fields = &decoder.object(fields, "authenticate")?;
    let mut methods = Vec::new();
    let mut written = 0;
    for key in fields.keys() {
        written += usize::from(matches!(key, "jwt" | "apiKey" | "mtls"));
        methods.extend(match key {
            "jwt" => jwt(decoder, fields).map(Method::Jwt),
            "apiKey" => api_key(decoder, fields).map(Method::ApiKey),
            "mtls" => mtls(decoder, fields).map(Method::Mtls),
            _ => None,
        });
    }
    let anonymous = decoder.flag(fields, "anonymous").unwrap_or(false);
    let misspelt = !fields.misspelt(&["jwt", "apiKey", "mtls", "anonymous"]).is_empty();
    if written == 0
        && !misspelt
        && fields.get("anonymous").is_none_or(|node| matches!(node.value, Value::Bool(false)))
    {
        let message = "`authenticate` names no way to authenticate";
        let help = "`jwt`, `apiKey` or `mtls`; `anonymous: true` says that everybody may come in";
        decoder.report(Code::MissingKey, &place, message, help);
    }
    let all = decoder.word(fields, "mode") == Some("all");
    Some(Arc::new(Settings { methods, all, anonymous, place }))
}

fn jwt(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<JwtSettings> {
    let fields = &decoder.object(fields, "jwt")?;
    let mut issuers: Vec<Arc<Issuer>> = Vec::new();
    for node in some(decoder, fields, "issuers") {
        let Some(issuer) = issuer(decoder, node) else { continue };
        issuers.push(Arc::new(issuer));
    }
    let from =
        sources(decoder, fields, || Source::Header(http::header::AUTHORIZATION, Some("Bearer".to_owned())));
    Some(JwtSettings { issuers, from })
}

fn api_key(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<ApiKeySettings> {
    let fields = &decoder.object(fields, "apiKey")?;
    let from = sources(decoder, fields, || Source::Header(http::HeaderName::from_static("x-api-key"), None));
    Some(ApiKeySettings { from })
}

fn mtls(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<MtlsSettings> {
    let fields = &decoder.object(fields, "mtls")?;
    let mut subjects = Vec::new();
    for node in some(decoder, fields, "subjects") {
        let Some(text) = decoder.text_of("subjects", node) else { continue };
        match subject_fault(&text) {
            Some(help) => {
                decoder.invalid(&text.place, format!("`{}` is no pattern of URIs", text.value), help);
            }
            None => subjects.push(text.value),
        }
    }
    Some(MtlsSettings { subjects })
}

/// What is wrong with a pattern such as `spiffe://example/team/*`.
fn subject_fault(text: &str) -> Option<&'static str> {
    const FORM: &str = "write spiffe://TRUST-DOMAIN/path; `*` is one whole segment of the path";
    let Some((scheme, rest)) = text.split_once("://") else { return Some(FORM) };
    let named = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !named || authority.is_empty() || !rest.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(FORM);
    }
    if authority.contains('*') {
        return Some("the authority (the trust domain) is written out; `*` is one segment of the path");
    }
    if rest.contains(['?', '#', '@']) {
        return Some("a URI of a certificate has no query, fragment or user here");
    }
    if path.split('/').any(|segment| segment.contains('*') && segment != "*") {
        return Some(FORM);
    }
    None
}

fn sources(decoder: &mut Decoder<'_>, fields: &Fields<'_>, default: impl Fn() -> Source) -> Vec<Source> {
    if fields.get("from").is_none() {
        return vec![default()];
    }
    let mut sources = Vec::new();
    for node in some(decoder, fields, "from") {
        let Some(fields) = &decoder.fields("from", &SOURCE, node, &node.place) else { continue };
        let scheme = decoder.text(fields, "scheme");
        if let Some(scheme) = &scheme
            && fields.get("header").is_none()
        {
            decoder.invalid(&scheme.place, "a `scheme` stands in a header field only", "remove `scheme`");
        }
        let source = if let Some(name) = decoder.text(fields, "header") {
            decoder.settable_header(&name).map(|name| Source::Header(name.value, token(decoder, scheme)))
        } else if let Some(name) = decoder.text(fields, "cookie") {
            not_empty(decoder, "cookie", name).map(Source::Cookie)
        } else {
            decoder
                .text(fields, "query")
                .and_then(|name| not_empty(decoder, "query", name))
                .map(Source::Query)
        };
        let Some(source) = source else { continue };
        if sources.contains(&source) {
            decoder.report(
                Code::DuplicateName,
                &node.place,
                "this place stands in `from` twice",
                "remove one",
            );
            continue;
        }
        sources.push(source);
    }
    sources
}

fn token(decoder: &mut Decoder<'_>, scheme: Option<Spanned<String>>) -> Option<String> {
    let scheme = scheme?;
    let fine = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !fine {
        let message = format!("`{}` is no authentication scheme", scheme.value);
        decoder.invalid(&scheme.place, message, "one word, such as Bearer");
    }
    fine.then_some(scheme.value)
}

fn not_empty(decoder: &mut Decoder<'_>, what: &str, name: Spanned<String>) -> Option<String> {
    if name.trim().is_empty() {
        decoder.invalid(&name.place, format!("`{what}` is empty"), "name it");
        return None;
    }
    Some(name.value)
}

/// The entries of a list that must have some.
fn some<'n>(decoder: &mut Decoder<'_>, fields: &Fields<'n>, key: &str) -> &'n [Node] {
    let nodes = decoder.list(fields, key);
    if let Some(node) = fields.get(key)
        && matches!(&node.value, Value::List(items) if items.is_empty())
    {
        decoder.invalid(&node.place, format!("`{key}` is empty"), "name at least one, or remove it");
    }
    nodes
}

fn issuer(decoder: &mut Decoder<'_>, node: &Node) -> Option<Issuer> {
    let fields = &decoder.fields("issuers", &ISSUER, node, &node.place)?;
    let texts = |decoder: &mut Decoder<'_>, key: &str| -> Vec<String> {
        let mut texts = Vec::new();
        for node in some(decoder, fields, key) {
            let text = decoder.text_of(key, node);
            texts.extend(text.and_then(|text| not_empty(decoder, key, text)));
        }
        texts
    };
    let audiences = texts(decoder, "audiences");
    let required_claims = texts(decoder, "requiredClaims");
    let clock_skew = decoder.duration_or_zero(fields, "clockSkew");
    let cache_ttl = decoder.duration_or_zero(fields, "cacheTtl");
    let cooldown = decoder.duration(fields, "cooldown");
    let scopes = decoder.text(fields, "scopesClaim").and_then(|text| not_empty(decoder, "scopesClaim", text));
    let name = decoder.text(fields, "issuer");
    let keys = keys(decoder, fields, name.as_ref());
    let algorithms = algorithms(decoder, fields, keys.as_ref());
    let issuer = name.and_then(|name| not_empty(decoder, "issuer", name))?;
    Some(Issuer {
        issuer,
        audiences,
        keys: keys?,
        algorithms,
        clock_skew: clock_skew.map_or(Duration::from_secs(30), |found| found.value),
        required_claims,
        scopes_claim: scopes,
        cache_ttl: cache_ttl.map_or(Duration::from_secs(60), |found| found.value),
        cooldown: cooldown.map_or(Duration::from_secs(30), |found| found.value),
        place: node.place.clone(),
    })
}

fn algorithms(decoder: &mut Decoder<'_>, fields: &Fields<'_>, keys: Option<&KeySource>) -> Vec<String> {
    if fields.get("algorithms").is_none() {
        return ASYMMETRIC.iter().map(|&name| name.to_owned()).collect();
    }
    let known = || ASYMMETRIC.iter().chain(SYMMETRIC).copied();
    let mut found = Vec::new();
    for node in some(decoder, fields, "algorithms") {
        let Some(text) = decoder.text_of("algorithms", node) else { continue };
        if !known().any(|name| name == text.value) {
            let help = nearest(&text, known()).map_or_else(
                || format!("one of {}", known().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            decoder.invalid(&text.place, format!("`{}` is no algorithm that is taken", text.value), help);
        } else if SYMMETRIC.contains(&&*text.value) && !matches!(keys, None | Some(KeySource::File(_))) {
            let message = format!("`{}` needs a shared key, which no URL may give away", text.value);
            decoder.invalid(&text.place, message, "`jwks: {file: …}` for HS*, or an asymmetric algorithm");
        } else if !found.contains(&text.value) {
            found.push(text.value);
        }
    }
    found
}

fn keys(
    decoder: &mut Decoder<'_>,
    fields: &Fields<'_>,
    issuer: Option<&Spanned<String>>,
) -> Option<KeySource> {
    let place = fields.key_place("jwks").clone();
    let fields = &decoder.object(fields, "jwks")?;
    if let Some(uri) = decoder.text(fields, "uri") {
        return fetchable(decoder, &uri).then_some(KeySource::Uri(uri.value));
    }
    if let Some(file) = decoder.text(fields, "file") {
        return decoder.path(&file, true).map(KeySource::File);
    }
    if !decoder.flag(fields, "discover")? {
        decoder.invalid(&place, "`discover: false` says nothing", "`uri`, `file` or `discover: true`");
        return None;
    }
    fetchable(decoder, issuer?).then_some(KeySource::Discover)
}

/// Whether keys may be fetched from there: whoever answers decides whose tokens are taken.
fn fetchable(decoder: &mut Decoder<'_>, text: &Spanned<String>) -> bool {
    // A query is fine in a `uri`; the rest has the rules of endpoints.
    let bare = text.split_once('?').map_or(&*text.value, |(bare, _)| bare);
    if let Err(fault) = url::check(bare) {
        decoder.report(Code::InvalidUrl, &text.place, fault.message, "write https://host/path");
        return false;
    }
    let secure = bare.starts_with("https://") || bare.strip_prefix("http://").is_some_and(on_loopback);
    if !secure {
        let message = format!("keys are not fetched from `{}` in the clear", text.value);
        decoder.report(Code::InvalidUrl, &text.place, message, "use https; http is for loopback only");
    }
    secure
}

fn on_loopback(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_uri_whose_path_may_have_whole_segments_free() {
        for fine in ["spiffe://example/team/*", "spiffe://example.org/ns/*/sa/web", "https://x/y"] {
            assert_eq!(subject_fault(fine), None, "{fine}");
        }
        for wrong in ["spiffe://*/x", "spiffe://example/te*", "spiffe:///x", "Spiffe://x/y", "spiffe://x/a b"]
        {
            assert!(subject_fault(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn only_loopback_is_trusted_in_the_clear() {
        for near in ["127.0.0.1:80/x", "localhost/x", "[::1]:9/x", "127.8.8.8"] {
            assert!(on_loopback(near), "{near}");
        }
        for far in ["127.0.0.1.example.com/x", "10.0.0.1/x", "localhost.example/x", "[2001:db8::1]/x"] {
            assert!(!on_loopback(far), "{far}");
        }
    }
}
