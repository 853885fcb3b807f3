//! Values against their schemas. A large one is checked off the worker, which serves others meanwhile.

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::{
    error::Error,
    json::Document,
    problem::Kind,
    schema::{Schema, Violation},
};

/// Checks off their workers at the same time, over the whole process.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Below this a check takes less than a millisecond.
const INLINE_BYTES: usize = 16 * 1024;

/// Where JSON is not as its schema says.
pub(super) async fn violations(schema: &Schema, json: Bytes) -> Result<Vec<Violation>, Error> {
    if json.len() <= INLINE_BYTES {
        return find(schema, json);
    }
    let schema = schema.clone();
    // Queued, not run, beyond that many: each takes a core, and memory while it lists what is wrong.
    let _turn = TURNS.acquire().await;
    let found = tokio::task::spawn_blocking(move || find(&schema, json)).await;
    found.map_err(|error| Error::new(Kind::Internal).cause(error))?
}

fn find(schema: &Schema, json: Bytes) -> Result<Vec<Violation>, Error> {
    let document =
        Document::parse(json).map_err(|error| Error::new(Kind::InvalidRequest).detail(error.reason))?;
    Ok(schema.violations(document.root()))
}
