//! `kind: Consumer`: somebody who calls services, as IT knows them.

use super::{
    Metadata, Spanned,
    decode::{Decoder, Fields},
    document::document_keys,
    keys::{Object, Shape, optional, required},
};
use crate::diagnostic::{Code, Diagnostic};

/// `kind: Consumer`
pub(super) static CONSUMER: Object = Object {
    name: "a Consumer",
    keys: document_keys![
        optional("plan", Shape::Text, "What it has subscribed to: `principal.plan`."),
        optional("apiKeys", Shape::List(&Shape::Object(&API_KEY)), "Its API keys, as digests."),
        optional("jwt", Shape::Object(&JWT), "Whose tokens are this Consumer's."),
        optional("mtls", Shape::Object(&MTLS), "Which certificates are this Consumer's."),
        optional("labels", Shape::Map(&Shape::Text), "Free labels."),
    ],
    one_of: &[],
    open: false,
};

static API_KEY: Object = Object {
    name: "an API key",
    keys: &[required("sha256", Shape::Text, "The SHA-256 of the key, 64 lower-case hex digits.")],
    one_of: &[],
    open: false,
};

static JWT: Object = Object {
    name: "jwt",
    keys: &[
        required("issuer", Shape::Text, "`iss` of the tokens."),
        required("subject", Shape::Text, "`sub` of the tokens."),
    ],
    one_of: &[],
    open: false,
};

static MTLS: Object = Object {
    name: "mtls",
    keys: &[required("subject", Shape::Text, "The URI of the certificates.")],
    one_of: &[],
    open: false,
};

/// A Consumer document.
#[derive(Clone, Debug)]
pub struct ConsumerTemplate {
    /// Its metadata.
    pub metadata: Metadata,
    /// `plan`
    pub plan: Option<String>,
    /// `apiKeys`: digests.
    pub api_keys: Vec<Spanned<[u8; 32]>>,
    /// `jwt`: issuer and subject.
    pub jwt: Option<Spanned<(String, String)>>,
    /// `mtls.subject`
    pub mtls: Option<Spanned<String>>,
    /// `labels`, in file order.
    pub labels: Vec<(String, String)>,
}

impl ConsumerTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, metadata: Metadata, fields: &Fields<'_>) -> Self {
        Self {
            plan: text(decoder, fields, "plan").map(|plan| plan.value),
            api_keys: api_keys(decoder, fields),
            jwt: jwt(decoder, fields),
            mtls: mtls(decoder, fields),
            labels: labels(decoder, fields, "labels"),
            metadata,
        }
    }
}

/// Free labels, in file order.
pub(super) fn labels(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for (name, node) in decoder.map(fields, key) {
        labels.extend(decoder.text_of(&name.value, node).map(|text| (name.value.clone(), text.value)));
    }
    labels
}

fn text(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Option<Spanned<String>> {
    let text = decoder.text(fields, key)?;
    if text.trim().is_empty() {
        decoder.invalid(&text.place, format!("`{key}` is empty"), "write it, or remove the key");
        return None;
    }
    Some(text)
}

fn api_keys(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Spanned<[u8; 32]>> {
    let mut keys: Vec<Spanned<[u8; 32]>> = Vec::new();
    for node in decoder.list(fields, "apiKeys") {
        let Some(fields) = &decoder.fields("apiKeys", &API_KEY, node, &node.place) else { continue };
        let Some(text) = decoder.text(fields, "sha256") else { continue };
        let Some(value) = digest(&text) else {
            // What stands there may be a key in the clear: it is not repeated.
            let help = "64 lower-case hex digits: printf %s KEY | sha256sum; never the key itself";
            decoder.invalid(&text.place, "this is no SHA-256 in lower-case hex", help);
            continue;
        };
        if let Some(first) = keys.iter().find(|first| first.value == value) {
            decoder.findings.push(
                Diagnostic::new(Code::DuplicateName, text.place, "this key stands twice")
                    .help("remove one")
                    .related(first.place.clone(), "the first one"),
            );
            continue;
        }
        keys.push(Spanned { value, place: text.place });
    }
    keys
}

/// 64 lower-case hex digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> =
        text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
    bytes?.try_into().ok()
}

fn jwt(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<(String, String)>> {
    let place = fields.key_place("jwt").clone();
    let fields = &decoder.object(fields, "jwt")?;
    let (issuer, subject) = (text(decoder, fields, "issuer"), text(decoder, fields, "subject"));
    Some(Spanned { value: (issuer?.value, subject?.value), place })
}

fn mtls(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<String>> {
    let fields = &decoder.object(fields, "mtls")?;
    let subject = text(decoder, fields, "subject")?;
    if !subject.contains("://") || subject.contains('*') || !subject.bytes().all(|b| b.is_ascii_graphic()) {
        let message = format!("`{}` is not one certificate's URI", subject.value);
        decoder.invalid(
            &subject.place,
            message,
            "the whole URI, without patterns: spiffe://example/team/web",
        );
        return None;
    }
    Some(subject)
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn a_digest_is_64_lower_case_hex_digits() {
        let zero = "00".repeat(32);
        assert_eq!(digest(&zero), Some([0; 32]));
        assert_eq!(digest(&"af".repeat(32)), Some([0xaf; 32]));
        for wrong in [&zero[1..], &"AF".repeat(32), &"0g".repeat(32), "", &format!("{zero}0")] {
            assert_eq!(digest(wrong), None, "{wrong}");
        }
    }
}
