//! Reading bodies: whole, bounded per body and per execution, or not at all.

use std::{future::poll_fn, io::Read, pin::Pin, time::Duration};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::FutureExt;
use http_body::Body as _;
use tokio::runtime::Handle;

use super::execution::Run;
use crate::{
    body::{Body, BodyError},
    error::Error,
    problem::Kind,
    turn::Turn,
    upstream::broken_body,
};

/// What the answer of one step may hold.
const STEP_CAP: u64 = 4 * 1024 * 1024;
/// What the gateway reads of a request.
const REQUEST_CAP: u64 = 1024 * 1024;
/// An answer that nobody reads is read up to here, and no longer than this, so that its connection can be
/// used again. Beyond, a new connection costs less than the rest of the body.
const DRAIN_CAP: u64 = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_millis(50);

/// Reads a step's answer. What it holds counts over the execution.
pub(super) async fn answer(mut body: Body, run: &Run) -> Result<Bytes, Error> {
    let too_large = |what| Err(Error::new(Kind::BadPayload).detail(what));
    if body.size_hint().lower() > STEP_CAP {
        return too_large("the answer is larger than 4 MiB");
    }
    let mut first = Bytes::new();
    let mut joined: Vec<u8> = Vec::new();
    let mut turn = Turn::default();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|error| broken_body(&error))?.into_data() else {
            continue;
        };
        let length = data.len() as u64;
        run.take(length)?;
        let have = first.len().max(joined.len()) as u64;
        if have + length > STEP_CAP {
            return too_large("the answer is larger than 4 MiB");
        }
        // One frame is the common case: it is kept as it came.
        if first.is_empty() && joined.is_empty() {
            first = data;
            continue;
        }
        turn.take(data.len()).await;
        if joined.is_empty() {
            let rest = usize::try_from(body.size_hint().lower()).unwrap_or_default();
            joined.reserve(first.len() + data.len() + rest);
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&data);
    }
    Ok(if joined.is_empty() { first } else { Bytes::from(joined) })
}

/// Reads the request's body, whose faults are the client's.
pub(super) async fn request(body: Body, limit: Option<u64>) -> Result<Bytes, Error> {
    body.collect(limit.unwrap_or(REQUEST_CAP)).await.map_err(|error| {
        let kind = match error {
            BodyError::TooLarge { .. } => Kind::PayloadTooLarge,
            BodyError::Stalled | BodyError::Late => Kind::RequestTimeout,
            BodyError::Overdue => Kind::DeadlineExceeded,
            BodyError::Hyper(_) | BodyError::Client(_) | BodyError::Peer(_) => Kind::BadRequest,
        };
        Error::new(kind).cause(error)
    })
}

/// Decodes a request's body that is coded by gzip. What comes out is bounded like what came in.
pub(super) fn unpack(packed: &[u8], limit: Option<u64>) -> Result<Bytes, Error> {
    let limit = limit.unwrap_or(REQUEST_CAP);
    let mut out = Vec::with_capacity(packed.len().saturating_mul(2));
    let read = MultiGzDecoder::new(packed).take(limit.saturating_add(1)).read_to_end(&mut out);
    if out.len() as u64 > limit {
        return Err(Error::new(Kind::PayloadTooLarge).cause(BodyError::TooLarge { limit }));
    }
    match read {
        Ok(_) => Ok(Bytes::from(out)),
        Err(error) => {
            Err(Error::new(Kind::InvalidRequest).detail("the request's body is not valid gzip").cause(error))
        }
    }
}

/// Reads an answer that nobody wants, if it is small and comes soon. Nobody waits for that, and whether it was
/// complete is nobody's concern: only the connection is.
pub(super) fn drain(body: Body) {
    if body.size_hint().lower() > DRAIN_CAP {
        return;
    }
    let mut rest = Box::pin(async move {
        let _ = body.collect(DRAIN_CAP).await;
    });
    // Mostly it has come with its head.
    if rest.as_mut().now_or_never().is_some() {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(tokio::time::timeout(DRAIN_TIME, rest));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_comes_out_of_a_body_is_bounded_to_the_byte_and_a_bomb_goes_off_nowhere() {
        let kind =
            |result: Result<Bytes, Error>| result.map(|bytes| bytes.len()).map_err(|error| error.kind());
        assert_eq!(kind(unpack(&packed(&[7; 100]), Some(100))), Ok(100));
        assert_eq!(kind(unpack(&packed(&[7; 101]), Some(100))), Err(Kind::PayloadTooLarge));
        let bomb = packed(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(kind(unpack(&bomb, None)), Err(Kind::PayloadTooLarge));
        let whole = packed(b"hello");
        assert_eq!(kind(unpack(&whole[..whole.len() - 3], None)), Err(Kind::InvalidRequest));
        assert_eq!(kind(unpack(b"hello", None)), Err(Kind::InvalidRequest));
        assert_eq!(kind(unpack(&[whole.clone(), whole].concat(), None)), Ok(10));
    }
}
