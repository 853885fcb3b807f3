//! `kind: Unit`: the ground that a business unit publishes on, and what it may use.

use super::{
    Metadata, Spanned,
    consumer::labels,
    decode::{Decoder, Fields},
    document::document_keys,
    keys::{Object, Shape, optional, required},
    url,
};
use crate::{diagnostic::Place, headers::Network};

/// `kind: Unit`
pub(super) static UNIT: Object = Object {
    name: "a Unit",
    keys: document_keys![
        optional("owns", Shape::List(&Shape::Object(&GROUND)), "The ground that its routes lie on."),
        optional("labels", Shape::Map(&Shape::Text), "What bindings select by: `unitLabels`."),
        optional("grants", Shape::Object(&GRANTS), "What its templates may use; nothing without."),
    ],
    one_of: &[],
    open: false,
};

static GROUND: Object = Object {
    name: "an entry of owns",
    keys: &[
        optional("host", Shape::Text, "An exact host or `*.example.com`; every host when absent."),
        required("prefix", Shape::Text, "The path that its routes lie under; `/` for all."),
    ],
    one_of: &[],
    open: false,
};

static GRANTS: Object = Object {
    name: "grants",
    keys: &[
        optional("secrets", Shape::List(&Shape::Text), "Environment variables: `CRM_TOKEN`, `CRM_*`."),
        optional(
            "egress",
            Shape::List(&Shape::Text),
            "Hosts of upstreams: `crm.internal`, `*.internal`, `10.1.0.0/16`.",
        ),
        optional("files", Shape::List(&Shape::Text), "Folders outside of its own, relative to this file."),
    ],
    one_of: &[],
    open: false,
};

/// A Unit document.
#[derive(Clone, Debug)]
pub struct UnitTemplate {
    /// Its metadata; the name is that of the folder under `routes/`.
    pub metadata: Metadata,
    /// `owns`
    pub owns: Vec<GroundTemplate>,
    /// `labels`, and those of `metadata` that have no other value there.
    pub labels: Vec<(String, String)>,
    /// `grants`
    pub grants: GrantsTemplate,
    /// Keys that are misspelt or have an entry that cannot be read, so that not all that stands under them is known.
    pub unread: Vec<&'static str>,
}

/// An entry of `owns`.
#[derive(Clone, Debug)]
pub struct GroundTemplate {
    /// `host`, lower case; every host when absent.
    pub host: Option<String>,
    /// `prefix`, as written.
    pub prefix: Spanned<String>,
    /// Where it stands.
    pub place: Place,
}

/// `grants`
#[derive(Clone, Debug, Default)]
pub struct GrantsTemplate {
    /// `secrets`: names of environment variables, with a `*` at the end maybe.
    pub secrets: Vec<Spanned<String>>,
    /// `egress`
    pub egress: Vec<Spanned<EgressTemplate>>,
    /// `files`: folders relative to the configuration directory.
    pub files: Vec<Spanned<String>>,
}

/// An entry of `grants.egress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressTemplate {
    /// An exact host, lower case.
    Host(String),
    /// `*.suffix`: every host below.
    Below(String),
    /// Addresses.
    Network(Network),
}

impl UnitTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, metadata: Metadata, fields: &Fields<'_>) -> Self {
        let mut all = labels(decoder, fields, "labels");
        for (name, value) in &metadata.labels {
            if !all.iter().any(|(known, _)| known == name) {
                all.push((name.clone(), value.clone()));
            }
        }
        let mut unread = fields.misspelt(&["owns", "labels", "grants"]);
        let before = decoder.count_findings();
        let owns = owns(decoder, fields);
        if decoder.count_findings() > before {
            unread.push("owns");
        }
        let grants = grants(decoder, fields, &mut unread);
        Self { owns, labels: all, grants, unread, metadata }
    }
}

fn owns(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<GroundTemplate> {
    let mut owns = Vec::new();
    for node in decoder.list(fields, "owns") {
        let Some(fields) = &decoder.fields("owns", &GROUND, node, &node.place) else { continue };
        let host = decoder.text(fields, "host");
        if let Some(host) = &host
            && !url::is_host(host.strip_prefix("*.").unwrap_or(host))
        {
            let message = format!("`{}` is no host", host.value);
            decoder.invalid(&host.place, message, "an exact host or `*.example.com`, without a port");
            continue;
        }
        let Some(prefix) = decoder.text(fields, "prefix") else { continue };
        let host = host.map(|host| host.to_ascii_lowercase());
        owns.push(GroundTemplate { host, prefix, place: node.place.clone() });
    }
    owns
}

fn grants(decoder: &mut Decoder<'_>, fields: &Fields<'_>, unread: &mut Vec<&'static str>) -> GrantsTemplate {
    let Some(fields) = &decoder.object(fields, "grants") else {
        unread.extend(fields.get("grants").map(|_| "grants"));
        return GrantsTemplate::default();
    };
    unread.extend(fields.misspelt(&["secrets", "egress"]));
    let mut found = GrantsTemplate::default();
    let mut before = decoder.count_findings();
    for node in decoder.list(fields, "secrets") {
        let Some(text) = decoder.text_of("secrets", node) else { continue };
        let stem = text.strip_suffix('*').unwrap_or(&text);
        if stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !text.is_empty() {
            found.secrets.push(text);
        } else {
            let message = format!("`{}` names no environment variable", text.value);
            decoder.invalid(&text.place, message, "CRM_TOKEN, or CRM_* for all that start so");
        }
    }
    if decoder.count_findings() > before {
        unread.push("secrets");
    }
    before = decoder.count_findings();
    for node in decoder.list(fields, "egress") {
        let Some(text) = decoder.text_of("egress", node) else { continue };
        match EgressTemplate::parse(&text) {
            Some(value) => found.egress.push(Spanned { value, place: text.place }),
            None => {
                let message = format!("`{}` is no host and no network", text.value);
                decoder.invalid(&text.place, message, "crm.internal, *.internal or 10.1.0.0/16; no port");
            }
        }
    }
    if decoder.count_findings() > before {
        unread.push("egress");
    }
    for node in decoder.list(fields, "files") {
        let Some(text) = decoder.text_of("files", node) else { continue };
        match super::value::join(decoder.file, &text) {
            Some(value) => found.files.push(Spanned { value, place: text.place }),
            None => {
                let message = format!("`{}` leaves the configuration directory", text.value);
                decoder.invalid(&text.place, message, "paths are relative to this file");
            }
        }
    }
    found
}

impl EgressTemplate {
    /// Reads an entry; an IP stands for itself.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(network) = Network::parse(text) {
            return Some(Self::Network(network));
        }
        let below = text.strip_prefix("*.");
        let host = below.unwrap_or(text).trim_end_matches('.').to_ascii_lowercase();
        // `10.1.0.0/33` and the like are slips, no hosts.
        if !url::is_host(&host) || host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return None;
        }
        Some(if below.is_some() { Self::Below(host) } else { Self::Host(host) })
    }

    /// Whether a host is granted: a name by its name, an address as a name or by its network.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match self {
            Self::Host(granted) => *granted == host,
            Self::Below(suffix) => {
                host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            Self::Network(network) => host.parse().is_ok_and(|address| network.contains(address)),
        }
    }
}
