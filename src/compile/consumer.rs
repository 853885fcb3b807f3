//! Consumers: no credential is two Consumers'.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use super::Findings;
use crate::{
    config::consumer::ConsumerTemplate,
    diagnostic::{Code, Diagnostic, Place},
    principal::Consumer,
};

/// Consumers in the order of their files.
pub(super) fn compile(templates: &[ConsumerTemplate], findings: &mut Findings) -> Box<[Arc<Consumer>]> {
    let (mut keys, mut tokens, mut certificates) = (HashMap::new(), HashMap::new(), HashMap::new());
    for template in templates {
        findings.next_document();
        let name = template.metadata.name.value.as_str();
        for key in &template.api_keys {
            claim(&mut keys, key.value, ("API key", name, &key.place), findings);
        }
        if let Some(jwt) = &template.jwt {
            claim(&mut tokens, &jwt.value, ("token", name, &jwt.place), findings);
        }
        if let Some(mtls) = &template.mtls {
            claim(&mut certificates, &mtls.value, ("certificate", name, &mtls.place), findings);
        }
    }
    templates.iter().map(|template| Arc::new(consumer(template))).collect()
}

fn claim<'t, K: Eq + Hash>(
    known: &mut HashMap<K, (&'t str, &'t Place)>,
    credential: K,
    (what, name, place): (&str, &'t str, &'t Place),
    findings: &mut Findings,
) {
    if let Some((first, at)) = known.get(&credential) {
        let message = format!("the Consumers `{first}` and `{name}` have the same {what}");
        findings.push(
            Diagnostic::new(Code::DuplicateCredential, place.clone(), message)
                .help("give each its own")
                .related((*at).clone(), "the first one"),
        );
        return;
    }
    known.insert(credential, (name, place));
}

fn consumer(template: &ConsumerTemplate) -> Consumer {
    let mut labels = template.labels.clone();
    for (name, value) in &template.metadata.labels {
        if !labels.iter().any(|(known, _)| known == name) {
            labels.push((name.clone(), value.clone()));
        }
    }
    Consumer {
        name: Arc::from(template.metadata.name.value.as_str()),
        plan: template.plan.as_deref().map(Arc::from),
        api_keys: template.api_keys.iter().map(|key| key.value).collect(),
        jwt: template.jwt.as_ref().map(|jwt| jwt.value.clone()),
        mtls: template.mtls.as_ref().map(|mtls| mtls.value.clone()),
        labels,
        place: template.metadata.name.place.clone(),
    }
}
