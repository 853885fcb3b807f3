//! What is told about a route's requests: `tracing`.

/// `tracing`
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The share of requests that is traced, from 0 to 1; the Gateway's when absent.
    pub sample: Option<f64>,
    /// Answers say how long steps took (`server-timing`).
    pub server_timing: bool,
    /// Answers say which generation gave them (`segue-generation`).
    pub generation_header: bool,
}
