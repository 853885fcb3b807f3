//! What a step or a proxy route sends.

use http::{HeaderName, Method};

use crate::{
    expr::{Program, Shape, Text},
    id::ServiceId,
};

/// A call of a step.
#[derive(Debug)]
pub struct Call {
    /// Which service.
    pub service: ServiceId,
    /// Which method.
    pub method: Method,
    /// Only reads: GET, HEAD, OPTIONS, QUERY, or said to be `safe`. An unsafe call, once sent, is never dropped.
    pub safe: bool,
    /// The path after the endpoint's prefix.
    pub path: Box<[PathPart]>,
    /// The query.
    pub query: Query,
    /// Header fields.
    pub headers: Headers,
    /// The body.
    pub body: Option<Shape>,
}

/// Whether a method only reads, so that a call may be dropped, or sent again when nobody knows whether it arrived:
/// those that RFC 9110 §9.2.1 calls safe and that pass, and QUERY.
#[must_use]
pub fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::QUERY)
}

/// A piece of a path.
#[derive(Debug)]
pub enum PathPart {
    /// Canonical text, slashes included.
    Literal(String),
    /// One segment or a part of one: encoded; refused if the whole segment becomes empty, `.` or `..`.
    Segment(Program),
    /// A `{name...}` capture: slashes stay, each segment encoded, empty ones allowed.
    Rest(Program),
}

/// A query.
#[derive(Debug)]
pub enum Query {
    /// Parameters in file order; a list repeats, none leaves out.
    Parameters(Box<[(String, Values)]>),
    /// One expression that gives a map.
    Expression(Program),
}

/// Header fields of a call.
#[derive(Debug)]
pub enum Headers {
    /// Fields in file order; a list repeats, none leaves out.
    Fields(Box<[(HeaderName, Values)]>),
    /// One expression that gives a map.
    Expression(Program),
}

/// The value of a field or parameter: one scalar or a list of them. A scalar may evaluate to a list.
#[derive(Debug)]
pub struct Values(pub Box<[Text]>);

/// A proxied call.
#[derive(Debug)]
pub struct Proxy {
    /// Which service.
    pub service: ServiceId,
    /// The path; the request's own when absent.
    pub path: Option<Box<[PathPart]>>,
    /// The query; the request's own when absent.
    pub query: Option<Query>,
    /// Fields set on the request.
    pub set: Box<[(HeaderName, Values)]>,
    /// Fields removed from the request.
    pub remove: Box<[HeaderName]>,
    /// Sends the client's `host`.
    pub preserve_host: bool,
    /// Sends the credential that authenticated.
    pub forward_credentials: bool,
}
