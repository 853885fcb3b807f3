//! What goes back to the client.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use super::call::Values;
use crate::expr::{Program, Shape, Text};

/// The shape of a composed answer.
#[derive(Debug)]
pub struct Respond {
    /// The status (200).
    pub status: StatusTemplate,
    /// Header fields in file order.
    pub headers: Box<[(HeaderName, Values)]>,
    /// The body.
    pub body: Option<Shape>,
}

/// A status, fixed or computed.
#[derive(Debug)]
pub enum StatusTemplate {
    /// Fixed.
    Fixed(StatusCode),
    /// An expression that gives an integer from 200 to 599.
    Expression(Program),
}

/// A fixed answer, rendered at load.
#[derive(Debug)]
pub struct StaticAnswer {
    /// The status.
    pub status: StatusCode,
    /// Header fields, `content-type` included.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An entry of `errors`.
#[derive(Debug)]
pub struct ErrorRule {
    /// Applies when true; one that fails to evaluate is false. Always when absent.
    pub when: Option<Program>,
    /// The document.
    pub problem: Problem,
}

/// A problem document of the route's own.
#[derive(Debug, Default)]
pub struct Problem {
    /// `status`; the failure's own when absent.
    pub status: Option<StatusTemplate>,
    /// `type`
    pub type_uri: Option<Text>,
    /// `title`
    pub title: Option<Text>,
    /// `detail`
    pub detail: Option<Text>,
    /// Header fields.
    pub headers: Box<[(HeaderName, Values)]>,
    /// Extension members in file order.
    pub members: Box<[(String, Shape)]>,
}
