//! `request.principal` of a test: who the request is from, without a credential.

use crate::{
    config::{
        Node,
        decode::{Decoder, Fields},
        keys::{Object, Shape, optional},
    },
    principal::PrincipalKind,
};

pub(super) static PRINCIPAL: Object = Object {
    name: "a principal",
    keys: &[
        optional("kind", Shape::Word(KINDS), "How it was authenticated (jwt)."),
        optional("id", Shape::Text, "`principal.id`; the Consumer's name for an API key."),
        optional("claims", Shape::Map(&Shape::Value), "`principal.claims`"),
        optional("scopes", Shape::List(&Shape::Text), "`principal.scopes`"),
        optional("consumer", Shape::Text, "`principal.consumer`: the name of a Consumer, or any."),
        optional("plan", Shape::Text, "`principal.plan`; that of the Consumer."),
    ],
    one_of: &[],
    open: false,
};

const KINDS: &[&str] = &["jwt", "apiKey", "mtls", "anonymous"];

/// See the module.
#[derive(Clone, Debug)]
pub struct PrincipalTemplate {
    /// `kind` (jwt)
    pub kind: PrincipalKind,
    /// `id`
    pub id: Option<String>,
    /// `claims`
    pub claims: Option<Node>,
    /// `scopes`
    pub scopes: Vec<String>,
    /// `consumer`
    pub consumer: Option<String>,
    /// `plan`
    pub plan: Option<String>,
}

pub(super) fn principal(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<PrincipalTemplate> {
    let fields = decoder.object(fields, "principal")?;
    let kind = match decoder.word(&fields, "kind") {
        None | Some("jwt") => PrincipalKind::Jwt,
        Some("apiKey") => PrincipalKind::ApiKey,
        Some("mtls") => PrincipalKind::Mtls,
        Some(_) => PrincipalKind::Anonymous,
    };
    let _ = decoder.map(&fields, "claims");
    let scopes = decoder.list(&fields, "scopes").iter();
    let scopes = scopes.filter_map(|node| decoder.text_of("scopes", node)).map(|text| text.value).collect();
    let mut text = |key| decoder.text(&fields, key).map(|text| text.value);
    let (id, consumer, plan) = (text("id"), text("consumer"), text("plan"));
    if consumer.is_none() && (plan.is_some() || kind == PrincipalKind::ApiKey) {
        let (key, message) = match plan {
            Some(_) => ("plan", "only a Consumer has a `plan`"),
            None => ("kind", "an API key is always a Consumer's"),
        };
        decoder.invalid(fields.key_place(key), message, "add `consumer: NAME`");
    }
    Some(PrincipalTemplate { kind, id, claims: fields.get("claims").cloned(), scopes, consumer, plan })
}
