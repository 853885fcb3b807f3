//! The admin listener: health, metrics, status, reload. For operators, never for clients.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::{
    reload::Reloader,
    server::{Phase, Shared},
};

mod metrics;
mod requests;
mod status;

/// Connections to the admin pages, which live off the file descriptors that clients leave. One on which no
/// request comes closes after 30 seconds.
const MOST_CONNECTIONS: usize = 32;

/// What the admin pages show.
#[derive(Debug)]
pub struct Admin {
    /// The data plane.
    pub shared: Arc<Shared>,
    /// The tree.
    pub reloader: Arc<Reloader>,
    /// Whether the gateway is ready.
    pub phase: watch::Receiver<Phase>,
    /// Required, except for health, when present.
    pub token: Option<Box<[u8]>>,
}

// === impl Admin ===

impl Admin {
    /// Serves until the future is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "an admin connection could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let admin = Arc::clone(&admin);
                    async move { Ok::<_, Infallible>(admin.answer(request, peer).await) }
                });
                // The page's client is an operator's tool; a broken connection is its own business.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(permit);
            });
        }
    }

    /// Copies into the metrics what is counted elsewhere. To be called before they are read.
    pub fn refresh(&self) {
        metrics::refresh(self);
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        match path {
            "/healthz" if read => return plain(StatusCode::OK, "ok\n"),
            "/readyz" if read => {
                return match *self.phase.borrow() {
                    Phase::Serving if self.shared.memory.is_used_up() => {
                        plain(StatusCode::SERVICE_UNAVAILABLE, "short of memory\n")
                    }
                    Phase::Serving => plain(StatusCode::OK, "ready\n"),
                    Phase::Draining | Phase::Closing | Phase::Cut => {
                        plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
                    }
                };
            }
            _ => {}
        }
        if !self.may(request.headers()) {
            tracing::warn!(%peer, path, "admin request without the token");
            let mut response = plain(StatusCode::UNAUTHORIZED, "the admin token is missing or wrong\n");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        match (path, read) {
            ("/metrics", true) => {
                let mut response = plain(StatusCode::OK, metrics::page(&self));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            ("/status", true) => json(status::page(&self.reloader.state())),
            ("/requests" | "/requests.json", true) => {
                let keep = &self.shared.instruments.sinks.load().keep;
                if requests::wants_json(path, request.uri().query(), request.headers()) {
                    return json(requests::json(keep));
                }
                let mut response = plain(StatusCode::OK, requests::page(keep));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
                // Whatever got past the escapes could still do nothing.
                let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
                headers.insert(header::CONTENT_SECURITY_POLICY, policy);
                response
            }
            ("/reload", false) if *request.method() == Method::POST => {
                let admin = Arc::clone(&self);
                // Reading a tree blocks; the control plane goes on meanwhile.
                let done = tokio::task::spawn_blocking(move || admin.reloader.reload(&admin.shared)).await;
                match done {
                    Ok(_) => json(status::page(&self.reloader.state())),
                    Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the reload failed\n"),
                }
            }
            ("/healthz" | "/readyz" | "/metrics" | "/status" | "/requests" | "/requests.json", false) => {
                not_allowed("GET, HEAD")
            }
            ("/reload", _) => not_allowed("POST"),
            _ => plain(
                StatusCode::NOT_FOUND,
                "there are /healthz /readyz /metrics /status /requests and POST /reload\n",
            ),
        }
    }

    fn may(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let sent = sent.strip_prefix(b"Bearer ").unwrap_or_default();
        aws_lc_rs::constant_time::verify_slices_are_equal(sent, token).is_ok()
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn json(value: serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::OK, value.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}
