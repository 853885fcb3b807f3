//! Keys over a wire: an endpoint of our own that does what endpoints do on bad days.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    body::Body,
    descriptors::Descriptors,
    diagnostic::Place,
    error::Error,
    policy::{
        authenticate::{AuthenticateLayer, JwtSettings, Method, Source as Credential},
        jwt::{Algorithm, tests::make},
        testing,
    },
    telemetry::registry::Registry,
};

/// An endpoint on loopback: what it writes for each connection, by its number and the request's head.
struct Endpoint {
    url: String,
    hits: Arc<AtomicUsize>,
}

impl Endpoint {
    fn new(answer: impl Fn(usize, &str, TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&hits);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                answer(count.fetch_add(1, SeqCst), &String::from_utf8_lossy(&head), stream);
            }
        });
        Self { url, hits }
    }

    /// Answers with a body, always.
    fn json(body: impl Fn(usize) -> String + Send + 'static) -> Self {
        Self::new(move |hit, _, stream| reply(stream, "200 OK", "", &body(hit)))
    }

    fn hits(&self) -> usize {
        self.hits.load(SeqCst)
    }
}

fn reply(mut stream: TcpStream, status: &str, fields: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn network() -> Arc<Network> {
    Arc::new(Network::system(Descriptors::unbounded()))
}

fn store() -> Arc<Store> {
    let instruments = KeyInstruments::new(Arc::new(Registry::new(1)));
    Store::new(tokio::runtime::Handle::current(), network(), instruments)
}

struct Files(Vec<(&'static str, String)>);

impl Sources for Files {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| text.clone().into_bytes()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

fn settings(keys: KeySource, issuer: &str) -> Settings {
    let place = Place { file: "policies/a.yaml".into(), line: 3, column: 5, width: 1 };
    let issuer = Issuer {
        issuer: issuer.to_owned(),
        audiences: vec!["orders".to_owned()],
        keys,
        algorithms: ["ES256", "HS256", "RS256"].map(str::to_owned).to_vec(),
        clock_skew: Duration::from_secs(30),
        required_claims: Vec::new(),
        scopes_claim: None,
        cache_ttl: Duration::from_secs(60),
        cooldown: Duration::from_secs(30),
        place: place.clone(),
    };
    let bearer = Credential::Header(http::header::AUTHORIZATION, Some("Bearer".to_owned()));
    let jwt = JwtSettings { issuers: vec![Arc::new(issuer)], from: vec![bearer] };
    Settings { methods: vec![Method::Jwt(jwt)], all: false, anonymous: false, place }
}

fn by_uri(url: &str) -> Settings {
    settings(KeySource::Uri(format!("{url}/keys")), "https://id.example.com")
}

fn authenticator(store: &Store, settings: &Settings) -> Arc<Authenticator> {
    let mut findings = Vec::new();
    let made = store.authenticator(settings, &store.consumers(&[]), &Files(Vec::new()), &mut findings);
    assert!(findings.is_empty(), "{findings:?}");
    Arc::new(made)
}

fn token(kid: &str, key: &make::Signer) -> String {
    token_of("https://id.example.com", kid, key)
}

fn token_of(issuer: &str, kid: &str, key: &make::Signer) -> String {
    let claims = format!(r#"{{"iss":"{issuer}","aud":"orders","sub":"ann","exp":9999999999}}"#);
    key.token(Algorithm::Es256, &format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), &claims)
}

/// `ok`, or the code of the refusal.
async fn ask(authenticator: &Arc<Authenticator>, token: &str) -> &'static str {
    let endpoint = service_fn(|_: Request<Body>| async { Ok::<_, Error>(Response::new(Body::empty())) });
    let service = AuthenticateLayer::new([Arc::clone(authenticator)].into()).layer(endpoint);
    let head = format!("GET /\nauthorization: Bearer {token}");
    let outcome = service.oneshot(testing::request(&head, testing::exchange())).await;
    outcome.map_or_else(|error| error.kind().code(), |_| "ok")
}

fn named(kid: &str, key: &make::Signer) -> String {
    format!(r#"{{"keys":[{{"kid":"{kid}",{}}}]}}"#, key.jwk())
}

#[tokio::test]
async fn a_hundred_requests_wait_for_one_fetch() {
    let endpoint = Endpoint::new(|_, head, stream| {
        assert!(head.starts_with("GET /keys HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("accept: application/jwk-set+json, application/json\r\n"), "{head}");
        reply(stream, "200 OK", "content-type: text/plain\r\n", &make::P256.set());
    });
    let known = authenticator(&store(), &by_uri(&endpoint.url));
    let good = token("1", &make::P256);
    let asked = (0..100).map(|_| ask(&known, &good));
    assert!(futures_util::future::join_all(asked).await.iter().all(|outcome| *outcome == "ok"));
    assert_eq!(endpoint.hits(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_flood_of_unknown_ones_asks_once() {
    let endpoint = Endpoint::json(|hit| match hit {
        0 => named("1", &make::P256),
        _ => named("2", &make::OTHER_P256),
    });
    let known = authenticator(&store(), &by_uri(&endpoint.url));
    assert_eq!(ask(&known, &token("1", &make::P256)).await, "ok");
    assert_eq!(ask(&known, &token("2", &make::OTHER_P256)).await, "ok");
    // The old key is gone, and so is what it had verified.
    assert_eq!(ask(&known, &token("1", &make::P256)).await, "unauthenticated");
    for flood in 0..300 {
        let token = token(&format!("x{flood}"), &make::OTHER_P256);
        assert_eq!(ask(&known, &token).await, "unauthenticated");
    }
    assert_eq!(ask(&known, &token("2", &make::OTHER_P256)).await, "ok");
    assert_eq!(endpoint.hits(), 2);
}

#[tokio::test]
async fn what_lies_or_breaks_off_or_leads_elsewhere_is_no_set() {
    let elsewhere = Endpoint::json(|_| make::P256.set());
    let to = elsewhere.url.clone();
    type Answer = Box<dyn Fn(TcpStream) + Send>;
    let answers: Vec<(&str, Answer)> = vec![
        ("a redirect", Box::new(move |s| reply(s, "302 Found", &format!("location: {to}/keys\r\n"), ""))),
        ("an error", Box::new(|s| reply(s, "500 Internal Server Error", "", &make::P256.set()))),
        ("no content", Box::new(|s| reply(s, "204 No Content", "", ""))),
        ("a page", Box::new(|s| reply(s, "200 OK", "content-type: text/html\r\n", "<html>log in</html>"))),
        ("another JSON", Box::new(|s| reply(s, "200 OK", "", r#"{"error":"no"}"#))),
        ("a list", Box::new(|s| reply(s, "200 OK", "", "[]"))),
        ("members that stand twice", Box::new(|s| reply(s, "200 OK", "", r#"{"keys":[],"keys":[]}"#))),
        (
            "more than 1 MiB",
            Box::new(|s| {
                reply(s, "200 OK", "", &format!("{}{}", " ".repeat(1024 * 1024), make::P256.set()));
            }),
        ),
        (
            "more than 1 MiB without a length",
            Box::new(|mut s| {
                let _ = s.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
                while s.write_all(&[b' '; 65536]).is_ok() {}
            }),
        ),
        (
            "half of it",
            Box::new(|mut s| {
                let set = make::P256.set();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", set.len());
                let _ =
                    s.write_all(head.as_bytes()).and_then(|()| s.write_all(&set.as_bytes()[..set.len() / 2]));
            }),
        ),
        ("two lengths", Box::new(|s| reply(s, "200 OK", "content-length: 1\r\n", &make::P256.set()))),
        ("compressed", Box::new(|s| reply(s, "200 OK", "content-encoding: gzip\r\n", "\u{1f}\u{8b}"))),
        ("no HTTP", Box::new(|mut s| drop(s.write_all(b"SSH-2.0-x\r\n")))),
        ("nothing", Box::new(drop)),
    ];
    for (what, answer) in answers {
        let endpoint = Endpoint::new(move |hit, _, stream| match hit {
            // Good once, and then this.
            1 => answer(stream),
            _ => reply(stream, "200 OK", "", &make::P256.set()),
        });
        let known = authenticator(&store(), &by_uri(&endpoint.url));
        assert_eq!(ask(&known, &token("1", &make::P256)).await, "ok", "{what}");
        assert_eq!(ask(&known, &token("2", &make::P256)).await, "unauthenticated", "{what}");
        assert_eq!(endpoint.hits(), 2, "{what}");
        assert_eq!(ask(&known, &token("1", &make::P256)).await, "ok", "{what}: the last good set stays");
    }
    assert_eq!(elsewhere.hits(), 0);
}

#[tokio::test]
async fn without_any_set_it_is_503_and_soon_tried_again() {
    let endpoint = Endpoint::new(|hit, _, stream| match hit {
        0 => reply(stream, "503 Service Unavailable", "", ""),
        _ => reply(stream, "200 OK", "", &make::P256.set()),
    });
    let known = authenticator(&store(), &by_uri(&endpoint.url));
    assert_eq!(ask(&known, &token("1", &make::P256)).await, "keys_unavailable");
    assert_eq!(ask(&known, &token("1", &make::P256)).await, "ok");
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead = authenticator(&store(), &by_uri(&format!("http://127.0.0.1:{port}")));
    assert_eq!(ask(&dead, &token("1", &make::P256)).await, "keys_unavailable");
    // What needs no key to be told is told.
    assert_eq!(ask(&dead, "x.y.z").await, "unauthenticated");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_says_nothing_is_left_after_two_seconds() {
    let held = Mutex::new(Vec::new());
    let endpoint = Endpoint::new(move |_, _, stream| held.lock().unwrap().push(stream));
    let known = authenticator(&store(), &by_uri(&endpoint.url));
    let begun = tokio::time::Instant::now();
    assert_eq!(ask(&known, &token("1", &make::P256)).await, "keys_unavailable");
    assert!(begun.elapsed() <= Duration::from_millis(2100), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn secrets_and_weak_keys_that_are_published_are_none() {
    let secret = make::Signer::Secret(vec![1; 64]);
    let set = secret.set();
    let endpoint = Endpoint::json(move |_| set.clone());
    let known = authenticator(&store(), &by_uri(&endpoint.url));
    let claims = r#"{"iss":"https://id.example.com","aud":"orders","exp":9999999999}"#;
    let token = secret.token(Algorithm::Hs256, r#"{"alg":"HS256","kid":"1"}"#, claims);
    // A set without a usable key is a set: its tokens are bad, not the endpoint.
    assert_eq!(ask(&known, &token).await, "unauthenticated");
}

#[tokio::test]
async fn discovery_believes_only_the_issuer_itself() {
    for (said, good) in [("", true), ("/", false), ("/x", false), (".evil.example.com", false)] {
        let own = Arc::new(std::sync::OnceLock::<String>::new());
        let base = Arc::clone(&own);
        let endpoint = Endpoint::new(move |_, head, stream| {
            let base = base.get().unwrap();
            if head.starts_with("GET /tenant/.well-known/openid-configuration ") {
                let document = format!(r#"{{"issuer":"{base}/tenant{said}","jwks_uri":"{base}/k?v=1"}}"#);
                reply(stream, "200 OK", "", &document);
            } else {
                assert!(head.starts_with("GET /k?v=1 "), "{head}");
                reply(stream, "200 OK", "", &make::P256.set());
            }
        });
        own.set(endpoint.url.clone()).unwrap();
        let issuer = format!("{}/tenant", endpoint.url);
        let known = authenticator(&store(), &settings(KeySource::Discover, &issuer));
        let outcome = ask(&known, &token_of(&issuer, "1", &make::P256)).await;
        assert_eq!(outcome, if good { "ok" } else { "keys_unavailable" }, "{said}");
        assert_eq!(endpoint.hits(), if good { 2 } else { 1 });
    }
}

#[test]
fn discovery_leads_nowhere_else() {
    let found = |document: &str, issuer: &str| discovery::keys_url(&document.to_owned().into(), issuer).ok();
    let document = |url: &str| format!(r#"{{"issuer":"https://id.example.com","jwks_uri":"{url}"}}"#);
    let issuer = "https://id.example.com";
    let url = "https://keys.example.com/k";
    assert_eq!(found(&document(url), issuer).as_deref(), Some(url));
    for bad in [
        "http://keys.example.com/k",
        "http://127.0.0.1/k",
        "http://localhost/k",
        "file:///etc/passwd",
        "",
        "/k",
    ] {
        assert_eq!(found(&document(bad), issuer), None, "{bad}");
    }
    assert_eq!(found(r#"{"jwks_uri":"https://a.b/c"}"#, issuer), None);
    assert_eq!(found("[]", issuer), None);
    assert_eq!(discovery::url("https://a.b/c/"), "https://a.b/c/.well-known/openid-configuration");
    assert_eq!(discovery::url("https://a.b"), "https://a.b/.well-known/openid-configuration");
}

#[tokio::test]
async fn forbidden_addresses_are_never_asked() {
    for url in ["http://169.254.169.254", "http://10.0.0.1", "https://169.254.169.254", "ftp://127.0.0.1"] {
        let known = authenticator(&store(), &by_uri(url));
        assert_eq!(ask(&known, &token("1", &make::P256)).await, "keys_unavailable", "{url}");
    }
    // Nor is the gateway itself.
    let endpoint = Endpoint::json(|_| make::P256.set());
    let network = network();
    network.egress.set_own(vec![endpoint.url.strip_prefix("http://").unwrap().parse().unwrap()]);
    let instruments = KeyInstruments::new(Arc::new(Registry::new(1)));
    let store = Store::new(tokio::runtime::Handle::current(), network, instruments);
    let known = authenticator(&store, &by_uri(&endpoint.url));
    assert_eq!(ask(&known, &token("1", &make::P256)).await, "keys_unavailable");
    assert_eq!(endpoint.hits(), 0);
}

#[tokio::test]
async fn keys_and_what_they_verified_outlive_a_reload() {
    let endpoint = Endpoint::json(|_| make::P256.set());
    let store = store();
    let settings = by_uri(&endpoint.url);
    let before = authenticator(&store, &settings);
    assert_eq!(ask(&before, &token("1", &make::P256)).await, "ok");
    for _ in 0..10 {
        let after = authenticator(&store, &settings);
        assert_eq!(ask(&after, &token("1", &make::P256)).await, "ok");
    }
    assert_eq!(endpoint.hits(), 1);
    let state = store.state();
    assert_eq!((state.fetched.len(), state.verifiers.len()), (1, 1));
}

#[tokio::test]
async fn a_file_of_keys_is_read_anew_and_must_have_a_usable_one() {
    let store = store();
    let settings = settings(KeySource::File("policies/keys.json".to_owned()), "https://id.example.com");
    let consumers = store.consumers(&[]);
    let read = |text: Option<String>| {
        let files = Files(text.map(|text| ("policies/keys.json", text)).into_iter().collect());
        let mut findings = Vec::new();
        let made = store.authenticator(&settings, &consumers, &files, &mut findings);
        match findings.pop() {
            Some(finding) => {
                Err((finding.code, finding.place.line, format!("{} ({:?})", finding.message, finding.help)))
            }
            None => Ok(Arc::new(made)),
        }
    };
    let first = read(Some(named("1", &make::P256))).unwrap();
    assert_eq!(ask(&first, &token("1", &make::P256)).await, "ok");
    let second = read(Some(named("2", &make::OTHER_P256))).unwrap();
    assert_eq!(ask(&second, &token("1", &make::P256)).await, "unauthenticated");
    assert_eq!(ask(&second, &token("2", &make::OTHER_P256)).await, "ok");
    for (text, words) in [
        (None, "cannot be read"),
        (Some("{}".to_owned()), "no JWK Set: it has no list `keys`"),
        (Some("x".to_owned()), "no JWK Set"),
        (Some(r#"{"keys":[]}"#.to_owned()), "no usable key"),
        (
            Some(format!(r#"{{"keys":[{{"use":"enc",{}}},{{"kty":"oct","k":""}}]}}"#, make::P256.jwk())),
            "key 1: its `use` is not `sig`; key 2: it is a secret beside public keys",
        ),
    ] {
        let (code, line, message) = read(text).unwrap_err();
        assert_eq!((code, line), (Code::InvalidKeys, 3));
        assert!(message.contains(words), "{message}");
    }
}
