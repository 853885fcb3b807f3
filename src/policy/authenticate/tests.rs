//! Methods together: which credential counts, and what is answered when none does.

use std::{net::SocketAddr, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    headers::{ClientCertificate, Peer},
    policy::{
        jwt::{KeySet, Source as Keys, Verifier, tests::make},
        testing,
    },
    principal::Consumer,
};

fn place() -> Place {
    Place { file: "policies/a.yaml".into(), line: 1, column: 1, width: 1 }
}

fn jwt() -> Method {
    let bearer = Source::Header(http::header::AUTHORIZATION, Some("Bearer".to_owned()));
    let issuer = Issuer {
        issuer: "https://id.example.com".to_owned(),
        audiences: vec!["orders".to_owned()],
        keys: KeySource::File("keys.json".to_owned()),
        algorithms: vec!["ES256".to_owned()],
        clock_skew: Duration::from_secs(30),
        required_claims: Vec::new(),
        scopes_claim: None,
        cache_ttl: Duration::from_secs(60),
        cooldown: Duration::from_secs(30),
        place: place(),
    };
    let from = vec![bearer, Source::Cookie("session".to_owned()), Source::Query("token".to_owned())];
    Method::Jwt(JwtSettings { issuers: vec![Arc::new(issuer)], from })
}

fn api_key() -> Method {
    let header = Source::Header(http::HeaderName::from_static("x-api-key"), None);
    Method::ApiKey(ApiKeySettings { from: vec![header] })
}

fn mtls() -> Method {
    Method::Mtls(MtlsSettings { subjects: vec!["spiffe://example/team/*".to_owned()] })
}

fn policy(methods: Vec<Method>, all: bool, anonymous: bool) -> Settings {
    Settings { methods, all, anonymous, place: place() }
}

fn consumers() -> Arc<Consumers> {
    let hash = digest(&SHA256, b"key-of-the-app").as_ref().try_into().unwrap();
    let consumer = |name: &str, api_keys: Vec<[u8; 32]>, mtls: Option<&str>| {
        Arc::new(Consumer {
            name: name.into(),
            plan: Some("gold".into()),
            api_keys,
            jwt: None,
            mtls: mtls.map(str::to_owned),
            labels: Vec::new(),
            place: place(),
        })
    };
    Arc::new(Consumers::new(&[
        consumer("app", vec![hash], None),
        consumer("pay-team", Vec::new(), Some("spiffe://example/team/pay")),
    ]))
}

fn certificate(uris: &[&str], not_after: i64) -> ClientCertificate {
    ClientCertificate {
        uris: uris.iter().map(|uri| Box::from(*uri)).collect(),
        dns_names: Box::default(),
        subject: "CN=x".into(),
        fingerprint: [0; 32],
        not_after,
        der: bytes::Bytes::new(),
    }
}

/// A token that is good whenever the tests run.
fn token() -> String {
    make::es256(
        r#"{"iss":"https://id.example.com","aud":"orders","sub":"ann","scope":"read","exp":9999999999}"#,
    )
}

fn expired() -> String {
    make::es256(r#"{"iss":"https://id.example.com","aud":"orders","sub":"ann","exp":1}"#)
}

/// `KIND ID CONSUMER` of who a request is from, or the refusal and its challenges.
async fn ask(policies: Vec<Settings>, head: &str, peer: Option<ClientCertificate>) -> String {
    let consumers = consumers();
    let keys = KeySet::parse(make::P256.set().into(), true).unwrap();
    let keys = Keys::fixed(Arc::new(keys));
    let all = policies.iter().map(|settings| {
        let verifier = |issuer: &Arc<Issuer>| {
            Arc::new(Verifier::new(Arc::clone(issuer), Arc::clone(&keys), Arc::clone(&consumers)))
        };
        Arc::new(Authenticator::new(settings, &consumers, verifier))
    });
    let endpoint = service_fn(|request: Request<Body>| async move {
        let exchange = request.body().carried::<Exchange>().unwrap();
        let principal = exchange.principal.get().unwrap();
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let spent = exchange.spent.get().map_or(0, |spent| spent.len());
        let who = format!(
            "{} {} {} {spent}",
            principal.kind.as_str(),
            text(principal.id.as_deref()),
            text(principal.consumer.as_ref().map(|consumer| &*consumer.name)),
        );
        Ok::<_, Error>(Response::new(Body::full(who)))
    });
    let service = AuthenticateLayer::new(all.collect()).layer(endpoint);
    let mut exchange = testing::exchange();
    exchange.peer = Arc::new(Peer::over_tls(SocketAddr::from(([192, 0, 2, 1], 4000)), peer));
    match service.oneshot(testing::request(head, exchange)).await {
        Ok(response) => {
            String::from_utf8(response.into_body().collect(1000).await.unwrap().to_vec()).unwrap()
        }
        Err(error) => {
            let challenges = error.response_headers().iter().map(|(_, value)| value.to_str().unwrap());
            format!("{} {}", error.kind().code(), challenges.collect::<Vec<_>>().join(" | "))
        }
    }
}

const KEY: &str = "ApiKey in=\"header\", name=\"x-api-key\"";

#[tokio::test]
async fn a_credential_says_who_it_is() {
    let any = || vec![policy(vec![jwt(), api_key(), mtls()], false, false)];
    let pay = || Some(certificate(&["spiffe://example/team/pay"], i64::MAX));
    let bearer = format!("GET /\nauthorization: Bearer {}", token());
    assert_eq!(ask(any(), &bearer, None).await, "jwt ann - 1");
    // What stands in a later place of the same kind goes no further either.
    assert_eq!(ask(any(), &format!("{bearer}\ncookie: session={}", token()), None).await, "jwt ann - 4");
    assert_eq!(ask(any(), "GET /\nx-api-key: key-of-the-app", None).await, "apiKey app app 1");
    assert_eq!(ask(any(), "GET /", pay()).await, "mtls spiffe://example/team/pay pay-team 0");
    let ops = Some(certificate(&["spiffe://example/team/ops"], i64::MAX));
    assert_eq!(ask(any(), "GET /", ops).await, "mtls spiffe://example/team/ops - 0");
    assert_eq!(ask(any(), &format!("GET /\ncookie: a=b; session={}", token()), None).await, "jwt ann - 1");
    assert_eq!(ask(any(), &format!("GET /?token={}", token()), None).await, "jwt ann - 1");
    // The first of the document wins, wherever it stands in the request.
    let both = format!("GET /\nx-api-key: key-of-the-app\nauthorization: bearer {}", token());
    // And what another method would have read goes no further, whether it is good or bad.
    assert_eq!(ask(any(), &both, pay()).await, "jwt ann - 4");
    assert_eq!(
        ask(any(), "GET /\nx-api-key: unknown", pay()).await,
        "mtls spiffe://example/team/pay pay-team 1"
    );
    let keys_first = vec![policy(vec![api_key(), jwt()], false, false)];
    assert_eq!(ask(keys_first, &both, None).await, "apiKey app app 4");
    // Any one that succeeds is enough.
    let one_bad = format!("GET /\nx-api-key: key-of-the-app\nauthorization: Bearer {}", expired());
    assert_eq!(ask(any(), &one_bad, None).await, "apiKey app app 4");
}

#[tokio::test]
async fn who_shows_nothing_or_something_bad_is_challenged() {
    let any = |anonymous| vec![policy(vec![jwt(), api_key()], false, anonymous)];
    assert_eq!(ask(any(false), "GET /", None).await, format!("unauthenticated Bearer | {KEY}"));
    assert_eq!(ask(any(true), "GET /", None).await, "anonymous - - 0");
    assert_eq!(ask(any(true), "GET /\nauthorization: Basic YTpi", None).await, "anonymous - - 0");
    // Bad ones are refused, anonymous or not.
    for anonymous in [false, true] {
        for (head, why) in [
            (format!("GET /\nauthorization: Bearer {}", expired()), "the token has expired"),
            ("GET /\nauthorization: Bearer".to_owned(), "the token has not three parts"),
            ("GET /\ncookie: session=x".to_owned(), "the token has not three parts"),
            ("GET /?token=".to_owned(), "the token has not three parts"),
            (
                format!("GET /\nauthorization: Bearer {0}\nauthorization: Bearer {0}", token()),
                "there is more than one credential in one place",
            ),
            (format!("GET /?token={0}&token={0}", token()), "there is more than one credential in one place"),
            (
                format!("GET /\nauthorization: Bearer {}\nauthorization: Basic YTpi", token()),
                "there is more than one credential in one place",
            ),
        ] {
            let expected = format!(
                "unauthenticated Bearer error=\"invalid_token\", error_description=\"{why}\" | {KEY}"
            );
            assert_eq!(ask(any(anonymous), &head, None).await, expected, "{head}");
        }
        for key in ["", "key-of-the-ap", "key-of-the-app ", "KEY-OF-THE-APP", "key-of-the-app,key-of-the-app"]
        {
            let head = format!("GET /\nx-api-key: {key}x");
            assert_eq!(ask(any(anonymous), &head, None).await, format!("unauthenticated Bearer | {KEY}"));
        }
        let twice = "GET /\nx-api-key: key-of-the-app\nx-api-key: key-of-the-app";
        assert_eq!(ask(any(anonymous), twice, None).await, format!("unauthenticated Bearer | {KEY}"));
        // A good one in a later place does not make up for a bad one in an earlier.
        let places = format!("GET /?token={}\nauthorization: Bearer x", token());
        assert!(ask(any(anonymous), &places, None).await.starts_with("unauthenticated Bearer error"));
    }
}

#[tokio::test]
async fn a_token_counts_in_its_places_and_as_it_is_spelt_there() {
    let token = token();
    let t = token.as_str();
    for (head, expected) in [
        (format!("GET /\nauthorization: Bearer {t}"), "jwt"),
        (format!("GET /\nauthorization: BEARER {t}"), "jwt"),
        (format!("GET /\nAuthorization: bearer   {t}"), "jwt"),
        (format!("GET /?to%6Ben={t}"), "jwt"),
        (format!("GET /\ncookie: a=b; session=\"{t}\""), "jwt"),
        // Bad ones, though a part of each is good.
        (format!("GET /\nauthorization: Bearer {t}, Bearer {t}"), "bad"),
        (format!("GET /\nauthorization: Bearer {t},{t}"), "bad"),
        (format!("GET /\nauthorization: Bearer {t} {t}"), "bad"),
        (format!("GET /\nauthorization: Bearer Bearer {t}"), "bad"),
        (format!("GET /\nauthorization: Bearer \"{t}\""), "bad"),
        (format!("GET /\nauthorization: Bearer <{t}>"), "bad"),
        (format!("GET /\nauthorization: Bearer {t};"), "bad"),
        (format!("GET /\nauthorization: Bearer {t}%20"), "bad"),
        (format!("GET /\nauthorization: Bearer {t}\nauthorization: Bearer"), "bad"),
        (format!("GET /\nauthorization: Basic YTpi\nauthorization: Bearer {t}"), "bad"),
        (format!("GET /\ncookie: session={t}; session={t}"), "bad"),
        (format!("GET /\ncookie: session=x\ncookie: session={t}"), "bad"),
        (format!("GET /\ncookie: session={t}\ncookie: a=b; session="), "bad"),
        (format!("GET /\ncookie: session={t}%3D"), "bad"),
        (format!("GET /?token={t}&token="), "bad"),
        (format!("GET /?token={t}&to%6ben=x"), "bad"),
        (format!("GET /?token={t};x=1"), "bad"),
        (format!("GET /?token={t}+"), "bad"),
        // Other places and other schemes are none.
        (format!("GET /\nauthorization: {t}"), "none"),
        (format!("GET /\nauthorization: Bearer={t}"), "none"),
        (format!("GET /\nauthorization: Bearer,{t}"), "none"),
        (format!("GET /\nauthorization: Bearer{t}"), "none"),
        (format!("GET /\nauthorization: JWT {t}"), "none"),
        (format!("GET /\nauthorization: DPoP {t}"), "none"),
        (format!("GET /\nauthorization: Basic {t}"), "none"),
        (format!("GET /\nauthorization: Basic YTpi, Bearer {t}"), "none"),
        (format!("GET /\nproxy-authorization: Bearer {t}"), "none"),
        (format!("GET /\nx-authorization: Bearer {t}"), "none"),
        (format!("GET /\nx-access-token: {t}"), "none"),
        (format!("GET /\ncookie: Session={t}"), "none"),
        (format!("GET /\ncookie: xsession={t}; session.x={t}; {t}"), "none"),
        (format!("GET /\ncookie: a=session={t}"), "none"),
        (format!("GET /\ncookie2: session={t}"), "none"),
        (format!("GET /?Token={t}"), "none"),
        (format!("GET /?token[]={t}"), "none"),
        (format!("GET /?a=1;token={t}"), "none"),
        (format!("GET /?access_token={t}"), "none"),
        (format!("GET /token={t}"), "none"),
    ] {
        let found = ask(vec![policy(vec![jwt()], false, true)], &head, None).await;
        let found = match &*found {
            "jwt ann - 1" => "jwt",
            "anonymous - - 0" => "none",
            refused if refused.starts_with("unauthenticated Bearer error=") => "bad",
            other => other,
        };
        assert_eq!(found, expected, "{}", head.replace(t, "TOKEN"));
    }
}

#[tokio::test]
async fn a_certificate_counts_with_one_uri_that_fits_and_while_it_lasts() {
    let only = |anonymous| vec![policy(vec![mtls()], false, anonymous)];
    let fine = "spiffe://example/team/a";
    for (uris, not_after, good) in [
        (&[fine][..], i64::MAX, true),
        (&[fine], 0, false),
        (&[], i64::MAX, false),
        (&[fine, fine], i64::MAX, false),
        (&[fine, "https://example.com"], i64::MAX, false),
        (&["spiffe://example/team/a/b"], i64::MAX, false),
        (&["spiffe://EXAMPLE/team/a"], i64::MAX, false),
        (&["spiffe://example/team/%61"], i64::MAX, false),
        (&[fine, "\u{fffd}x"], i64::MAX, false),
    ] {
        for anonymous in [false, true] {
            let found = ask(only(anonymous), "GET /", Some(certificate(uris, not_after))).await;
            let expected =
                if good { "mtls spiffe://example/team/a - 0" } else { "unauthenticated ClientCertificate" };
            assert_eq!(found, expected, "{uris:?} {not_after}");
        }
    }
    assert_eq!(ask(only(false), "GET /", None).await, "unauthenticated ClientCertificate");
    assert_eq!(ask(only(true), "GET /", None).await, "anonymous - - 0");
}

#[tokio::test]
async fn all_means_each_and_the_first_is_who_it_is() {
    let all = |anonymous| vec![policy(vec![mtls(), jwt()], true, anonymous)];
    let pay = || Some(certificate(&["spiffe://example/team/pay"], i64::MAX));
    let bearer = format!("GET /\nauthorization: Bearer {}", token());
    assert_eq!(ask(all(false), &bearer, pay()).await, "mtls spiffe://example/team/pay pay-team 1");
    for anonymous in [false, true] {
        for (head, peer) in [(&*bearer, None), ("GET /", pay()), ("GET /\nauthorization: Bearer x", pay())] {
            assert!(ask(all(anonymous), head, peer).await.starts_with("unauthenticated "), "{head}");
        }
    }
    assert_eq!(ask(all(true), "GET /", None).await, "anonymous - - 0");
}

#[tokio::test]
async fn every_policy_must_be_satisfied_and_the_first_with_somebody_says_who() {
    let both = |first, second| vec![policy(vec![first], false, false), policy(vec![second], false, false)];
    let head = format!("GET /\nx-api-key: key-of-the-app\nauthorization: Bearer {}", token());
    assert_eq!(ask(both(jwt(), api_key()), &head, None).await, "jwt ann - 2");
    assert_eq!(ask(both(api_key(), jwt()), &head, None).await, "apiKey app app 2");
    let only_key = "GET /\nx-api-key: key-of-the-app";
    assert_eq!(ask(both(jwt(), api_key()), only_key, None).await, "unauthenticated Bearer");
    let only_token = format!("GET /\nauthorization: Bearer {}", token());
    assert_eq!(ask(both(jwt(), api_key()), &only_token, None).await, format!("unauthenticated {KEY}"));
    // A mandate that lets anybody in does not hide whom the route's own policy knows.
    let open = || policy(Vec::new(), false, true);
    assert_eq!(ask(vec![open(), policy(vec![jwt()], false, false)], &only_token, None).await, "jwt ann - 1");
    assert_eq!(ask(vec![open()], "GET /", None).await, "anonymous - - 0");
    assert_eq!(ask(vec![open()], &only_token, None).await, "anonymous - - 0");
}

#[tokio::test]
async fn who_is_known_already_is_not_asked() {
    let consumers = consumers();
    let settings = policy(vec![api_key()], false, false);
    let all = [Arc::new(Authenticator::new(&settings, &consumers, |_| unreachable!()))];
    let endpoint = service_fn(|_: Request<Body>| async { Ok::<_, Error>(Response::new(Body::empty())) });
    let service = AuthenticateLayer::new(all.into()).layer(endpoint);
    let mut exchange = testing::exchange();
    exchange.principal = Arc::new(crate::principal::Principal::anonymous()).into();
    assert!(service.oneshot(testing::request("GET /", exchange)).await.is_ok());
}
