//! Consumers by what they show.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};

use super::subject::Pattern;
use crate::principal::Consumer;

/// An index over all Consumers of a plan.
#[derive(Debug, Default)]
pub struct Consumers {
    all: Box<[Arc<Consumer>]>,
    keys: HashMap<[u8; 32], Arc<Consumer>>,
    tokens: HashMap<(String, String), Arc<Consumer>>,
    certificates: Vec<(Pattern, Arc<Consumer>)>,
}

// === impl Consumers ===

impl Consumers {
    /// Indexes them. `compile` has seen to it that no two of them show the same.
    #[must_use]
    pub fn new(all: &[Arc<Consumer>]) -> Self {
        let mut index = Self { all: all.into(), ..Self::default() };
        for consumer in all {
            for key in &consumer.api_keys {
                index.keys.entry(*key).or_insert_with(|| Arc::clone(consumer));
            }
            if let Some(token) = &consumer.jwt {
                index.tokens.entry(token.clone()).or_insert_with(|| Arc::clone(consumer));
            }
            if let Some(uri) = &consumer.mtls {
                index.certificates.push((Pattern::new(uri), Arc::clone(consumer)));
            }
        }
        index
    }

    /// Whether they are the same, wherever they are written.
    #[must_use]
    pub fn same(&self, others: &[Arc<Consumer>]) -> bool {
        self.all.len() == others.len() && self.all.iter().zip(others).all(|(own, other)| own.same(other))
    }

    /// Who has this API key. What is compared is its hash, which tells nothing of how much of a guess is right.
    pub(super) fn of_key(&self, key: &str) -> Option<Arc<Consumer>> {
        let hash: [u8; 32] = digest(&SHA256, key.as_bytes()).as_ref().try_into().ok()?;
        self.keys.get(&hash).cloned()
    }

    /// Whose tokens have this issuer and subject.
    pub(in crate::policy) fn of_token(&self, issuer: &str, subject: &str) -> Option<Arc<Consumer>> {
        if self.tokens.is_empty() {
            return None;
        }
        self.tokens.get(&(issuer.to_owned(), subject.to_owned())).cloned()
    }

    /// Whose certificates have this URI.
    pub(super) fn of_certificate(&self, uri: &str) -> Option<Arc<Consumer>> {
        self.certificates.iter().find(|(pattern, _)| pattern.matches(uri)).map(|(_, one)| Arc::clone(one))
    }
}
