//! `listeners` of a Gateway: where clients connect, and what they are shown over TLS.

use super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    gateway::AddressTemplate,
    keys::{Object, Shape, optional, required},
    service::SecretTemplate,
    yaml::Value,
};
use crate::diagnostic::{Code, Diagnostic};

pub(super) static LISTENER: Object = Object {
    name: "a listener",
    keys: &[
        required("name", Shape::Name, "The listener's name."),
        required("address", Shape::Place, "IP and port: `127.0.0.1:8080`."),
        optional(
            "tls",
            Shape::Object(&TLS),
            "Makes it speak HTTPS: what is shown to clients, what is asked of them.",
        ),
    ],
    one_of: &[],
    open: false,
};

static TLS: Object = Object {
    name: "tls of a listener",
    keys: &[
        required(
            "certificates",
            Shape::List(&Shape::Object(&CERTIFICATE)),
            "Chosen by the name that the client asks for; the first is for every other name.",
        ),
        optional("minVersion", Shape::Word(&["1.2", "1.3"]), "The oldest TLS that is spoken (1.2)."),
        optional("clientAuth", Shape::Object(&CLIENT_AUTH), "Asks clients for a certificate (off)."),
    ],
    one_of: &[],
    open: false,
};

static CERTIFICATE: Object = Object {
    name: "a certificate",
    keys: &[
        required("cert", Shape::Text, "A PEM file: the certificate, then those that lead to its root."),
        required("key", Shape::TextOrSecret, "A PEM file with its private key, or `{env: NAME}`."),
    ],
    one_of: &[],
    open: false,
};

static CLIENT_AUTH: Object = Object {
    name: "clientAuth",
    keys: &[
        required("ca", Shape::Text, "A PEM file of the roots that clients' certificates lead to."),
        optional(
            "mode",
            Shape::Word(&["optional", "required"]),
            "Whether a client may have none (required).",
        ),
    ],
    one_of: &[],
    open: false,
};

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerTemplate {
    /// `name`, unique.
    pub name: Spanned<String>,
    /// `address`, with `{env, default}` resolved by [`AddressTemplate`].
    pub address: Spanned<AddressTemplate>,
    /// `tls`: without it the listener speaks cleartext.
    pub tls: Option<ListenerTls>,
}

/// `tls` of a listener; paths made relative to the configuration directory.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// `certificates`, at least one.
    pub certificates: Vec<CertificateTemplate>,
    /// `minVersion: "1.3"` ("1.2")
    pub only_tls13: bool,
    /// `clientAuth`
    pub client_auth: Option<ClientAuth>,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct CertificateTemplate {
    /// `cert`
    pub cert: Spanned<String>,
    /// `key`
    pub key: Spanned<SecretTemplate>,
}

/// `clientAuth`
#[derive(Clone, Debug)]
pub struct ClientAuth {
    /// `ca`
    pub ca: Spanned<String>,
    /// `mode: required` (required)
    pub required: bool,
}

/// Decodes `listeners`.
pub(super) fn listeners(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<ListenerTemplate> {
    let mut listeners: Vec<ListenerTemplate> = Vec::new();
    let nodes: &[Node] = decoder.list(fields, "listeners");
    if nodes.is_empty()
        && let Some(node) = fields.get("listeners")
        && matches!(&node.value, Value::List(_))
    {
        decoder.invalid(
            &node.place,
            "a Gateway needs at least one listener",
            "{name: http, address: \"127.0.0.1:8080\"}",
        );
    }
    for node in nodes {
        let Some(fields) = decoder.fields("listeners", &LISTENER, node, &node.place) else { continue };
        let name = decoder.text(&fields, "name");
        let address = decoder.address(&fields, "address");
        let tls = tls(decoder, &fields);
        let Some(name) = name else { continue };
        decoder.check_name(&name);
        if let Some(first) = listeners.iter().find(|first| first.name == name) {
            let finding = Diagnostic::new(
                Code::DuplicateName,
                name.place.clone(),
                format!("there is another listener `{}`", name.value),
            );
            decoder.findings.push(
                finding
                    .help("give one of them another name")
                    .related(first.name.place.clone(), "the first one"),
            );
        }
        listeners.extend(address.map(|address| ListenerTemplate { name, address, tls }));
    }
    listeners
}

fn tls(decoder: &mut Decoder<'_>, listener: &Fields<'_>) -> Option<ListenerTls> {
    let fields = decoder.object(listener, "tls")?;
    let nodes = decoder.list(&fields, "certificates");
    if nodes.is_empty()
        && let Some(node) = fields.get("certificates")
        && matches!(&node.value, Value::List(_))
    {
        let message = "a listener with `tls` needs at least one certificate";
        decoder.invalid(&node.place, message, "{cert: certs/edge.pem, key: certs/edge.key}");
    }
    let certificates = nodes.iter().filter_map(|node| {
        let fields = decoder.fields("certificates", &CERTIFICATE, node, &node.place)?;
        let (cert, key) = (file(decoder, &fields, "cert"), key(decoder, &fields));
        Some(CertificateTemplate { cert: cert?, key: key? })
    });
    Some(ListenerTls {
        certificates: certificates.collect(),
        only_tls13: decoder.word(&fields, "minVersion") == Some("1.3"),
        client_auth: client_auth(decoder, &fields),
    })
}

fn client_auth(decoder: &mut Decoder<'_>, tls: &Fields<'_>) -> Option<ClientAuth> {
    let fields = decoder.object(tls, "clientAuth")?;
    let ca = file(decoder, &fields, "ca");
    let required = decoder.word(&fields, "mode") != Some("optional");
    Some(ClientAuth { ca: ca?, required })
}

/// A private key: the path of its file, or where else it is.
fn key(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Spanned<SecretTemplate>> {
    let node = fields.get("key")?;
    if matches!(node.value, Value::Map(_)) {
        return decoder.secret("key", node, fields.key_place("key"));
    }
    let path = file(decoder, fields, "key")?;
    let value = SecretTemplate::File { path: path.value, prefix: String::new() };
    Some(Spanned { value, place: path.place })
}

fn file(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Option<Spanned<String>> {
    let text = decoder.text(fields, key)?;
    if text.contains("-----BEGIN") {
        let message = format!("`{key}` is the path of a PEM file, not what is in it");
        decoder.invalid(&text.place, message, "put it into a file beside the template: certs/edge.pem");
        return None;
    }
    let value = decoder.path(&text, true)?;
    Some(Spanned { value, place: text.place })
}
