//! Files of keys that lie in the tree: what is wrong with them is known before anything serves.
//!
//! What lies elsewhere, or is a secret of the machine that serves, is read when a gateway is built; the same rules
//! hold there.

use std::collections::HashSet;

use bytes::Bytes;

use super::super::Findings;
use crate::{
    config::{Tree, policy::PolicyTemplate},
    policy::{
        authenticate::{KeySource, Method},
        jwt::KeySet,
    },
};

/// Judges every file of keys that a Policy names.
pub(super) fn check(templates: &[PolicyTemplate], tree: &Tree, findings: &mut Findings) {
    // A large file that many Policies name is read once.
    let mut good: HashSet<&str> = HashSet::new();
    for template in templates {
        findings.next_document();
        let methods = template.authenticate.iter().flat_map(|settings| &settings.methods);
        let issuers = methods.flat_map(|method| match method {
            Method::Jwt(jwt) => &jwt.issuers[..],
            Method::ApiKey(_) | Method::Mtls(_) => &[],
        });
        for issuer in issuers {
            let KeySource::File(path) = &issuer.keys else { continue };
            if good.contains(path.as_str()) {
                continue;
            }
            let Some(text) = tree.other(path).and_then(|file| file.text.as_deref()) else { continue };
            match KeySet::of_file(path, Bytes::copy_from_slice(text.as_bytes()), &issuer.place) {
                Ok(_) => {
                    good.insert(path);
                }
                Err(finding) => findings.push(finding),
            }
        }
    }
}
