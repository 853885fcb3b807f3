//! Counts what a client makes the gateway do for nothing, and says when it is too much.
//!
//! The codec bounds what it stores. It does not bound work that leaves nothing behind: answering PING,
//! acknowledging SETTINGS, opening streams that are reset at once (CVE-2023-44487) or that the client
//! makes the server reset (CVE-2025-8671), and reading header blocks (CVE-2024-27316). RFC 9113 §10.5
//! lets an endpoint treat that as ENHANCE_YOUR_CALM.
//!
//! Bytes and the time go in, a verdict comes out. A few instructions per frame, no allocation but for
//! trailers.

use std::time::Duration;

use tokio::time::Instant;

use super::{fragment::Fragments, trailers};
use crate::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Event, Frames, GOAWAY, HEADERS, Head, PADDED, PING,
        PRIORITY, RST_STREAM, SETTINGS,
    },
    telemetry::Refusal,
};

const WINDOW: Duration = Duration::from_secs(1);

/// In one window: RST_STREAM of the client, and of ours that its errors made necessary.
const RESETS: u32 = 50;
/// In one window, of each: PING, SETTINGS, DATA without data.
const EMPTY: u32 = 100;
/// In one window: frames that cost little, such as PRIORITY, WINDOW_UPDATE and unknown ones. What they
/// are useful for raises it: a download brings updates of its windows.
const CONTROL: u32 = 500;
const CONTROL_PER_DATA: u32 = 10;
const CONTROL_PER_REQUEST: u32 = 4;
const MOST_CONTROL: u32 = 10_000;
/// CONTINUATION frames of one header block. The largest block we take needs four.
const CONTINUATIONS: u32 = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct Flood {
    inbound: Frames,
    outbound: Frames,
    /// Bytes of the preface still to come.
    preface: usize,
    /// When the present window began.
    since: Instant,
    resets: u32,
    errors: u32,
    pings: u32,
    settings: u32,
    empty: u32,
    /// Frames that cost little and may still come in this window.
    control: u32,
    /// The highest stream that the client has opened.
    last_stream: u32,
    block: Block,
    inside: Inside,
    fragments: Fragments,
    /// Which bytes of those that were read last must be others.
    mended: Vec<(usize, u8)>,
    look: Look,
    /// Of a frame of ours: what its payload is read for.
    own: Own,
    /// The most bytes of a header block.
    most_block: u32,
    /// Frames of the client since the last pause.
    frames: u32,
}

/// The header block that is being read.
#[derive(Debug, Default)]
struct Block {
    open: bool,
    bytes: u32,
    continuations: u32,
    /// The bytes of trailers.
    trailers: Option<Vec<u8>>,
}

/// Where in a frame its part of a header block is.
#[derive(Clone, Copy, Debug, Default)]
struct Inside {
    /// The payload begins with the length of the padding.
    padded: bool,
    /// So many bytes of something else come first.
    skip: usize,
    /// So many bytes are the block's, and those of the padding until that is known.
    left: usize,
}

/// What a payload of the client is read for.
#[derive(Debug)]
enum Look {
    Nothing,
    /// Its first byte says how much of it is padding.
    Padding(u32),
    /// It is a part of trailers, after so many bytes of something else.
    Trailers {
        skip: usize,
        padded: bool,
    },
}

#[derive(Debug)]
enum Own {
    Nothing,
    /// So many bytes until the code of an error, which ends a stream or the connection.
    Code {
        skip: usize,
        code: u32,
        have: u8,
        stream: bool,
    },
}

/// What the bytes that we write say of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    Nothing,
    /// A stream was reset because of what came on it.
    Stream,
    /// The codec ends the connection because of what came on it.
    Connection,
}

// === impl Flood ===

impl Flood {
    /// For a stream that begins with so many bytes of preface, and header blocks of at most so many
    /// bytes.
    pub(super) fn new(preface: usize, most_block: u32, now: Instant) -> Self {
        Self {
            inbound: Frames::default(),
            outbound: Frames::default(),
            preface,
            since: now,
            resets: 0,
            errors: 0,
            pings: 0,
            settings: 0,
            empty: 0,
            control: CONTROL,
            last_stream: 0,
            block: Block::default(),
            inside: Inside::default(),
            fragments: Fragments::default(),
            mended: Vec::new(),
            look: Look::Nothing,
            own: Own::Nothing,
            most_block,
            frames: 0,
        }
    }

    /// Whether the client is neither within a frame nor within a header block.
    pub(super) const fn client_at_boundary(&self) -> bool {
        self.inbound.at_boundary() && !self.block.open && self.preface == 0
    }

    /// Whether a frame of our own may be written now.
    pub(super) const fn own_at_boundary(&self) -> bool {
        self.outbound.at_boundary()
    }

    /// The highest stream that the client has opened.
    pub(super) const fn last_stream(&self) -> u32 {
        self.last_stream
    }

    /// Whether so many frames of the client have come since this was last so.
    pub(super) const fn pause_after(&mut self, frames: u32) -> bool {
        let pause = self.frames >= frames;
        if pause {
            self.frames = 0;
        }
        pause
    }

    /// Follows bytes of the client.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Refusal> {
        let begin = bytes.as_ptr() as usize;
        if self.preface > 0 {
            let len = self.preface.min(bytes.len());
            self.preface -= len;
            bytes = &bytes[len..];
        }
        while let Some(event) = self.inbound.take(&mut bytes) {
            match event {
                Event::Head(head) => self.frame(&head, now)?,
                Event::Payload { part, last } => {
                    self.fragments(part, part.as_ptr() as usize - begin);
                    self.payload(part, last, now)?;
                }
            }
        }
        Ok(())
    }

    /// Which of the bytes that were read last must be others before the codec sees them.
    pub(super) fn mended(&mut self) -> impl Iterator<Item = (usize, u8)> {
        self.mended.drain(..)
    }

    /// Follows what of a payload is part of a header block. It lies at this place of what is being read.
    fn fragments(&mut self, mut part: &[u8], mut at: usize) {
        if self.inside.left == 0 {
            return;
        }
        if std::mem::take(&mut self.inside.padded) {
            // More padding than there is room for is the codec's to refuse.
            self.inside.left = self.inside.left.saturating_sub(1 + usize::from(part[0]));
            (part, at) = (&part[1..], at + 1);
        }
        let skipped = part.len().min(self.inside.skip);
        self.inside.skip -= skipped;
        self.inside.left = self.inside.left.saturating_sub(skipped);
        (part, at) = (&part[skipped..], at + skipped);
        let block = &part[..part.len().min(self.inside.left)];
        self.inside.left -= block.len();
        let mended = &mut self.mended;
        self.fragments.read(block, |within, other| mended.push((at + within, other)));
    }

    fn frame(&mut self, head: &Head, now: Instant) -> Result<(), Refusal> {
        self.look = Look::Nothing;
        self.inside = Inside::default();
        self.frames += 1;
        match head.kind {
            DATA if head.has(END_STREAM) => Ok(()),
            DATA if head.length == 0 => {
                self.one_more(now, |flood| &mut flood.empty, EMPTY, Refusal::EmptyDataFlood)
            }
            DATA => {
                if head.has(PADDED) {
                    self.look = Look::Padding(head.length);
                }
                Ok(())
            }
            HEADERS => self.headers(head),
            CONTINUATION => self.continuation(head),
            RST_STREAM => self.one_more(now, |flood| &mut flood.resets, RESETS, Refusal::ResetFlood),
            SETTINGS => self.one_more(now, |flood| &mut flood.settings, EMPTY, Refusal::SettingsFlood),
            PING => self.one_more(now, |flood| &mut flood.pings, EMPTY, Refusal::PingFlood),
            _ => self.control(now),
        }
    }

    fn headers(&mut self, head: &Head) -> Result<(), Refusal> {
        let known = head.stream <= self.last_stream;
        if !known {
            self.last_stream = head.stream;
            self.earned(CONTROL_PER_REQUEST);
        }
        self.block = Block { open: !head.has(END_HEADERS), bytes: head.length, ..Block::default() };
        self.fragments.begin();
        self.inside = Inside {
            padded: head.has(PADDED),
            skip: if head.has(PRIORITY) { 5 } else { 0 },
            left: head.length as usize,
        };
        if known {
            self.block.trailers = Some(Vec::new());
            let skip = if head.has(PRIORITY) { 5 } else { 0 };
            self.look = Look::Trailers { skip, padded: head.has(PADDED) };
        }
        self.bounded()
    }

    fn continuation(&mut self, head: &Head) -> Result<(), Refusal> {
        self.block.open = !head.has(END_HEADERS);
        self.inside.left = head.length as usize;
        self.block.bytes = self.block.bytes.saturating_add(head.length);
        self.block.continuations += 1;
        if self.block.trailers.is_some() {
            self.look = Look::Trailers { skip: 0, padded: false };
            if head.length == 0 {
                return self.trailers_end();
            }
        }
        self.bounded()
    }

    fn bounded(&self) -> Result<(), Refusal> {
        if self.block.continuations > CONTINUATIONS || self.block.bytes > self.most_block {
            return Err(Refusal::HeaderFlood);
        }
        Ok(())
    }

    fn payload(&mut self, part: &[u8], last: bool, now: Instant) -> Result<(), Refusal> {
        match &mut self.look {
            Look::Nothing => Ok(()),
            Look::Padding(length) => {
                let all = part.first().is_some_and(|padding| u32::from(*padding) + 1 >= *length);
                self.look = Look::Nothing;
                if all {
                    return self.one_more(now, |flood| &mut flood.empty, EMPTY, Refusal::EmptyDataFlood);
                }
                Ok(())
            }
            Look::Trailers { skip, padded } => {
                let mut part = part;
                if std::mem::take(padded) {
                    // The padding itself reads as fields without meaning: index 0, which the codec
                    // does not get to see.
                    part = &part[1..];
                }
                let skipped = part.len().min(*skip);
                *skip -= skipped;
                if let Some(block) = &mut self.block.trailers {
                    block.extend_from_slice(&part[skipped..]);
                }
                if last { self.trailers_end() } else { Ok(()) }
            }
        }
    }

    fn trailers_end(&mut self) -> Result<(), Refusal> {
        if self.block.open {
            return Ok(());
        }
        match self.block.trailers.take() {
            Some(block) if trailers::names_pseudo(&block) => Err(Refusal::MalformedTrailers),
            _ => Ok(()),
        }
    }

    /// Follows bytes of ours.
    pub(super) fn written(&mut self, mut bytes: &[u8], now: Instant) -> Result<Blame, Refusal> {
        let mut blame = Blame::Nothing;
        while let Some(event) = self.outbound.take(&mut bytes) {
            match event {
                Event::Head(head) => {
                    self.own = Own::Nothing;
                    match head.kind {
                        DATA => {
                            self.earned(CONTROL_PER_DATA);
                            // Clients measure the connection by a PING for data.
                            self.pings = self.pings.saturating_sub(1);
                        }
                        RST_STREAM => self.own = Own::Code { skip: 0, code: 0, have: 0, stream: true },
                        GOAWAY => self.own = Own::Code { skip: 4, code: 0, have: 0, stream: false },
                        _ => {}
                    }
                }
                Event::Payload { part, .. } => {
                    if let Some((code, stream)) = self.own_code(part) {
                        match (stream, is_fault(code)) {
                            (true, true) => {
                                blame = Blame::Stream;
                                self.one_more(now, |flood| &mut flood.errors, RESETS, Refusal::ErrorFlood)?;
                            }
                            // Refused streams, resets of our own making.
                            (true, false) => self.control(now)?,
                            (false, true) => blame = Blame::Connection,
                            (false, false) => {}
                        }
                    }
                }
            }
        }
        Ok(blame)
    }

    /// The code of an error once all of it was written, and whether it ends only a stream.
    fn own_code(&mut self, part: &[u8]) -> Option<(u32, bool)> {
        let Own::Code { skip, code, have, stream } = &mut self.own else { return None };
        let skipped = part.len().min(*skip);
        *skip -= skipped;
        for byte in &part[skipped..] {
            *code = *code << 8 | u32::from(*byte);
            *have += 1;
            if *have == 4 {
                let found = (*code, *stream);
                self.own = Own::Nothing;
                return Some(found);
            }
        }
        None
    }

    fn earned(&mut self, control: u32) {
        self.control = (self.control + control).min(MOST_CONTROL);
    }

    fn control(&mut self, now: Instant) -> Result<(), Refusal> {
        self.turn(now);
        self.control = self.control.checked_sub(1).ok_or(Refusal::ControlFlood)?;
        Ok(())
    }

    fn one_more(
        &mut self,
        now: Instant,
        count: impl Fn(&mut Self) -> &mut u32,
        most: u32,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        self.turn(now);
        let count = count(self);
        *count += 1;
        if *count > most { Err(refusal) } else { Ok(()) }
    }

    /// Begins a new window if the last is over.
    fn turn(&mut self, now: Instant) {
        if now.duration_since(self.since) >= WINDOW {
            self.since = now;
            (self.resets, self.errors, self.pings, self.settings, self.empty) = (0, 0, 0, 0, 0);
            self.control = self.control.max(CONTROL);
        }
    }
}

/// Whether an error code that we write says that the client made an error (RFC 9113 §7).
const fn is_fault(code: u32) -> bool {
    // PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, COMPRESSION_ERROR,
    // ENHANCE_YOUR_CALM
    matches!(code, 0x1 | 0x3 | 0x5 | 0x6 | 0x9 | 0xb)
}

#[cfg(test)]
mod tests;
