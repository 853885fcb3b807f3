//! An answer's body on its way to what is to be written.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::HeaderName;
use http_body::Body as _;

use super::{
    answer::Framing,
    outbox::{Outbox, Uneven},
};
use crate::server::outbound::Outbound;

/// See the module.
pub(super) struct Sending {
    /// Gone once all of it is to be written, so that the request ends before its last byte is seen.
    pub(super) body: Option<Outbound>,
    pub(super) framing: Framing,
    /// Trailers that may follow it.
    announced: Vec<HeaderName>,
}

impl Sending {
    pub(super) fn new(body: Outbound, framing: Framing, announced: Vec<HeaderName>) -> Self {
        let body = if framing == Framing::None {
            body.skip();
            None
        } else {
            Some(body)
        };
        Self { body, framing, announced }
    }

    /// Takes what there is of the body while there is room. Whether that was all for now.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> io::Result<bool> {
        while let Some(body) = &mut self.body {
            if !outbox.has_room() {
                return Ok(false);
            }
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else { return Ok(true) };
            let mut trailers = None;
            let mut ended = frame.is_none();
            if let Some(frame) = frame {
                let frame = frame.map_err(io::Error::other)?;
                ended = body.is_end_stream() || frame.is_trailers();
                match frame.into_data() {
                    Ok(data) => outbox.add(data, &mut self.framing)?,
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            if ended {
                let trailers = trailers.as_ref().map(|trailers| (trailers, &*self.announced));
                outbox.end(&mut self.framing, trailers)?;
                self.body = None;
            }
        }
        Ok(true)
    }
}

impl From<Uneven> for io::Error {
    fn from(_: Uneven) -> Self {
        Self::new(io::ErrorKind::InvalidData, "a body is not as long as it said")
    }
}
