//! The HTTP/2 side of a client's connection: the codec with its limits, behind what the codec does not
//! bound.
//!
//! `guard` wraps the byte stream and cuts floods, which `flood` counts on the frames that
//! [`crate::frames`] follows. `stall` resets streams whose clients take nothing. Absent on purpose: priorities (RFC 9113
//! §5.3.2 lets a server ignore them) and server push.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::http2::{Builder, Connection},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::{
    connection::{Limits, PREFACE},
    io_watch::{Activity, ClientIo},
    outbound::Outbound,
};
use crate::telemetry::Instruments;

mod flood;
mod fragment;
mod guard;
mod huffman;
pub(super) mod stall;
mod trailers;
pub(super) mod websocket;

use flood::Flood;
use guard::Guard;
use stall::Streams;

/// Requests at once. Also bounds what slow readers can make us hold: each has one stream's buffer.
const STREAMS: u32 = 100;
/// What a client may send on a stream, and on all of them together, before somebody reads it.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What an answer may buffer beyond its window.
const SEND_BUFFER: usize = 64 * 1024;
/// Stream errors over the life of a connection at which the codec gives it up. How fast they may come is
/// bounded elsewhere.
const STREAM_ERRORS: usize = 10_000;
/// What the codec counts for each field on top of its name and value (RFC 9113 §6.5.2).
const FIELD: u64 = 32;
/// Pseudo-fields, and room for a few fields more than are allowed, so that too many get an answer of
/// ours.
const MORE_FIELDS: u64 = 8;

type Io = TokioIo<Guard<ClientIo>>;

/// The codec on a connection whose preface has arrived.
pub(super) fn connection<S>(
    io: ClientIo,
    activity: &Arc<Activity>,
    limits: &Limits,
    instruments: &Arc<Instruments>,
    service: S,
) -> Connection<Io, S, Streams>
where
    S: Service<Request<Incoming>, Response = Response<Outbound>, Error = Infallible>,
    S::Future: Send + 'static,
{
    // The codec answers a larger head with a bare 431. Ours, with the exact limits of the
    // configuration, comes first for all that are a little too large.
    let list = 4 * limits.uri_bytes + limits.header_bytes + FIELD * (u64::from(limits.headers) + MORE_FIELDS);
    let list = u32::try_from(list).unwrap_or(u32::MAX);
    let flood = Flood::new(PREFACE.len(), list.saturating_mul(2), Instant::now());
    let guard = Guard::new(io, flood, Arc::clone(activity), Arc::clone(instruments));
    Builder::new(Streams::new(limits.write_stall, Arc::clone(instruments)))
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(list)
        .max_local_error_reset_streams(STREAM_ERRORS)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(guard), service)
}
