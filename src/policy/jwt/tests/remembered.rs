//! What is remembered of a good token, and for how long.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    super::{KeySet, Source, Verdict, Verifier, judge},
    at, copy, issuer,
    make::{self, NOW, Signer, es256},
};
use crate::{
    diagnostic::Place,
    policy::authenticate::{Consumers, Issuer},
    principal::{Consumer, Principal},
};

const NOW_F: f64 = NOW as f64;

fn keys(text: &str) -> Arc<KeySet> {
    Arc::new(KeySet::parse(Bytes::copy_from_slice(text.as_bytes()), false).unwrap())
}

fn verifier(source: &Arc<Source>, change: impl FnOnce(&mut Issuer)) -> [Arc<Verifier>; 1] {
    let mut issuer = Issuer { algorithms: vec!["ES256".to_owned()], ..copy(&issuer(false)) };
    change(&mut issuer);
    [Arc::new(Verifier::new(Arc::new(issuer), Arc::clone(source), Arc::default()))]
}

fn principal(verdict: Verdict) -> Option<Arc<Principal>> {
    match verdict {
        Verdict::Principal(principal) => Some(principal),
        Verdict::Reject(_) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_token_is_verified_once_within_its_time() {
    let source = Source::fixed(keys(&make::P256.set()));
    let verifiers = verifier(&source, |_| {});
    let token = es256(&make::claims());
    let first = principal(judge(&verifiers, &token, at(NOW_F))).unwrap();
    let again = principal(judge(&verifiers, &token, at(NOW_F + 59.0))).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    // After `cacheTtl` it is verified anew.
    let later = principal(judge(&verifiers, &token, at(NOW_F + 61.0))).unwrap();
    assert!(!Arc::ptr_eq(&first, &later));
    // Remembered then, it is over all the same: 60 s and 30 s of skew after NOW.
    assert!(principal(judge(&verifiers, &token, at(NOW_F + 89.0))).is_some());
    assert!(principal(judge(&verifiers, &token, at(NOW_F + 90.0))).is_none());
    // A clock that was set back is not led by what a later one saw.
    let token = es256(&format!(
        r#"{{"iss":"https://id.example.com","aud":"orders","exp":{},"nbf":{NOW}}}"#,
        NOW + 9000
    ));
    assert!(principal(judge(&verifiers, &token, at(NOW_F))).is_some());
    assert!(principal(judge(&verifiers, &token, at(NOW_F - 3600.0))).is_none());
}

#[test]
fn nothing_is_remembered_without_a_time_for_it() {
    let source = Source::fixed(keys(&make::P256.set()));
    let verifiers = verifier(&source, |issuer| issuer.cache_ttl = Duration::ZERO);
    let token = es256(&make::claims());
    let first = principal(judge(&verifiers, &token, at(NOW_F))).unwrap();
    let again = principal(judge(&verifiers, &token, at(NOW_F))).unwrap();
    assert!(!Arc::ptr_eq(&first, &again));
}

#[test]
fn what_differs_in_one_character_is_another_token() {
    let source = Source::fixed(keys(&make::P256.set()));
    let verifiers = verifier(&source, |_| {});
    let token = es256(&make::claims());
    assert!(principal(judge(&verifiers, &token, at(NOW_F))).is_some());
    // The last one ends with the same signature.
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged =
        format!("{}.{signature}", es256(&make::claims_with(",\"admin\":true")).rsplit_once('.').unwrap().0);
    assert_ne!(forged[..signed.len()], *signed);
    for other in [format!("{token}="), token[..token.len() - 1].to_owned(), token.to_uppercase(), forged] {
        assert!(principal(judge(&verifiers, &other, at(NOW_F))).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_takes_its_tokens_along() {
    let source = Source::fetched(Duration::from_secs(30));
    let end = |text: &str| {
        source.begin();
        source.end(Some(keys(text)), Duration::from_secs(300));
    };
    end(&make::P256.set());
    let verifiers = verifier(&source, |_| {});
    let token = es256(&make::claims());
    assert!(principal(judge(&verifiers, &token, at(NOW_F))).is_some());
    // The same name, another key.
    end(&make::OTHER_P256.set());
    assert!(principal(judge(&verifiers, &token, at(NOW_F))).is_none());
    let new =
        make::OTHER_P256.token(super::Algorithm::Es256, r#"{"alg":"ES256","kid":"1"}"#, &make::claims());
    assert!(principal(judge(&verifiers, &new, at(NOW_F))).is_some());
}

#[test]
fn a_policy_with_other_audiences_does_not_take_what_another_has_verified() {
    let source = Source::fixed(keys(&make::P256.set()));
    let orders = verifier(&source, |_| {});
    let stock = verifier(&source, |issuer| issuer.audiences = vec!["stock".to_owned()]);
    let token = es256(&make::claims());
    assert!(principal(judge(&orders, &token, at(NOW_F))).is_some());
    assert!(principal(judge(&stock, &token, at(NOW_F))).is_none());
    // Both at once: one issuer written down twice.
    let both = [stock, orders].concat();
    assert!(principal(judge(&both, &token, at(NOW_F))).is_some());
}

#[test]
fn many_tokens_take_no_more_than_their_share() {
    let secret = Signer::Secret(vec![3; 32]);
    let source = Source::fixed(Arc::new(KeySet::parse(Bytes::from(secret.set()), true).unwrap()));
    let mut issuer = issuer(true);
    issuer.algorithms = vec!["HS256".to_owned()];
    let verifiers = [Arc::new(Verifier::new(Arc::new(issuer), source, Arc::default()))];
    let token = |number: u32| {
        let claims = make::claims_with(&format!(r#","jti":"{number}","fill":"{}""#, "x".repeat(4000)));
        secret.token(super::Algorithm::Hs256, r#"{"alg":"HS256","kid":"1"}"#, &claims)
    };
    // One that is asked for again and again stays, however many others come once.
    let regular = token(0);
    let first = principal(judge(&verifiers, &regular, at(NOW_F))).unwrap();
    let mut kept = 0;
    for number in 1..=4000 {
        assert!(principal(judge(&verifiers, &token(number), at(NOW_F))).is_some());
        if number % 20 == 0 {
            let again = principal(judge(&verifiers, &regular, at(NOW_F))).unwrap();
            kept += u32::from(Arc::ptr_eq(&first, &again));
        }
    }
    assert!(kept > 150, "{kept} of 200");
    assert!(verifiers[0].cache.bytes() <= 16 * 1024 * 1024, "{}", verifiers[0].cache.bytes());
    assert!(verifiers[0].cache.len() < 2000, "{}", verifiers[0].cache.len());
}

#[test]
fn a_token_is_its_consumers_by_issuer_and_subject() {
    let consumer = |name: &str, issuer: &str, subject: &str| {
        Arc::new(Consumer {
            name: name.into(),
            plan: Some("gold".into()),
            api_keys: Vec::new(),
            jwt: Some((issuer.to_owned(), subject.to_owned())),
            mtls: None,
            labels: Vec::new(),
            place: Place { file: "policies/c.yaml".into(), line: 1, column: 1, width: 1 },
        })
    };
    let consumers = Consumers::new(&[
        consumer("other", "https://other.example.com", "ann"),
        consumer("app", "https://id.example.com", "ann"),
    ]);
    let mut issuer = issuer(false);
    issuer.algorithms = vec!["ES256".to_owned()];
    let source = Source::fixed(keys(&make::P256.set()));
    let verifiers = [Arc::new(Verifier::new(Arc::new(issuer), source, Arc::new(consumers)))];
    let found = principal(judge(&verifiers, &es256(&make::claims()), at(NOW_F))).unwrap();
    assert_eq!(found.consumer.as_ref().map(|consumer| &*consumer.name), Some("app"));
    let bob = make::claims().replace("ann", "bob");
    let found = principal(judge(&verifiers, &es256(&bob), at(NOW_F))).unwrap();
    assert!(found.consumer.is_none() && found.id.as_deref() == Some("bob"));
}
