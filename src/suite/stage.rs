//! Stands in for every service: an HTTP/1.1 server on a byte stream within the process for each call.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use super::{names::Names, reply, script::Script, seen::Seen};
use crate::{
    body::Body,
    config::{
        service::{Protocol, TlsTemplate, UrlTemplate},
        suite::Fault,
    },
    plan::Plan,
    upstream::{
        dial::{Dialer, Dialled, Intended, STEP},
        secret::Sources,
    },
};

/// What a stream holds that nobody has read yet.
const BUFFER: usize = 64 * 1024;

/// Everything behind the gateway.
pub(super) struct Stage {
    names: Arc<Names>,
    script: Arc<Mutex<Script>>,
}

/// Makes a plan independent of where it will run: each service has one address of its own name, in plain
/// HTTP/1.1, and no call finds a connection that another one has used. Nothing listens.
pub(super) fn furnish(plan: &mut Plan) {
    plan.gateway.listeners.clear();
    plan.gateway.admin = None;
    for service in &mut plan.services {
        service.endpoints.truncate(1);
        for (url, weight, _, _) in &mut service.endpoints {
            let mut host: Vec<&str> = service.name.split('/').collect();
            host.reverse();
            *url = UrlTemplate::Text(format!("http://{}.test", host.join(".")));
            *weight = 1;
        }
        service.protocol = Protocol::Http1;
        service.tls = TlsTemplate::default();
        service.idle_per_endpoint = 0;
    }
}

/// Path and text of what may be a file of keys.
pub(super) type KeyFiles = Arc<[(Arc<str>, Arc<str>)]>;

/// Secrets as they are in a test: their own names. Keys are those of the tree.
pub(super) struct Placeholders {
    pub(super) variables: Vec<(String, String)>,
    pub(super) keys: KeyFiles,
}

impl Sources for Placeholders {
    fn variable(&self, name: &str) -> Option<String> {
        let given = self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Some(given.unwrap_or_else(|| name.to_owned()))
    }

    fn file(&self, path: &str) -> io::Result<Vec<u8>> {
        Ok(path.as_bytes().to_vec())
    }

    fn keys(&self, path: &str) -> io::Result<Vec<u8>> {
        let known = self.keys.iter().find(|(known, _)| **known == *path);
        known.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

// === impl Stage ===

impl Stage {
    pub(super) fn new(names: &Arc<Names>, script: Script) -> Self {
        Self { names: Arc::clone(names), script: Arc::new(Mutex::new(script)) }
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dialer for Stage {
    fn dial(&self, call: Intended<'_>) -> Dialled {
        let label = call.headers.get(STEP).and_then(|label| label.to_str().ok()).unwrap_or_default();
        let caller = self.names.caller(call.service, label);
        let mut headers = call.headers.clone();
        headers.remove(STEP);
        let intended = {
            let at = self.script().now();
            let (method, uri) = (call.method.clone(), call.uri.clone());
            Seen { caller, at, method, uri, headers, body: None }
        };
        let caller = intended.caller.clone();
        if let Some(after) = self.script().refuses(intended) {
            return Err(after);
        }
        let (near, far) = duplex(BUFFER);
        let script = Arc::clone(&self.script);
        tokio::spawn(async move {
            let garbled = Arc::new(AtomicBool::new(false));
            let stream = Garble { inner: far, garbled: Arc::clone(&garbled) };
            let service = service_fn(move |request: Request<Incoming>| {
                answer(Arc::clone(&script), caller.clone(), request, Arc::clone(&garbled))
            });
            // It ends with an error when a fault breaks it or the other end leaves: both are meant.
            let _ = http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        Ok(near)
    }
}

/// Breaks the connection off.
#[derive(Debug, thiserror::Error)]
#[error("the test breaks the connection off")]
struct BrokenOff;

async fn answer(
    script: Arc<Mutex<Script>>,
    caller: super::names::Caller,
    request: Request<Incoming>,
    garbled: Arc<AtomicBool>,
) -> Result<Response<Body>, BrokenOff> {
    let at = lock(&script).now();
    let (mut head, body) = request.into_parts();
    head.headers.remove(STEP);
    let body = body.collect().await.map_err(|_| BrokenOff)?.to_bytes();
    let seen =
        Seen { caller, at, method: head.method, uri: head.uri, headers: head.headers, body: Some(body) };
    let answer = lock(&script).answer(seen).ok_or(BrokenOff)?;
    tokio::time::sleep(answer.delay).await;
    match answer.fault {
        None => Ok(reply::response(&answer)),
        Some(Fault::Truncated) => Ok(reply::truncated()),
        Some(Fault::Connect | Fault::Reset) => Err(BrokenOff),
        Some(Fault::Timeout) => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        Some(Fault::Malformed) => {
            garbled.store(true, Relaxed);
            Ok(Response::new(Body::empty()))
        }
    }
}

/// A stream that, once told to, writes what no reader of HTTP understands.
struct Garble {
    inner: DuplexStream,
    garbled: Arc<AtomicBool>,
}

impl AsyncRead for Garble {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Garble {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.garbled.load(Relaxed) {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        Pin::new(&mut self.inner).poll_write(cx, b"not HTTP\r\n\r\n").map_ok(|_| bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
