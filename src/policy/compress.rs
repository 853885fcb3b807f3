//! Compresses answers: `compress`.

/// `compress`
#[derive(Clone, Debug)]
pub struct Settings {
    /// Media types; `text/*` for all of a kind.
    pub types: Vec<String>,
    /// Smaller answers stay as they are.
    pub min_bytes: u64,
}
