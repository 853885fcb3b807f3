//! Calls to services: endpoints, connections, pools.
//!
//! [`Upstreams`] is one worker's: idle connections are its own, so that no call crosses a core. What
//! bounds a service over all workers ([`Upstream`]: calls in flight, endpoint load) is atomics.

use std::{future::Future, sync::Arc, time::Duration};

use http::{Request, Response};

use crate::{body::Body, error::Error};

/// A service as the gateway runs it: shared by all workers, replaced by a reload that changes it.
#[derive(Debug)]
pub struct Upstream {
    /// `unit/name`
    pub name: Arc<str>,
}

/// One call.
#[derive(Debug)]
pub struct Outgoing {
    /// The request. Its URI is path and query only (the endpoint's prefix is put before it);
    /// `host` is set by the upstream unless present.
    pub request: Request<Body>,
    /// The method is idempotent or the operation `safe`: it may be sent again when a pooled connection was
    /// found closed, even if bytes were written. A body that streams is never sent again.
    pub idempotent: bool,
    /// Until the response head. The caller bounds the body.
    pub timeout: Duration,
}

/// The seam between execution and network; tests implement it without a socket.
pub trait Caller: Send + Sync {
    /// Sends a call. The answer's body returns its connection to the pool when it ends.
    fn send(
        &self,
        to: &Arc<Upstream>,
        call: Outgoing,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send;
}
