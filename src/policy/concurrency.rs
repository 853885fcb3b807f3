//! Limits how many requests are under way: `concurrency`.

use std::sync::Arc;

use crate::expr::Text;

/// `concurrency`
#[derive(Debug)]
pub struct Settings {
    /// The Policy it stands in: counted per Policy and key, over all routes that share it.
    pub policy: Arc<str>,
    /// Requests at a time.
    pub max: u32,
    /// What is counted by; all requests together when absent.
    pub key: Option<Text>,
}
