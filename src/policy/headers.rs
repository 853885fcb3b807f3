//! Sets and removes fields of requests and answers: `headers`.

use std::sync::Arc;

use http::HeaderName;

use crate::expr::Text;

/// `headers`, all layers together.
#[derive(Debug, Default)]
pub struct Settings {
    /// Of the request, before the endpoint sees it.
    pub request: Edits,
    /// Of the answer, error answers included.
    pub response: Edits,
}

/// What is done to a head.
#[derive(Debug, Default)]
pub struct Edits {
    /// Replaced, in order; an optional that is none leaves the field out.
    pub set: Vec<(HeaderName, Arc<Text>)>,
    /// Taken out.
    pub remove: Vec<HeaderName>,
}

// === impl Settings ===

impl Settings {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}

impl Edits {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}
