//! Who a test's request is from.

use std::sync::Arc;

use super::compare;
use crate::{
    config::suite::PrincipalTemplate,
    diagnostic::Place,
    json::Document,
    plan::Plan,
    principal::{Consumer, Principal, PrincipalKind},
};

/// The principal that a test names. A Consumer of the tree gives what the test does not say.
pub(super) fn principal(template: &PrincipalTemplate, plan: &Plan, place: &Place) -> Principal {
    let known = template.consumer.as_ref().map(|name| {
        let known = plan.consumers.iter().find(|consumer| *consumer.name == **name);
        match known
            .filter(|known| template.plan.is_none() || template.plan.as_deref() == known.plan.as_deref())
        {
            Some(known) => Arc::clone(known),
            None => Arc::new(Consumer {
                name: name.as_str().into(),
                plan: template.plan.as_deref().map(Into::into),
                api_keys: Vec::new(),
                jwt: None,
                mtls: None,
                labels: Vec::new(),
                place: place.clone(),
            }),
        }
    });
    let claims = template.claims.as_ref().and_then(|claims| {
        // It was read as a map, whose keys differ.
        Document::parse(compare::encode(Some(claims)).0).ok()
    });
    let id = template.id.as_deref().map(Into::into);
    Principal {
        kind: template.kind,
        id: match (template.kind, &known) {
            (PrincipalKind::ApiKey, Some(consumer)) if id.is_none() => Some(Arc::clone(&consumer.name)),
            _ => id,
        },
        claims,
        scopes: template.scopes.iter().map(|scope| Arc::from(scope.as_str())).collect(),
        consumer: known,
    }
}
