//! What the tests call: origins on loopback, and services that name them.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    body::Body,
    config::service::{AssetType, Balance, Protocol, TlsTemplate, UrlTemplate},
    diagnostic::Place,
    error::Error,
    plan::Service,
    problem::Kind,
    upstream::{Added, Caller, Network, Outgoing, Upstream, Upstreams, secret::Sources},
};

/// Nothing but what a test puts there.
#[derive(Default)]
pub(super) struct Given {
    pub(super) variables: HashMap<&'static str, &'static str>,
    pub(super) files: HashMap<&'static str, String>,
}

impl Sources for Given {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(ToString::to_string)
    }

    fn file(&self, path: &str) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .map(|text| text.clone().into_bytes())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(super) fn place(line: u32) -> Place {
    Place { file: "routes/retail/x.yaml".into(), line, column: 1, width: 1 }
}

pub(super) fn service(urls: &[&str]) -> Service {
    let endpoints = urls.iter().map(|url| (UrlTemplate::Text((*url).to_owned()), 1, 0, place(7))).collect();
    Service {
        egress: None,
        name: "retail/x".into(),
        place: place(1),
        asset: AssetType::Microservice,
        endpoints,
        protocol: Protocol::Auto,
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(2),
        balance: Balance::LeastRequest,
        in_flight: 1024,
        idle_per_endpoint: 256,
        max_age: Duration::from_secs(600),
        tls: TlsTemplate::default(),
        headers: Vec::new(),
    }
}

pub(super) fn build(service: &Service) -> Arc<Upstream> {
    build_with(service, &Given::default())
}

pub(super) fn build_with(service: &Service, given: &Given) -> Arc<Upstream> {
    Arc::new(
        Upstream::build(
            service,
            given,
            &Arc::new(Network::system(crate::descriptors::Descriptors::unbounded())),
        )
        .unwrap(),
    )
}

pub(super) fn request(method: Method, path: &str, body: Body) -> Outgoing {
    let safe = method.is_safe();
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    let (added, timeout) = (Added::default(), Duration::from_secs(10));
    let overdue = Kind::UpstreamTimeout;
    Outgoing { request, added, safe, timeout, overdue, spare: None, trail: None }
}

pub(super) fn get(path: &str) -> Outgoing {
    request(Method::GET, path, Body::empty())
}

pub(super) fn post(path: &str, body: &'static str) -> Outgoing {
    request(Method::POST, path, Body::full(body))
}

/// The answer with its body read to the end.
pub(super) async fn call(
    upstreams: &Upstreams,
    upstream: &Arc<Upstream>,
    call: Outgoing,
) -> Result<(StatusCode, Bytes), Error> {
    let answer = upstreams.send(upstream, call).await?;
    let (parts, body) = answer.into_parts();
    let body = body.collect(1 << 24).await.map_err(|error| crate::upstream::broken_body(&error))?;
    Ok((parts.status, body))
}

pub(super) async fn text(upstreams: &Upstreams, upstream: &Arc<Upstream>, path: &str) -> String {
    let (status, body) = call(upstreams, upstream, get(path)).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    String::from_utf8(body.to_vec()).unwrap()
}

pub(super) async fn kind(upstreams: &Upstreams, upstream: &Arc<Upstream>, path: &str) -> Kind {
    call(upstreams, upstream, get(path)).await.unwrap_err().kind()
}

/// A server of the test.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    /// Connections that were accepted.
    pub(super) connections: Arc<AtomicUsize>,
    /// Requests that were read.
    pub(super) requests: Arc<AtomicUsize>,
}

impl Origin {
    async fn listen() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self { address, connections: Arc::default(), requests: Arc::default() }, listener)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn accepted(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub(super) fn served(&self) -> usize {
        self.requests.load(SeqCst)
    }

    /// HTTP/1.1 by the codec.
    pub(super) async fn http<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::serve(answer, false, 200).await
    }

    /// HTTP/2 with prior knowledge.
    pub(super) async fn http2<F, R>(streams: u32, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::serve(answer, true, streams).await
    }

    async fn serve<F, R>(answer: F, http2: bool, streams: u32) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let (origin, listener) = Self::listen().await;
        let seen = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, SeqCst);
                let (answer, seen) = (answer.clone(), seen.clone());
                let service = service_fn(move |request| {
                    seen.requests.fetch_add(1, SeqCst);
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let io = TokioIo::new(stream);
                tokio::spawn(async move {
                    if http2 {
                        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .max_concurrent_streams(streams)
                            .serve_connection(io, service)
                            .await;
                    } else {
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(io, service)
                            .with_upgrades()
                            .await;
                    }
                });
            }
        });
        origin
    }

    /// Bytes by hand: called with each connection and its number.
    pub(super) async fn raw<F, R>(talk: F) -> Self
    where
        F: Fn(Raw, usize) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let (origin, listener) = Self::listen().await;
        let seen = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = seen.connections.fetch_add(1, SeqCst);
                tokio::spawn(talk(Raw { stream, requests: Arc::clone(&seen.requests) }, number));
            }
        });
        origin
    }
}

/// A connection by hand.
pub(super) struct Raw {
    pub(super) stream: TcpStream,
    requests: Arc<AtomicUsize>,
}

impl Raw {
    /// A request's head and what came with it; none at the end of the connection.
    pub(super) async fn read(&mut self) -> Option<String> {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = self.stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
            text.extend_from_slice(&chunk[..read]);
            if text.windows(4).any(|end| end == b"\r\n\r\n") {
                self.requests.fetch_add(1, SeqCst);
                return Some(String::from_utf8_lossy(&text).into_owned());
            }
        }
    }

    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
        let _ = self.stream.flush().await;
    }
}

pub(super) fn ok(body: impl Into<Bytes>) -> Response<Body> {
    Response::new(Body::full(body))
}
