//! Values against their schemas. A large one is checked off the worker, which serves others meanwhile.

use bytes::Bytes;

use super::{aside::aside, execution::Run};
use crate::{
    error::Error,
    json::Document,
    problem::Kind,
    schema::{Schema, Violation},
};

/// Below this a check takes less than a quarter of a millisecond.
const INLINE_BYTES: usize = 4 * 1024;

/// Where JSON is not as its schema says.
pub(super) async fn violations(run: &Run, schema: &Schema, json: Bytes) -> Result<Vec<Violation>, Error> {
    if json.len() <= INLINE_BYTES {
        return find(schema, json);
    }
    let schema = schema.clone();
    Box::pin(aside(run, move || find(&schema, json))).await
}

fn find(schema: &Schema, json: Bytes) -> Result<Vec<Violation>, Error> {
    let document =
        Document::parse(json).map_err(|error| Error::new(Kind::InvalidRequest).detail(error.reason))?;
    Ok(schema.violations(document.root()))
}
