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
    let kind = if error.timed_out { Kind::UpstreamTimeout } else { Kind::UpstreamUnreachable };
    Error::new(kind).cause(&error.cause)
}

/// The service has as many calls in flight as it may.
pub(super) fn full(upstream: &Upstream) -> Error {
    Error::new(Kind::UpstreamUnavailable).cause(format_args!("{} calls in flight", upstream.in_flight))
}

/// No head within the attempt's timeout.
pub(super) fn late() -> Error {
    Error::new(Kind::UpstreamTimeout)
}

/// The answer's framing can be read in two ways, or it switches protocols unasked.
pub(super) fn misleading() -> Error {
    Error::new(Kind::UpstreamInvalid).cause("ambiguous framing, or a 101 that was not asked for")
}

/// The exchange broke before the answer's head was there.
pub(super) fn broken(error: &hyper::Error) -> Error {
    // The request's own body broke: not the upstream's fault.
    if let Some(body) = find::<BodyError>(error) {
        let kind = match body {
            BodyError::Hyper(_) => Kind::BadRequest,
            BodyError::TooLarge { .. } => Kind::PayloadTooLarge,
            BodyError::Stalled => Kind::RequestTimeout,
        };
        return Error::new(kind).cause(Chain(error));
    }
    Error::new(kind(error)).cause(Chain(error))
}

/// A call that failed although the upstream did nothing wrong: the client did not send what it promised.
/// How the codec reports a request's body that breaks off differs from version to version of HTTP.
pub(super) fn of_upload(failed: Error, upload: &Upload) -> Error {
    let kind = if upload.is_too_slow() {
        Kind::RequestTimeout
    } else if upload.is_broken() {
        Kind::BadRequest
    } else if upload.is_awaited() && failed.kind() == Kind::UpstreamTimeout {
        // The time ran out while the client was waited for.
        Kind::RequestTimeout
    } else {
        return failed;
    };
    if failed.kind() == kind { failed } else { Error::new(kind).cause(failed) }
}

/// Whether the peer went away, so that a used connection was found closed.
pub(super) fn is_reset(error: &hyper::Error) -> bool {
    kind(error) == Kind::UpstreamReset
}

/// The answer's body broke: the error for whoever was reading it.
#[must_use]
pub fn broken_body(error: &BodyError) -> Error {
    match error {
        BodyError::Hyper(error) => Error::new(kind(error)).cause(Chain(error)),
        BodyError::TooLarge { .. } => Error::new(Kind::BadPayload).cause(error),
        BodyError::Stalled => Error::new(Kind::UpstreamTimeout).cause(error),
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
    let Some(error) = find::<io::Error>(error) else {
        return Kind::UpstreamInvalid;
    };
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
struct Chain<'a>(&'a hyper::Error);

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
