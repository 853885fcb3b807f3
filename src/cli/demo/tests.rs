//! The demo as a newcomer runs it, and the README's example against the demo's services.

use std::{fs, io::Read, net::TcpStream, time::Duration};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;

use super::{certificate::Secure, *};
use crate::{cli::request::get, serve::start};

fn once() -> Demo {
    Demo { port: None, once: true }
}

#[test]
fn one_run_shows_the_search_and_what_it_saved() {
    let elsewhere = tempfile::tempdir().unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run(elsewhere.path(), Format::Text, &once(), &mut out, &mut err).unwrap();
    let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    assert_eq!(outcome, Outcome::Fine, "{out}\n{err}");
    assert!(out.contains("\"train\": \"ER131\""), "{out}");
    // One timetable, five trains with seats and a price, notices, weather.
    assert!(out.contains("13 calls in 2 waves"), "{out}");
    assert!(out.contains(" and https://localhost:"), "{out}");
}

#[test]
fn https_is_served_with_a_certificate_of_this_run_that_nothing_is_left_of() {
    let sample = Sample::unpack().unwrap();
    let mocks = Mocks::start().unwrap();
    let sources = Arc::new(Addresses::new(sample.folder(), &mocks, &once()));
    let made = Development::make().unwrap();
    let options = Options { root: sample.folder().to_owned(), sources, signals: false };
    let running = start_with(options, vec![made.listener(0)]).unwrap();
    let Secure { url, authority } = made.served(&running).unwrap();
    let folder = authority.parent().unwrap().to_owned();
    let mode =
        |path: &Path| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
    assert_eq!((mode(&folder) & 0o777, mode(&folder.join("localhost.key")) & 0o777), (0o700, 0o600));

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&authority).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address: SocketAddr = url.replace("https://localhost", "127.0.0.1").parse().unwrap();
    for name in ["localhost", "127.0.0.1"] {
        let name = ServerName::try_from(name).unwrap();
        let session = ClientConnection::new(Arc::new(config.clone()), name).unwrap();
        let mut stream = StreamOwned::new(session, TcpStream::connect(address).unwrap());
        stream
            .write_all(b"GET /v1/stations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    running.drain();
    running.wait().unwrap();
    drop(made);
    assert!(!folder.exists());
}

#[test]
fn the_readme_shows_the_answer_that_its_template_gives() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = |language: &str| {
        let start = readme.find(&format!("```{language}\n")).unwrap() + language.len() + 4;
        let length = readme[start..].find("```").unwrap();
        readme[start..start + length].to_owned()
    };
    let sample = Sample::unpack().unwrap();
    fs::write(sample.folder().join("routes/operations/glance.yaml"), block("yaml")).unwrap();
    let mocks = Mocks::start().unwrap();
    let sources = Arc::new(Addresses::new(sample.folder(), &mocks, &once()));
    let running = start(Options { root: sample.folder().to_owned(), sources, signals: false }).unwrap();

    let answer = get(running.listeners[0].1, "/v1/glance/avonford", Duration::from_secs(10)).unwrap();
    let mut answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut shown: Value = serde_json::from_str(&block("json")).unwrap();
    // The weather is the slow service: sometimes it takes longer than the template waits.
    if answer["weather"] == "unknown" {
        answer["weather"].take();
        shown["weather"].take();
    }
    assert_eq!(answer, shown);
    running.drain();
    running.wait().unwrap();
}
