//! What a broken exchange is called.

use std::{error::Error as _, io};

use super::{Upstream, connect::Unconnected, tls};
use crate::{
    body::{BodyError, pace::Upload},
    error::Error,
    problem::Kind,
};

/// No connection could be made.
pub(super) fn unconnected(error: &Unconnected) -> Error {
    let kind = match (error.ours, error.timed_out) {
        (true, _) => Kind::Overloaded,
        (false, true) => Kind::UpstreamTimeout,
        (false, false) => Kind::UpstreamUnreachable,
    };
    let failed = Error::new(kind).cause(&error.cause);
    // Idle connections are closed within a tick once there is need of their descriptors.
    if error.ours { failed.retry_after(1) } else { failed }
}

/// The service has as many calls in flight as it may.
pub(super) fn full(upstream: &Upstream) -> Error {
    Error::new(Kind::UpstreamUnavailable).cause(format_args!("{} calls in flight", upstream.in_flight))
}

/// What came is no answer.
pub(super) fn malformed(why: &'static str) -> Error {
    Error::new(Kind::UpstreamInvalid).cause(why)
}

/// An HTTP/2 exchange broke before the answer's head was there.
pub(super) fn broken(error: &hyper::Error) -> Error {
    match find::<BodyError>(error) {
        Some(body) => unsent(body),
        None => Error::new(kind(error)).cause(Chain(error)),
    }
}

/// The request's own body broke: not the upstream's fault.
pub(super) fn unsent(error: &BodyError) -> Error {
    let kind = match error {
        BodyError::Hyper(_) | BodyError::Client(_) | BodyError::Peer(_) => Kind::BadRequest,
        BodyError::TooLarge { .. } => Kind::PayloadTooLarge,
        BodyError::Stalled => Kind::RequestTimeout,
        BodyError::Late => Kind::UpstreamTimeout,
        BodyError::Overdue => Kind::DeadlineExceeded,
    };
    Error::new(kind).cause(Chain(error))
}

/// An HTTP/1.1 connection broke before the answer's head was there.
pub(super) fn lost(error: &io::Error) -> Error {
    Error::new(lost_kind(error)).cause(Chain(error))
}

/// A call that failed although the upstream did nothing wrong: the client did not send what it promised.
/// How the codec reports a request's body that breaks off differs from version to version of HTTP.
pub(super) fn of_upload(failed: Error, upload: &Upload) -> Error {
    let kind = if upload.is_too_slow() {
        Kind::RequestTimeout
    } else if upload.is_broken() {
        Kind::BadRequest
    } else if upload.is_awaited() && matches!(failed.kind(), Kind::UpstreamTimeout | Kind::DeadlineExceeded) {
        // The time ran out while the client was waited for.
        Kind::RequestTimeout
    } else {
        return failed;
    };
    if failed.kind() == kind { failed } else { Error::new(kind).cause(failed) }
}

/// Whether the peer went away, so that a used connection was found closed.
pub(super) fn is_lost(error: &io::Error) -> bool {
    lost_kind(error) == Kind::UpstreamReset
}

/// Whether the peer of an HTTP/2 connection went away.
pub(super) fn is_reset(error: &hyper::Error) -> bool {
    kind(error) == Kind::UpstreamReset
}

/// The answer's body broke: the error for whoever was reading it.
#[must_use]
pub fn broken_body(error: &BodyError) -> Error {
    match error {
        BodyError::Hyper(error) => Error::new(kind(error)).cause(Chain(error)),
        BodyError::Peer(error) => Error::new(io_kind(error)).cause(Chain(error)),
        BodyError::TooLarge { .. } => Error::new(Kind::BadPayload).cause(error),
        BodyError::Client(_) => Error::new(Kind::BadRequest).cause(error),
        BodyError::Stalled | BodyError::Late => Error::new(Kind::UpstreamTimeout).cause(error),
        BodyError::Overdue => Error::new(Kind::DeadlineExceeded).cause(error),
    }
}

/// A peer that went away is a reset; one that said what it must not say, or less than it promised, is
/// invalid.
fn kind(error: &hyper::Error) -> Kind {
    if error.is_parse() {
        return Kind::UpstreamInvalid;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Kind::UpstreamReset;
    }
    if let Some(error) = find::<h2::Error>(error) {
        let ours = error.is_library() || (!error.is_remote() && !error.is_io());
        return if ours { Kind::UpstreamInvalid } else { Kind::UpstreamReset };
    }
    find::<io::Error>(error).map_or(Kind::UpstreamInvalid, io_kind)
}

/// Before its answer a peer that ends without a word has promised nothing yet.
fn lost_kind(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if !tls::is_alert(error) => Kind::UpstreamReset,
        _ => io_kind(error),
    }
}

fn io_kind(error: &io::Error) -> Kind {
    match error.kind() {
        _ if tls::is_alert(error) => Kind::UpstreamUnreachable,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Kind::UpstreamInvalid
        }
        _ => Kind::UpstreamReset,
    }
}

/// The first error of this type among the causes.
fn find<T: std::error::Error + 'static>(error: &hyper::Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error with its causes, for the log.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}
