//! Certificates and keys as files: wrong at the start, changed under way, broken under way.

use http::Request;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use segue::{diagnostic::Severity, serve::StartError};

use crate::support::{
    client::{get, raw},
    gateway::{Gateway, route},
    secure::{Authority, Client, Issued, document, folder, put, start},
};

fn here() -> Vec<String> {
    vec![route("here", "match: {path: /here}\nstatic: {body: here}")]
}

/// The certificate that a new connection is shown.
async fn shown(authority: &Authority, gateway: &Gateway) -> CertificateDer<'static> {
    let stream = Client::new(authority).connect(gateway.address, "localhost").await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn until_shown(authority: &Authority, gateway: &Gateway, issued: &Issued) {
    while shown(authority, gateway).await != issued.der() {
        tokio::task::yield_now().await;
    }
}

/// Codes of the findings in `policies/`, with lines and columns.
async fn findings(gateway: &Gateway) -> Vec<(String, u64, String)> {
    let status = get(gateway.admin, "/status").await.json();
    let all = status["policies"]["findings"].as_array().unwrap().clone();
    let one = |finding: &serde_json::Value| {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        (text("code"), finding["line"].as_u64().unwrap(), text("message"))
    };
    all.iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_for_new_handshakes_and_no_connection_ends() {
    let authority = Authority::new();
    let (old, new) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let gateway = start(&document(&["edge"], "", ""), &[("edge", &old)], &here());
    let stream = Client::new(&authority).connect(gateway.address, "localhost").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = || Request::get("/here").header("host", "a").body(Full::<bytes::Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 200);
    // The key comes first and fits nothing for a moment. Nobody reloads but the watcher.
    new.write(gateway.folder.path(), "edge");
    until_shown(&authority, &gateway, &new).await;
    sender.ready().await.unwrap();
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 200);
    assert!(findings(&gateway).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pair_keeps_the_last_good_one() {
    let authority = Authority::new();
    let (old, new) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let gateway = start(&document(&["edge"], "", ""), &[("edge", &old)], &here());
    for (file, text, code, says) in [
        ("certs/edge.key", new.key.as_str(), "bad_certificate", "not the key of the certificate"),
        ("certs/edge.key", "", "bad_certificate", "holds no private key"),
        (
            "certs/edge.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "bad_certificate",
            "cannot be read",
        ),
        ("certs/edge.pem", "nothing", "bad_certificate", "holds no certificate"),
    ] {
        put(gateway.folder.path(), file, text);
        let _ = gateway.running().reload();
        assert_eq!(shown(&authority, &gateway).await, old.der(), "{says}");
        let findings = findings(&gateway).await;
        let (found, line, message) = &findings[0];
        assert_eq!((found.as_str(), *line), (code, 4), "{findings:?}");
        assert!(message.contains(says) && message.contains("stays in use"), "{message}");
        old.write(gateway.folder.path(), "edge");
        let _ = gateway.running().reload();
    }
    std::fs::remove_file(gateway.folder.path().join("policies/certs/edge.key")).unwrap();
    let _ = gateway.running().reload();
    assert_eq!(shown(&authority, &gateway).await, old.der());
    // Something else may change meanwhile, and mended it moves on.
    gateway.replace(&[route("there", "match: {path: /there}\nstatic: {body: there}")]);
    new.write(gateway.folder.path(), "edge");
    let _ = gateway.running().reload();
    until_shown(&authority, &gateway, &new).await;
    assert!(findings(&gateway).await.is_empty());
    assert_eq!(Client::new(&authority).get(gateway.address, "/there").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_outside_of_the_tree_are_watched_too() {
    let authority = Authority::new();
    let (old, new) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let mount = tempfile::tempdir().unwrap();
    let path = |name: &str| mount.path().join(name);
    std::fs::write(path("tls.crt"), &old.cert).unwrap();
    std::fs::write(path("tls.key"), &old.key).unwrap();
    let text = document(&["edge"], "", "")
        .replace("certs/edge.pem", path("tls.crt").to_str().unwrap())
        .replace("certs/edge.key", &format!("{{file: {}}}", path("tls.key").display()));
    let gateway = Gateway::try_start_in(folder(&[]), &text, &here()).unwrap();
    assert_eq!(shown(&authority, &gateway).await, old.der());
    std::fs::write(path("tls.key"), &new.key).unwrap();
    std::fs::write(path("tls.crt"), &new.cert).unwrap();
    until_shown(&authority, &gateway, &new).await;
}

/// Findings of a start that fails.
fn refused(certificates: &[(&str, &Issued)], document: &str) -> Vec<(String, String)> {
    match Gateway::try_start_in(folder(certificates), document, &here()) {
        Err(StartError::Findings(findings, _)) => {
            let errors = findings.items().iter().filter(|finding| finding.severity == Severity::Error);
            errors
                .map(|finding| {
                    (format!("{} {}", finding.place, finding.code.as_str()), finding.message.clone())
                })
                .collect()
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it starts"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_with_files_that_are_no_good() {
    let authority = Authority::new();
    let (good, other) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let mixed = Issued { key: other.key, ..good.clone() };
    let sealed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let sealed = Issued { key: sealed.to_owned(), ..good.clone() };
    let text = document(&["edge"], "", "");
    let at = |what: &str| text.lines().nth(3).unwrap().find(what).unwrap() + 1;
    let (cert, key) = (at("certs/edge.pem"), at("certs/edge.key"));
    for (issued, place, says) in [
        (&mixed, key, "not the key of the certificate"),
        (&sealed, key, "is encrypted"),
        (&Issued { key: String::new(), ..good.clone() }, key, "holds no private key"),
        (&Issued { cert: String::new(), ..good.clone() }, cert, "holds no certificate"),
    ] {
        let findings = refused(&[("edge", issued)], &text);
        assert_eq!(findings[0].0, format!("policies/gateway.yaml:4:{place} bad_certificate"));
        assert!(findings[0].1.contains(says), "{findings:?}");
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
    // Those that are not there are found by `check` already.
    let findings = refused(&[], &text);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.iter().all(|(place, _)| place.ends_with("unreadable")), "{findings:?}");
    // A key from the environment that is not there; an authority that is none.
    let env = text.replace("certs/edge.key", "{env: SEGUE_TEST_NO_SUCH_KEY}");
    assert!(refused(&[("edge", &good)], &env)[0].0.ends_with("missing_secret"));
    let asks = document(&["edge"], "clientAuth: {ca: certs/edge.key}", "");
    assert!(refused(&[("edge", &good)], &asks)[0].1.contains("clientAuth.ca"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_a_warning() {
    let authority = Authority::new();
    let gateway = start(&document(&["edge"], "", ""), &[("edge", &authority.expired("localhost"))], &here());
    let findings = findings(&gateway).await;
    assert_eq!((findings[0].0.as_str(), findings[0].1), ("expired_certificate", 4), "{findings:?}");
    let status = get(gateway.admin, "/status").await.json();
    assert_eq!(status["policies"]["state"], "applied");
    let metrics = get(gateway.admin, "/metrics").await;
    let expiry = "segue_tls_certificate_expiry_seconds{cert=\"policies/certs/edge.pem\"} 1580515200";
    assert!(metrics.text().contains(expiry), "{}", metrics.text());
    let error = Client::new(&authority).connect(gateway.address, "localhost").await.unwrap_err();
    assert!(error.to_string().contains("xpired"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_changes_to_tls_and_back_in_place() {
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    let gateway = start(&document(&["edge"], "", ""), &[("edge", &issued)], &here());
    let secure = document(&["edge"], "", "");
    let clear = "apiVersion: segue/v1\nkind: Gateway\nmetadata: {name: edge, owner: platform}\nlisteners: [{name: https, \
                 address: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\"}\nworkers: 2\n";
    let request = b"GET /here HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    put(gateway.folder.path(), "gateway.yaml", clear);
    let _ = gateway.running().reload();
    while !raw(gateway.address, request).await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
    put(gateway.folder.path(), "gateway.yaml", &secure);
    let _ = gateway.running().reload();
    while !raw(gateway.address, request).await.starts_with("HTTP/1.1 400") {
        tokio::task::yield_now().await;
    }
    assert_eq!(Client::new(&authority).get(gateway.address, "/here").await.unwrap().status, 200);
}
