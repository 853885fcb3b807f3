//! Shapes error answers: `errorBody`. `policy::respond` applies it.

use http::HeaderValue;

use crate::expr::Shape;

/// `errorBody` and `errorContentType`
#[derive(Debug)]
pub struct Settings {
    /// Over `error`, `request` and `execution`.
    pub shape: Shape,
    /// `application/problem+json` unless said otherwise.
    pub content_type: HeaderValue,
}
