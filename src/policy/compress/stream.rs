//! A body that is compressed while it streams.
//!
//! It works in slices, with a turn for other requests of the worker after each, and sends on all that it has
//! whenever nothing more is there: a reader waits for what its sender waits for, and for nothing else.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use super::Coding;
use crate::body::{Body, BodyError};

/// How much is compressed in one go: half a millisecond, or less.
pub(super) const SLICE: usize = 32 << 10;
/// Compressed bytes are sent on from here.
const PIECE: usize = 16 << 10;

/// See the module.
pub(super) struct Compressed {
    body: Body,
    /// Absent once it has ended.
    encoder: Option<Encoder>,
    /// What came and is not compressed yet.
    rest: Bytes,
    trailers: Option<HeaderMap>,
    /// Compressed since others had their turn.
    worked: usize,
    /// The encoder keeps something back.
    holds: bool,
    ended: bool,
}

enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

/// Compresses a body that is there as a whole.
pub(super) fn whole(coding: Coding, bytes: &Bytes) -> Vec<u8> {
    let mut encoder = Encoder::new(coding);
    // Writing into memory does not fail; if it did, what is larger than it was is thrown away.
    match encoder.write(bytes).and_then(|()| encoder.finish()) {
        Ok(packed) => packed,
        Err(_) => bytes.to_vec(),
    }
}

// === impl Encoder ===

impl Encoder {
    fn new(coding: Coding) -> Self {
        let out = Vec::with_capacity(1024);
        match coding {
            Coding::Gzip => Self::Gzip(Box::new(GzEncoder::new(out, Compression::new(5)))),
            // A window of 256 KiB bounds what an answer takes.
            Coding::Brotli => Self::Brotli(Box::new(CompressorWriter::new(out, 4096, 4, 18))),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Brotli(encoder) => encoder.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Brotli(encoder) => encoder.flush(),
        }
    }

    fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
        }
    }
}

// === impl Compressed ===

impl Compressed {
    pub(super) fn new(body: Body, coding: Coding) -> Self {
        Self {
            body,
            encoder: Some(Encoder::new(coding)),
            rest: Bytes::new(),
            trailers: None,
            worked: 0,
            holds: false,
            ended: false,
        }
    }

    /// The next piece, `Ok(None)` when all is said.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        loop {
            if self.worked >= SLICE {
                self.worked = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(Ok(self.trailers.take().map(Frame::trailers)));
            };
            if !self.rest.is_empty() {
                let piece = self.rest.split_to(self.rest.len().min(SLICE - self.worked));
                encoder.write(&piece).map_err(BodyError::Peer)?;
                self.worked += piece.len();
                self.holds = true;
                if encoder.out().len() >= PIECE {
                    return Poll::Ready(Ok(Some(Frame::data(std::mem::take(encoder.out()).into()))));
                }
                continue;
            }
            if self.ended {
                let last = self.encoder.take().map(Encoder::finish).transpose().map_err(BodyError::Peer)?;
                match last {
                    Some(last) if !last.is_empty() => return Poll::Ready(Ok(Some(Frame::data(last.into())))),
                    _ => continue,
                }
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(frame)) => match frame?.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.ended = true;
                    }
                },
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => {
                    self.worked = 0;
                    if std::mem::take(&mut self.holds) {
                        encoder.flush().map_err(BodyError::Peer)?;
                        if !encoder.out().is_empty() {
                            let out = std::mem::take(encoder.out());
                            return Poll::Ready(Ok(Some(Frame::data(out.into()))));
                        }
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut().next(cx).map(Result::transpose)
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}
