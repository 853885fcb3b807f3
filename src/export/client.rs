//! One connection to a collector, which is control traffic: no pool, no balance, no retry of its own.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{telemetry::settings::Otlp, upstream};

const CONNECT: Duration = Duration::from_secs(5);
/// The whole of a message, its answer included.
const EXCHANGE: Duration = Duration::from_secs(10);
/// An answer says next to nothing.
const MOST_ANSWER: usize = 64 * 1024;

/// See the module.
pub(super) struct Client {
    endpoint: Uri,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// What became of a message.
pub(super) enum Outcome {
    /// Taken, with what the collector said.
    Taken(Bytes),
    /// Refused: the same message would be refused again.
    Refused(StatusCode),
    /// Not now; perhaps after so long.
    Busy(StatusCode, Option<Duration>),
}

impl Client {
    pub(super) fn new(collector: &Otlp, path: &str) -> Self {
        let endpoint = collector.endpoint.clone();
        let path = format!("{}{path}", endpoint.path().trim_end_matches('/'));
        Self { endpoint, path, headers: collector.headers.clone(), connection: None }
    }

    pub(super) async fn send(&mut self, message: Bytes) -> io::Result<Outcome> {
        let whole = async {
            if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
                self.connection = Some(connect(&self.endpoint).await?);
            }
            let request = self.request(message)?;
            let connection = self.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            connection.ready().await.map_err(io::Error::other)?;
            let answer = connection.send_request(request).await.map_err(io::Error::other)?;
            let status = answer.status();
            let after = answer.headers().get(header::RETRY_AFTER).and_then(|after| after.to_str().ok());
            let after = after.and_then(|after| after.parse().ok()).map(Duration::from_secs);
            let body = Limited::new(answer.into_body(), MOST_ANSWER).collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            // As OTLP says (§OTLP/HTTP Response, retryable codes).
            Ok(match status.as_u16() {
                200..=299 => Outcome::Taken(body),
                429 | 502 | 503 | 504 => Outcome::Busy(status, after),
                _ => Outcome::Refused(status),
            })
        };
        let outcome = timeout(EXCHANGE, whole).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    fn request(&self, message: Bytes) -> io::Result<Request<Full<Bytes>>> {
        let authority = self.endpoint.authority().map_or("", http::uri::Authority::as_str);
        let mut request = Request::post(&*self.path)
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::USER_AGENT, concat!("segue/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(message))
            .map_err(io::Error::other)?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

async fn connect(endpoint: &Uri) -> io::Result<SendRequest<Full<Bytes>>> {
    let secure = endpoint.scheme_str() == Some("https");
    let host = endpoint.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = endpoint.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = timeout(CONNECT, TcpStream::connect((host, port))).await??;
    stream.set_nodelay(true)?;
    if secure {
        let stream = timeout(CONNECT, upstream::secure(host, stream)).await??;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move { drop(connection.await) });
        return Ok(sender);
    }
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with its sender, or when the collector closes it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
