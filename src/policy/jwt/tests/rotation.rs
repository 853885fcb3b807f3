//! Keys that come and go: who waits, who does not, and how often anybody may ask.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, advance};

use super::{
    super::{KeySet, Now, Source, Verdict, Verifier, judge},
    copy, issuer,
    make::{self, NOW, es256},
};

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    source: Arc<Source>,
    verifiers: [Arc<Verifier>; 1],
}

impl Bench {
    fn new(cooldown: u64) -> Self {
        let source = Source::fetched(Duration::from_secs(cooldown));
        let mut issuer = copy(&issuer(false));
        issuer.algorithms = vec!["ES256".to_owned()];
        let verifier = Verifier::new(Arc::new(issuer), Arc::clone(&source), Arc::default());
        Self { source, verifiers: [Arc::new(verifier)] }
    }

    fn judge(&self, token: &str, since: Instant) -> &'static str {
        match judge(&self.verifiers, token, Now { wall: NOW as f64, since }) {
            Verdict::Principal(_) => "good",
            Verdict::Reject(why) => why,
            Verdict::Wait(_) => "wait",
            Verdict::Unavailable(_) => "unavailable",
        }
    }

    fn arrives(&self, token: &str) -> &'static str {
        self.judge(token, Instant::now())
    }

    fn begin(&self) {
        self.source.begin();
    }

    fn end(&self, set: Option<&str>, next: Duration) {
        let keys =
            set.map(|set| Arc::new(KeySet::parse(Bytes::copy_from_slice(set.as_bytes()), false).unwrap()));
        self.source.end(keys, next);
    }

    /// Whether the task is asked to fetch.
    async fn is_wanted(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(1), self.source.wanted()).await.is_ok()
    }
}

/// A token by a key that no set here has, of this name.
fn unknown(kid: &str) -> String {
    let head = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
    make::OTHER_P256.token(super::Algorithm::Es256, &head, &make::claims())
}

const UNKNOWN: &str = "the token's key is unknown";

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_first_set_and_no_longer() {
    let bench = Bench::new(30);
    let token = es256(&make::claims());
    let before = Instant::now();
    assert_eq!(bench.judge(&token, before), "wait");
    bench.begin();
    advance(SECOND).await;
    let during = Instant::now();
    assert_eq!(bench.judge(&token, during), "wait");
    // It fails: whoever waited is told, and who comes while the next one is far is told at once.
    bench.end(None, 8 * SECOND);
    assert_eq!(bench.judge(&token, before), "unavailable");
    assert_eq!(bench.judge(&token, during), "unavailable");
    advance(SECOND).await;
    assert_eq!(bench.arrives(&token), "unavailable");
    // The next one is near.
    advance(7 * SECOND).await;
    assert_eq!(bench.arrives(&token), "wait");
    bench.begin();
    bench.end(Some(&make::P256.set()), 300 * SECOND);
    assert_eq!(bench.arrives(&token), "good");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_once_in_its_cooldown() {
    let bench = Bench::new(30);
    bench.begin();
    bench.end(Some(&make::P256.set()), 300 * SECOND);
    advance(SECOND).await;
    let came = Instant::now();
    assert_eq!(bench.judge(&unknown("2"), came), "wait");
    // A thousand others wait for the same fetch, and good tokens do not wait.
    for number in 0..1000 {
        assert_eq!(bench.arrives(&unknown(&format!("x{number}"))), "wait");
    }
    assert_eq!(bench.arrives(&es256(&make::claims())), "good");
    assert!(bench.is_wanted().await);
    bench.begin();
    advance(SECOND).await;
    bench.end(Some(&make::P256.set()), 300 * SECOND);
    assert_eq!(bench.judge(&unknown("2"), came), UNKNOWN);
    for _ in 0..28 {
        assert_eq!(bench.arrives(&unknown("2")), UNKNOWN);
        advance(SECOND).await;
    }
    assert!(!bench.is_wanted().await);
    advance(SECOND).await;
    assert_eq!(bench.arrives(&unknown("2")), "wait");
    assert!(bench.is_wanted().await);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_fetch_brings_is_taken() {
    let bench = Bench::new(30);
    bench.begin();
    bench.end(Some(&make::P256.set()), 300 * SECOND);
    advance(SECOND).await;
    let came = Instant::now();
    let token = unknown("2");
    assert_eq!(bench.judge(&token, came), "wait");
    bench.begin();
    let both = format!(
        r#"{{"keys":[{{"kid":"1",{}}},{{"kid":"2",{}}}]}}"#,
        make::P256.jwk(),
        make::OTHER_P256.jwk()
    );
    bench.end(Some(&both), 300 * SECOND);
    assert_eq!(bench.judge(&token, came), "good");
    assert_eq!(bench.arrives(&es256(&make::claims())), "good");
}

#[tokio::test(start_paused = true)]
async fn the_last_good_set_stays_when_fetches_fail() {
    let bench = Bench::new(30);
    bench.begin();
    bench.end(Some(&make::P256.set()), 300 * SECOND);
    for _ in 0..100 {
        bench.begin();
        bench.end(None, 30 * SECOND);
        advance(3600 * SECOND).await;
        assert_eq!(bench.arrives(&es256(&make::claims())), "good");
    }
    // A set without a usable key is a set.
    bench.begin();
    bench.end(Some(r#"{"keys":[]}"#), 300 * SECOND);
    advance(SECOND).await;
    let came = Instant::now();
    assert_eq!(bench.judge(&es256(&make::claims()), came), "wait");
    bench.begin();
    bench.end(None, 300 * SECOND);
    assert_eq!(bench.judge(&es256(&make::claims()), came), UNKNOWN);
}

#[tokio::test(start_paused = true)]
async fn bad_tokens_never_make_anybody_ask() {
    let bench = Bench::new(30);
    bench.begin();
    bench.end(Some(&make::P256.set()), 300 * SECOND);
    advance(SECOND).await;
    let expired = make::claims().replace(&(NOW + 60).to_string(), "1");
    let head = r#"{"alg":"ES256","kid":"2"}"#;
    for token in [
        make::OTHER_P256.token(super::Algorithm::Es256, head, &expired),
        make::OTHER_P256.token(super::Algorithm::Es256, head, &make::claims().replace("orders", "other")),
        make::OTHER_P256.token(super::Algorithm::Es256, head, &make::claims().replace("id.example", "evil")),
        make::RSA.token(super::Algorithm::Rs256, r#"{"alg":"RS256","kid":"2"}"#, &make::claims()),
        // A key that is known does not change because a signature is wrong.
        unknown("1"),
    ] {
        assert!(bench.arrives(&token).starts_with("the token"), "{token}");
    }
    assert!(!bench.is_wanted().await);
}

#[tokio::test(start_paused = true)]
async fn no_request_asks_twice_however_short_the_cooldown() {
    let bench = Bench::new(0);
    bench.begin();
    bench.end(Some(&make::P256.set()), 300 * SECOND);
    advance(SECOND).await;
    let came = Instant::now();
    assert_eq!(bench.judge(&unknown("2"), came), "wait");
    bench.begin();
    bench.end(None, 300 * SECOND);
    assert_eq!(bench.judge(&unknown("2"), came), UNKNOWN);
}
