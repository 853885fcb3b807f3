//! Limits how many requests come in: an entry of `rateLimit`.

use std::{sync::Arc, time::Duration};

use crate::expr::{Program, Text};

/// An entry of `rateLimit`.
#[derive(Debug)]
pub struct Settings {
    /// The Policy it stands in: counted per entry of the Policy and key, over all routes that share it.
    pub policy: Arc<str>,
    /// `name`
    pub name: Arc<str>,
    /// Requests per window.
    pub limit: u64,
    /// The window.
    pub window: Duration,
    /// The bucket's depth (`limit`).
    pub burst: u64,
    /// What is counted by; the client's address (IPv6 by /64) when absent.
    pub key: Option<Text>,
    /// Whether it holds for a request; always when absent.
    pub when: Option<Program>,
}
