//! Keys and discovery over https, in a process of its own: whom it trusts is a matter of its environment.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::{Key, bearer, policy, whoami};
use crate::{
    process::{Served, serve_in},
    support::{
        client::{Got, get, send},
        gateway::{route, write},
        secure::{Authority, Issued},
    },
};

/// An issuer's endpoints: its keys and what it says of itself.
struct Issuer {
    address: SocketAddr,
    shown: Arc<Mutex<TlsAcceptor>>,
    keys: Arc<Mutex<String>>,
}

fn acceptor(certificate: &Issued) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(certificate.cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

impl Issuer {
    async fn start(certificate: &Issued, keys: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::new(Mutex::new(acceptor(certificate)));
        let keys = Arc::new(Mutex::new(keys.to_owned()));
        let (now, body) = (Arc::clone(&shown), Arc::clone(&keys));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, keys) = (now.lock().unwrap().clone(), body.lock().unwrap().clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = [0; 4096];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let discovery =
                        format!(r#"{{"issuer":"https://{address}","jwks_uri":"https://{address}/keys"}}"#);
                    let asked = head[..read].starts_with(b"GET /.well-known/openid-configuration ");
                    let body = if asked { discovery } else { keys };
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, shown, keys }
    }

    fn shows(&self, certificate: &Issued) {
        *self.shown.lock().unwrap() = acceptor(certificate);
    }

    /// A token of one of the two issuers that live here: by discovery, and by the URL of its keys.
    fn token(&self, key: &Key, kid: &str, by: &str) -> String {
        let issuer = if by == "discover" {
            format!("https://{}", self.address)
        } else {
            "https://id.example.com".to_owned()
        };
        let claims = format!(r#"{{"iss":"{issuer}","aud":"orders","sub":"{by}","exp":9999999999}}"#);
        bearer(&key.sign(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), &claims))
    }
}

/// A gateway that takes tokens of both, and trusts this authority alone.
async fn gateway(issuer: &Issuer, authority: &Authority) -> (TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    let address = issuer.address;
    let access = format!(
        "authenticate:\n  jwt:\n    issuers:\n      - {{issuer: \"https://{address}\", audiences: [orders], algorithms: [ES256], jwks: {{discover: true}}, cooldown: 200ms}}\n      - {{issuer: \"https://id.example.com\", audiences: [orders], algorithms: [ES256], jwks: {{uri: \"https://{address}/keys\"}}, cooldown: 200ms}}\n"
    );
    write(folder.path(), "policies/access.yaml", &policy("access", &access));
    let fixed = route("fixed", "match: {path: /fixed}\nstatic: {body: 1}");
    write(folder.path(), "routes/shop/all.yaml", &[whoami("access"), fixed].join("---\n"));
    write(folder.path(), "roots.pem", &authority.pem);
    let roots = folder.path().join("roots.pem");
    let served =
        serve_in(folder.path(), "", &[("SSL_CERT_FILE", &roots), ("SSL_CERT_DIR", Path::new(""))]).await;
    (folder, served)
}

async fn with(served: &Served, token: &str) -> Got {
    let request = http::Request::get("/whoami").header("authorization", token);
    send(served.address, request.body(http_body_util::Full::default()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_whom_the_system_trusts_and_the_last_good_stay() {
    let (trusted, stranger) = (Authority::new(), Authority::new());
    let (key, next) = (Key::new(), Key::new());
    let good = trusted.issue(&["127.0.0.1"]);
    let issuer = Issuer::start(&good, &key.set("1")).await;
    let (_folder, served) = gateway(&issuer, &trusted).await;
    for by in ["discover", "uri"] {
        let got = with(&served, &issuer.token(&key, "1", by)).await;
        assert_eq!((got.status.as_u16(), &got.json()["id"]), (200, &by.into()), "{}", got.text());
    }
    // Somebody in between has a certificate for the address, of an authority that is not trusted, and keys of his own.
    issuer.shows(&stranger.issue(&["127.0.0.1"]));
    *issuer.keys.lock().unwrap() = next.set("2");
    for by in ["discover", "uri"] {
        assert_eq!(with(&served, &issuer.token(&next, "2", by)).await.status, 401, "{by}");
        assert_eq!(with(&served, &issuer.token(&key, "1", by)).await.status, 200, "{by}");
    }
    let metrics = get(served.admin, "/metrics").await;
    let line = r#"segue_key_fetches_total{issuer="https://id.example.com",result="unreachable"}"#;
    assert!(metrics.text().contains(line), "{}", metrics.text());
    // The issuer is back, and has rotated.
    issuer.shows(&good);
    for by in ["discover", "uri"] {
        let begun = Instant::now();
        while with(&served, &issuer.token(&next, "2", by)).await.status != 200 {
            assert!(begun.elapsed() < Duration::from_secs(20), "{by}");
            tokio::task::yield_now().await;
        }
        assert_eq!(with(&served, &issuer.token(&key, "1", by)).await.status, 401, "{by}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_system_does_not_trust_gives_no_keys() {
    let (trusted, stranger) = (Authority::new(), Authority::new());
    let key = Key::new();
    for certificate in [
        stranger.issue(&["127.0.0.1"]),
        // Trusted, for another name.
        trusted.issue(&["id.example.com"]),
        trusted.expired("127.0.0.1"),
    ] {
        let issuer = Issuer::start(&certificate, &key.set("1")).await;
        let (_folder, served) = gateway(&issuer, &trusted).await;
        for by in ["discover", "uri"] {
            let got = with(&served, &issuer.token(&key, "1", by)).await;
            assert_eq!((got.status.as_u16(), &got.json()["code"]), (503, &"keys_unavailable".into()), "{by}");
            assert!(got.header("retry-after").is_some());
        }
        assert_eq!(get(served.address, "/fixed").await.status, 200);
        assert_eq!(with(&served, "Bearer x.y.z").await.status, 401);
    }
}
