//! Verifies JSON Web Tokens (RFC 7519) in compact form with a signature (RFC 7515).
//!
//! The signatures are aws-lc-rs's; what stands around them is ours, and short. A crate that takes tokens apart
//! would have to be wrapped so closely that little of it was left: the common one has no ES512, reads header and
//! claims twice, takes an unknown `crit`, an empty HMAC key, RSA of 1024 bits and keys for encryption, and
//! members that stand twice. Here the JSON is read by the strict reader of the gateway, a token's algorithm is a
//! key into what the key set allows and never a choice of its own, and a key that breaks any rule does not exist.
//!
//! Absent: JWE, nested tokens, `none`, keys that a token brings along or points to.

mod algorithm;
mod cache;
mod keys;
mod roca;
mod source;
mod token;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use tokio::{sync::futures::OwnedNotified, time::Instant};

pub use algorithm::Algorithm;
pub use keys::KeySet;
pub use source::Source;

use cache::{Cache, Entry};
use keys::Found;
use source::Lack;
use token::Token;

use super::authenticate::{Consumers, Issuer, KeySource};
use crate::principal::{Principal, PrincipalKind};

/// Why a token is refused, in our own words: they may be shown.
pub type Reject = &'static str;

/// Verifies the tokens of one issuer.
#[derive(Debug)]
pub struct Verifier {
    issuer: Arc<Issuer>,
    algorithms: Box<[Algorithm]>,
    source: Arc<Source>,
    consumers: Arc<Consumers>,
    cache: Cache,
}

/// What a token came to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is good.
    Principal(Arc<Principal>),
    /// It is not.
    Reject(Reject),
    /// That cannot be said before this happens.
    Wait(OwnedNotified),
    /// That cannot be said for so many seconds.
    Unavailable(u64),
}

/// When a token is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Seconds since the epoch.
    pub(super) wall: f64,
    /// When its request came.
    pub(super) since: Instant,
}

// === impl Verifier ===

impl Verifier {
    /// A verifier that remembers nothing yet.
    #[must_use]
    pub fn new(issuer: Arc<Issuer>, source: Arc<Source>, consumers: Arc<Consumers>) -> Self {
        let named = issuer.algorithms.iter().filter_map(|name| Algorithm::parse(name));
        // A secret that others publish is none.
        let local = matches!(issuer.keys, KeySource::File(_));
        let usable = named.filter(|algorithm| local || !algorithm.as_str().starts_with("HS"));
        Self { algorithms: usable.collect(), issuer, source, consumers, cache: Cache::new() }
    }

    /// Whether it does the same as one of this issuer, with these keys and Consumers.
    #[must_use]
    pub fn is_for(&self, issuer: &Issuer, source: &Arc<Source>, consumers: &Arc<Consumers>) -> bool {
        Arc::ptr_eq(&self.source, source)
            && Arc::ptr_eq(&self.consumers, consumers)
            && self.issuer.same(issuer)
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    fn remembered(&self, text: &str, now: Now) -> Option<Arc<Principal>> {
        let entry = self.cache.get(text)?;
        let fresh = now.wall < entry.until && now.wall >= entry.since;
        (fresh && self.source.is_current(entry.keys)).then_some(entry.principal)
    }

    fn verify(&self, token: &Token<'_>, text: &str, now: Now) -> Verdict {
        if !self.algorithms.contains(&token.algorithm) {
            return Verdict::Reject("the token's algorithm is none of its issuer's");
        }
        let facts = match token.check(&self.issuer, now.wall) {
            Ok(facts) => facts,
            Err(why) => return Verdict::Reject(why),
        };
        let Some(keys) = self.source.current() else {
            return match self.source.lacks_set(now.since) {
                Lack::Wait(ended) => Verdict::Wait(ended),
                Lack::Unavailable(left) => Verdict::Unavailable(left.as_secs() + 1),
                // It has come this moment.
                Lack::Final => self.verify(token, text, now),
            };
        };
        let key = match keys.find(token.kid.as_deref(), token.algorithm) {
            Found::Key(key) => key,
            Found::OtherAlgorithm => return Verdict::Reject("the token's algorithm is not its key's"),
            Found::Ambiguous => return Verdict::Reject("the token has no `kid`, and more than one key fits"),
            Found::Unknown => {
                return match self.source.lacks_key(now.since) {
                    Lack::Wait(ended) => Verdict::Wait(ended),
                    Lack::Final | Lack::Unavailable(_) => Verdict::Reject("the token's key is unknown"),
                };
            }
        };
        if !key.verify(token.signed, &token.signature) {
            return Verdict::Reject("the token's signature is not valid");
        }
        let subject = facts.subject.as_deref();
        let consumer = subject.and_then(|subject| self.consumers.of_token(&self.issuer.issuer, subject));
        let principal = Arc::new(Principal {
            kind: PrincipalKind::Jwt,
            id: facts.subject,
            claims: Some(token.claims.clone()),
            scopes: facts.scopes,
            consumer,
        });
        let until = facts.until.min(now.wall + self.issuer.cache_ttl.as_secs_f64());
        let entry = Entry { principal: Arc::clone(&principal), since: now.wall, until, keys: keys.id };
        self.cache.insert(text, entry);
        Verdict::Principal(principal)
    }
}

/// Judges a token by the verifiers of all issuers that a policy takes.
pub(super) fn judge(verifiers: &[Arc<Verifier>], text: &str, now: Now) -> Verdict {
    if text.len() > token::MOST_BYTES {
        return Verdict::Reject("the token is longer than 8 KiB");
    }
    if let Some(principal) = verifiers.iter().find_map(|verifier| verifier.remembered(text, now)) {
        return Verdict::Principal(principal);
    }
    let token = match Token::parse(text) {
        Ok(token) => token,
        Err(why) => return Verdict::Reject(why),
    };
    let Some(issuer) = token.issuer() else { return Verdict::Reject("the token has no `iss`") };
    // One issuer may be written down twice, with other audiences or keys.
    let mut verdict = Verdict::Reject("the token is of an issuer that is not taken");
    for verifier in verifiers.iter().filter(|verifier| verifier.issuer.issuer == *issuer) {
        match verifier.verify(&token, text, now) {
            good @ Verdict::Principal(_) => return good,
            Verdict::Reject(why) => {
                if matches!(verdict, Verdict::Reject(_)) {
                    verdict = Verdict::Reject(why);
                }
            }
            open @ (Verdict::Wait(_) | Verdict::Unavailable(_)) => verdict = open,
        }
    }
    verdict
}
