//! Requests for the tests of layers.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request};

use crate::{
    body::Body,
    headers::Peer,
    telemetry::{Exchange, Trace},
};

/// The record of a request from 192.0.2.1.
pub(super) fn exchange() -> Exchange {
    from("192.0.2.1")
}

/// The record of a request from this address.
pub(super) fn from(address: &str) -> Exchange {
    let address = address.parse().unwrap();
    let peer = Arc::new(Peer::new(std::net::SocketAddr::new(address, 4000)));
    Exchange::new("r-1".into(), Trace::new(), peer, address, "http")
}

/// `METHOD TARGET` and then a field per line, as it comes to a route's layers.
pub(super) fn request(head: &str, exchange: Exchange) -> Request<Body> {
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut body = Body::empty();
    body.carry(Arc::new(exchange));
    let mut request = Request::builder().method(method).uri(target).body(body).unwrap();
    for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
        let (name, value) =
            (HeaderName::try_from(name.trim()).unwrap(), HeaderValue::try_from(value.trim()).unwrap());
        request.headers_mut().append(name, value);
    }
    request
}
