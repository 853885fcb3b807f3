//! What a route asks of its requests.

use bytes::Bytes;
use http::HeaderName;

use crate::schema::Schema;

/// Checks of a request, before anything else of the route.
#[derive(Debug, Default)]
pub struct RequestRules {
    /// Declared parameters, by place and in file order.
    pub parameters: Box<[Parameter]>,
    /// The body.
    pub body: Option<BodyRules>,
}

/// A declared parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Where it is.
    pub place: ParameterPlace,
    /// Its name, of a header in lower case.
    pub name: String,
    /// A request without it is refused.
    pub required: bool,
    /// JSON that stands in for one that is absent.
    pub default: Option<Bytes>,
    /// What it must be.
    pub schema: Schema,
}

/// Where a parameter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterPlace {
    /// The capture at this index.
    Path(u16),
    /// The query.
    Query,
    /// A header field.
    Header(HeaderName),
    /// A cookie.
    Cookie,
}

/// What the body must be.
#[derive(Debug)]
pub struct BodyRules {
    /// Its schema; without one it is not looked at.
    pub schema: Option<Schema>,
    /// The largest, in bytes; 1 MiB where it is read and this is absent.
    pub max_bytes: Option<u64>,
    /// A request without one is refused.
    pub required: bool,
}

impl ParameterPlace {
    /// Its word in templates and in answers.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Query => "query",
            Self::Header(_) => "header",
            Self::Cookie => "cookie",
        }
    }
}
