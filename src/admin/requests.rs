//! `/requests`: the slowest and the failed requests of every route, as waterfalls; for programs as JSON, for
//! people as a page that needs nothing else.

mod json;
mod page;
mod waterfall;

pub(super) use json::json;
pub(super) use page::page;

use http::{HeaderMap, header};

/// Whether JSON is wanted: by the path, the query, or what is accepted before HTML.
pub(super) fn wants_json(path: &str, query: Option<&str>, headers: &HeaderMap) -> bool {
    let format =
        query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("format="));
    if path.ends_with(".json") || format == Some("json") {
        return true;
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let place = |kind| accept.find(kind).unwrap_or(usize::MAX);
    place("application/json") < place("text/html")
}
