//! Who stands in for the network, so that templates are tested offline on everything else that serves.
//!
//! Only the byte stream is another one: choice of endpoint, codec, timeouts and failures stay those of a
//! served call. Absent: TLS and HTTP/2, whose place such a stream takes.

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderName, Method, Request, Uri};
use tokio::io::DuplexStream;

use crate::body::Body;

/// Names the route and the step of a call, only for whoever stands in; it never leaves the process.
pub const STEP: HeaderName = HeaderName::from_static("x-segue-step");

/// A call that needs a connection.
#[derive(Clone, Copy, Debug)]
pub struct Intended<'a> {
    /// `unit/name` of the service.
    pub service: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// Its path and query.
    pub uri: &'a Uri,
    /// Its fields, [`STEP`] among them.
    pub headers: &'a HeaderMap,
}

impl<'a> Intended<'a> {
    pub(super) fn of(service: &'a str, request: &'a Request<Body>) -> Self {
        Self { service, method: request.method(), uri: request.uri(), headers: request.headers() }
    }
}

/// A byte stream to whoever stands in for the service, or after what time nobody was there.
pub type Dialled = Result<DuplexStream, Duration>;

/// Stands in for the network.
pub trait Dialer: Send + Sync {
    /// Connects, or refuses after some time.
    fn dial(&self, call: Intended<'_>) -> Dialled;
}

impl fmt::Debug for dyn Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}
