//! A table of tokens and keys, each of which is good or bad for one reason.

mod algorithms;
mod claims;
mod forms;
mod keys;
pub(crate) mod make;
mod remembered;
mod rotation;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::*;
use crate::diagnostic::Place;
use make::NOW;

/// A token, the keys it is judged by, and what must come of it.
struct Case {
    name: String,
    keys: String,
    /// Where the keys come from: only a file may hold secrets.
    file: bool,
    algorithms: Vec<&'static str>,
    issuer: Issuer,
    token: String,
    now: f64,
    good: bool,
}

fn issuer(file: bool) -> Issuer {
    Issuer {
        issuer: "https://id.example.com".to_owned(),
        audiences: vec!["orders".to_owned(), "cart".to_owned()],
        keys: if file {
            KeySource::File("keys.json".to_owned())
        } else {
            KeySource::Uri("https://id.example.com/keys".to_owned())
        },
        algorithms: Vec::new(),
        clock_skew: Duration::from_secs(30),
        required_claims: Vec::new(),
        scopes_claim: None,
        cache_ttl: Duration::from_secs(60),
        cooldown: Duration::from_secs(30),
        place: Place { file: "policies/a.yaml".into(), line: 1, column: 1, width: 1 },
    }
}

impl Case {
    /// A token that must not be taken, judged by a file of one ES256 key.
    fn bad(name: impl Into<String>, token: String) -> Self {
        Self {
            name: name.into(),
            keys: make::P256.set(),
            file: true,
            algorithms: Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect(),
            issuer: issuer(true),
            token,
            now: NOW as f64,
            good: false,
        }
    }

    fn good(name: impl Into<String>, token: String) -> Self {
        Self { good: true, ..Self::bad(name, token) }
    }

    fn keys(self, keys: impl Into<String>) -> Self {
        Self { keys: keys.into(), ..self }
    }

    fn fetched(self) -> Self {
        Self { file: false, issuer: issuer(false), ..self }
    }

    fn algorithms(self, algorithms: &[&'static str]) -> Self {
        Self { algorithms: algorithms.to_vec(), ..self }
    }

    fn at(self, now: f64) -> Self {
        Self { now, ..self }
    }

    fn verdict(&self) -> Verdict {
        let keys = KeySet::parse(Bytes::from(self.keys.clone()), self.file);
        let source = Source::fixed(Arc::new(keys.unwrap_or_else(|_| KeySet::empty())));
        let algorithms = self.algorithms.iter().map(|name| (*name).to_owned()).collect();
        let issuer = Issuer { algorithms, ..copy(&self.issuer) };
        let verifier = Arc::new(Verifier::new(Arc::new(issuer), source, Arc::default()));
        judge(&[verifier], &self.token, at(self.now))
    }
}

fn copy(issuer: &Issuer) -> Issuer {
    Issuer {
        issuer: issuer.issuer.clone(),
        audiences: issuer.audiences.clone(),
        keys: issuer.keys.clone(),
        algorithms: issuer.algorithms.clone(),
        required_claims: issuer.required_claims.clone(),
        scopes_claim: issuer.scopes_claim.clone(),
        place: issuer.place.clone(),
        ..*issuer
    }
}

fn at(wall: f64) -> Now {
    Now { wall, since: Instant::now() }
}

#[test]
fn no_bad_token_is_taken_and_no_good_one_refused() {
    let tables = [algorithms::cases(), forms::cases(), claims::cases(), keys::cases()];
    let cases: Vec<Case> = tables.into_iter().flatten().collect();
    let mut wrong = Vec::new();
    for case in &cases {
        match (case.verdict(), case.good) {
            (Verdict::Principal(_), true) | (Verdict::Reject(_), false) => {}
            (verdict, _) => wrong.push(format!("{}: {verdict:?}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 200, "{}", cases.len());
}
