//! One call: an endpoint, a connection, the request, the answer's head; and the one resend.
//!
//! **Resend.** A pooled connection may have been closed by the peer just before the request went out.
//! The codec gives the request back if it wrote none of it: that is sent again whatever its method. Once
//! bytes were written, a safe call is sent again if its body does not stream, and if the request that
//! it belongs to has not spent its [`Spare`](super::Spare). Once, on a new connection.

use std::sync::Arc;

use http::{
    HeaderMap, Request, Response, StatusCode, Uri, Version,
    header::{HOST, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};
use tokio::time::{Instant, timeout_at};

use super::{
    Outgoing, Upstream,
    balance::{self, Tried},
    dial::Intended,
    endpoint::Endpoint,
    failure, http1,
    pool::{Lease, Local},
    slot::{Channel, Slot, Want},
};
use crate::{
    body::Body,
    config::service::Protocol,
    error::Error,
    problem::{Fault, Kind},
    telemetry::{Trail, trail::Sent},
};

/// Why no head came.
pub(super) enum Broken {
    /// The attempt's time is over.
    Late,
    /// The connection failed; the call if it may be sent again, which makes sense after a `reset`. What was
    /// `seen` would reach the origin a second time.
    Failed { error: Error, reset: bool, seen: bool, call: Option<Box<Outgoing>> },
}

impl Broken {
    /// For good.
    pub(super) const fn failed(error: Error) -> Self {
        Self::Failed { error, reset: false, seen: true, call: None }
    }
}

/// One future without another of its size in it, and the request behind a pointer: what a call's future
/// holds is moved and is cold memory to all that wait.
pub(super) async fn send(local: Arc<Local>, mut call: Box<Outgoing>) -> Result<Response<Body>, Error> {
    let (safe, overdue) = (call.safe, call.overdue);
    let began = Instant::now();
    let deadline = began + call.timeout;
    let sent = Sent { since: Some(began.into_std()), ..Sent::default() };
    let mut told = Told { trail: call.trail.take(), sent };
    let local = &local;
    let upstream = &*local.upstream;
    for (name, value) in &local.headers {
        call.added.remove(name);
        call.request.headers_mut().insert(name.clone(), value.clone());
    }
    let upload = call.request.body().upload();
    let mut target = Target::of(&call.request);
    let upgrades = call.request.headers().contains_key(UPGRADE);
    let mut want = Want {
        http1: upgrades && upstream.protocol == Protocol::Auto,
        // Its body waits for one particular connection and could not go to another.
        fresh: http1::expects(&call.request),
    };
    let mut tried = Tried::default();
    let mut unconnected = None;
    let mut counted = false;
    let failed = loop {
        let Some(index) = balance::choose(upstream, &tried) else {
            break match &unconnected {
                Some(error) => failure::unconnected(error),
                None => Error::new(Kind::UpstreamUnavailable).cause("no endpoint has a weight"),
            };
        };
        let Some(lease) = Lease::take(local, index) else {
            local.counters.full();
            break failure::full(upstream);
        };
        let endpoint = &upstream.endpoints[index];
        let before = told.sent.endpoint;
        told.sent.endpoint = u16::try_from(index).ok();
        let channel = match lease.slot().ready(local, want) {
            Some(channel) => channel,
            // Boxed, because what connecting needs would make every call's future several times larger.
            None => match Box::pin(timeout_at(deadline, {
                let dialer = upstream.network.dialer.as_ref();
                let dialled = dialer.map(|dialer| dialer.dial(Intended::of(&upstream.name, &call.request)));
                Slot::acquire(local, index, want, dialled)
            }))
            .await
            {
                Ok(Ok(channel)) => channel,
                Ok(Err(error)) if error.ours => {
                    // Nobody was asked for a connection here.
                    told.sent.endpoint = before;
                    break failure::unconnected(&error);
                }
                Ok(Err(error)) => {
                    // Nothing was sent, so any call may go elsewhere.
                    balance::avoid(endpoint);
                    tried.add(index);
                    unconnected = Some(error);
                    continue;
                }
                Err(_) => {
                    balance::avoid(endpoint);
                    break overdue.into();
                }
            },
        };
        let used = channel.is_used();
        (told.sent.reused, told.sent.http2) = (used, channel.is_http2());
        told.goes();
        // A call that is sent again is still one.
        if !std::mem::replace(&mut counted, true) {
            local.counters.call();
        }
        if used {
            local.counters.reuse();
        }
        target.set(&mut call.request, upstream, endpoint, channel.is_http2());
        let again = used && safe && !want.fresh;
        let exchange = channel.exchange(call, deadline, again, upgrades, lease, target.own_host);
        match exchange.await {
            Ok(answer) => {
                told.answered(Ok(answer.status()));
                return Ok(answer);
            }
            Err(Broken::Late) => break overdue.into(),
            Err(Broken::Failed { reset: true, seen, call: Some(back), .. })
                if used && !want.fresh && (!seen || back.spare.as_ref().is_none_or(|spare| spare.take())) =>
            {
                local.counters.resend();
                told.sent.resends = told.sent.resends.saturating_add(1);
                call = back;
                want.fresh = true;
            }
            Err(Broken::Failed { error, .. }) => break error,
        }
    };
    let failed = match upload {
        Some(upload) => failure::of_upload(failed, &upload),
        None => failed,
    };
    told.answered(Err(failed.kind()));
    // What was not attempted is no failure of the service.
    let attempted = told.sent.endpoint.is_some();
    if attempted && failed.kind().fault() == Fault::Upstream && failed.kind() != Kind::DeadlineExceeded {
        local.counters.failure();
    }
    Err(failed)
}

/// What the call's record is told: how it went out, whether an answer comes or nobody waits for one any more.
struct Told {
    trail: Option<Trail>,
    sent: Sent,
}

impl Told {
    /// It goes out now. One that is never dropped says so before it has ended.
    fn goes(&self) {
        if let Some(trail) = self.trail.as_ref().filter(|trail| trail.outlives) {
            trail.goes(self.sent);
        }
    }

    fn answered(&mut self, answer: Result<StatusCode, Kind>) {
        if let Some(trail) = self.trail.take() {
            trail.answered(self.sent, answer, Instant::now().into_std());
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(trail) = self.trail.take() {
            trail.dropped(self.sent, Instant::now().into_std());
        }
    }
}

impl Channel {
    const fn is_used(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_used(),
            Self::Http2(stream) => stream.is_used(),
        }
    }

    const fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    async fn exchange(
        self,
        call: Box<Outgoing>,
        deadline: Instant,
        again: bool,
        upgrades: bool,
        lease: Lease,
        own_host: bool,
    ) -> Result<Response<Body>, Broken> {
        match self {
            Self::Http1(connection) => {
                connection.exchange(call, deadline, again, upgrades, own_host, lease).await
            }
            Self::Http2(mut stream) => {
                let response = Box::pin(stream.exchange(*call, deadline, again, lease)).await?;
                Ok(stream.deliver(response))
            }
        }
    }
}

/// Where a request says that it goes. Set anew for each endpoint that is tried.
struct Target {
    /// Path and query as they were given, once they have been changed.
    given: Option<Uri>,
    /// The caller has not set `host`.
    own_host: bool,
}

impl Target {
    fn of(request: &Request<Body>) -> Self {
        Self { given: None, own_host: !request.headers().contains_key(HOST) }
    }

    fn set(&mut self, request: &mut Request<Body>, upstream: &Upstream, endpoint: &Endpoint, http2: bool) {
        if http2 {
            *request.version_mut() = Version::HTTP_2;
        } else {
            *request.version_mut() = Version::HTTP_11;
            if !upstream.prefixed && self.given.is_none() {
                return;
            }
        }
        let given = self.given.get_or_insert_with(|| request.uri().clone());
        let path = path(given, endpoint);
        let uri = if http2 {
            let authority = if self.own_host {
                request.headers_mut().remove(HOST);
                endpoint.authority.clone()
            } else {
                authority(request.headers()).unwrap_or_else(|| endpoint.authority.clone())
            };
            let scheme = if endpoint.secure { Scheme::HTTPS } else { Scheme::HTTP };
            let mut parts = http::uri::Parts::default();
            parts.scheme = Some(scheme);
            parts.authority = Some(authority);
            parts.path_and_query = path;
            Uri::from_parts(parts)
        } else {
            let mut parts = http::uri::Parts::default();
            parts.path_and_query = path;
            Uri::from_parts(parts)
        };
        // Its parts were valid, so the whole is.
        if let Ok(uri) = uri {
            *request.uri_mut() = uri;
        }
    }
}

fn authority(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok())
}

fn path(given: &Uri, endpoint: &Endpoint) -> Option<PathAndQuery> {
    let Some(prefix) = &endpoint.prefix else {
        return given.path_and_query().cloned().or_else(|| Some(PathAndQuery::from_static("/")));
    };
    let path = given.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut whole = String::with_capacity(prefix.len() + path.len());
    whole.push_str(prefix);
    whole.push_str(path);
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(whole)).ok()
}
