//! WebSocket over HTTP/2 (RFC 8441): a stream that `CONNECT` opens with `:protocol: websocket`.
//!
//! Below the server there is one kind of upgrade, that of HTTP/1.1, and services speak only that. So the
//! request becomes what a client of HTTP/1.1 would have sent, with a key of our own, and the answer what one
//! of HTTP/2 expects: 200 in the place of 101.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;

use crate::{
    duplex::{self, Held},
    error::Error,
    problem::Kind,
};

const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;
const ACCEPT: HeaderName = header::SEC_WEBSOCKET_ACCEPT;

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A WebSocket that is asked for.
#[derive(Debug)]
pub(in crate::server) struct Asked {
    key: String,
}

/// Makes a request that asks for a WebSocket one of HTTP/1.1. The stream is handed over when its answer says so,
/// together with `held`, which lives as long as it is open.
pub(in crate::server) fn ask<B, T>(request: &mut Request<B>, held: impl FnOnce() -> T) -> Option<Asked>
where
    T: Send + Unpin + 'static,
{
    let protocol = request.extensions().get::<Protocol>()?;
    if *request.method() != Method::CONNECT || !protocol.as_str().eq_ignore_ascii_case("websocket") {
        return None;
    }
    let upgrade = hyper::upgrade::on(&mut *request);
    let (handover, promise) = duplex::promise();
    let held = held();
    tokio::spawn(async move {
        if let Ok(stream) = upgrade.await {
            handover.keep(Held::new(TokioIo::new(stream), held));
        }
    });
    request.extensions_mut().insert(promise);
    *request.method_mut() = Method::GET;
    let key = STANDARD.encode(fastrand::u128(..).to_be_bytes());
    let headers = request.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(KEY, HeaderValue::from_str(&key).ok()?);
    Some(Asked { key })
}

impl Asked {
    /// Makes the answer one of HTTP/2. An error if the service has agreed to something else.
    pub(in crate::server) fn conclude<B>(&self, response: &mut Response<B>) -> Result<(), Error> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            // An answer like any other, but 2xx would say that the WebSocket is open.
            let success = response.status().is_success();
            let refused = || Error::new(Kind::BadRequest).detail("there is no WebSocket here");
            return if success { Err(refused()) } else { Ok(()) };
        }
        if !self.is_accepted(response.headers()) {
            return Err(Error::new(Kind::UpstreamInvalid).cause("a WebSocket that was not asked for"));
        }
        *response.status_mut() = StatusCode::OK;
        for name in [header::UPGRADE, header::CONNECTION, ACCEPT] {
            response.headers_mut().remove(name);
        }
        Ok(())
    }

    /// RFC 6455 §4.1.
    fn is_accepted(&self, headers: &HeaderMap) -> bool {
        let said = [self.key.as_bytes(), GUID].concat();
        let accept = STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &said));
        let websocket = headers
            .get(header::UPGRADE)
            .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
        websocket && headers.get(ACCEPT).is_some_and(|said| *said == accept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_our_key_is_taken() {
        let asked = Asked { key: "dGhlIHNhbXBsZSBub25jZQ==".to_owned() };
        let answer = |status: u16, accept: &'static str| {
            Response::builder()
                .status(status)
                .header("upgrade", "WebSocket")
                .header("connection", "upgrade")
                .header("sec-websocket-accept", accept)
                .header("sec-websocket-protocol", "chat")
                .body(())
                .unwrap()
        };
        // The example of RFC 6455 §1.3.
        let mut good = answer(101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        asked.conclude(&mut good).unwrap();
        assert_eq!((good.status().as_u16(), good.headers().len()), (200, 1));
        assert_eq!(asked.conclude(&mut answer(101, "x")).unwrap_err().kind(), Kind::UpstreamInvalid);
        let mut refused = answer(403, "x");
        asked.conclude(&mut refused).unwrap();
        assert_eq!(refused.status(), 403);
    }
}
