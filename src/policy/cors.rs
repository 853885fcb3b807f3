//! Cross-origin rules: `cors` (Fetch standard, CORS protocol).

use std::time::Duration;

use http::{HeaderName, Method};

/// `cors`
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Origins as browsers send them; `*` for any.
    pub origins: Vec<String>,
    /// Methods that may be used.
    pub methods: Vec<Method>,
    /// Fields that may be sent.
    pub headers: Vec<HeaderName>,
    /// Fields of answers that scripts may read.
    pub expose: Vec<HeaderName>,
    /// Whether credentials may go along.
    pub credentials: bool,
    /// How long a browser may remember a preflight.
    pub max_age: Option<Duration>,
}
