//! Follows the frames of an HTTP/2 byte stream (RFC 9113 §4.1) and keeps nothing but a partial header.

/// Length of a frame's header.
const HEADER: usize = 9;

/// A frame's type: bytes of a body (RFC 9113 §6.1).
pub const DATA: u8 = 0x0;
/// A frame's type: the beginning of a head or of trailers (§6.2).
pub const HEADERS: u8 = 0x1;
/// A frame's type: the end of one stream (§6.4).
pub const RST_STREAM: u8 = 0x3;
/// A frame's type: what its sender wants (§6.5).
pub const SETTINGS: u8 = 0x4;
/// A frame's type: to be answered at once (§6.7).
pub const PING: u8 = 0x6;
/// A frame's type: the end of the connection (§6.8).
pub const GOAWAY: u8 = 0x7;
/// A frame's type: more of a header block (§6.10).
pub const CONTINUATION: u8 = 0x9;

/// A flag: nothing follows on this stream.
pub const END_STREAM: u8 = 0x1;
/// A flag: the header block ends here.
pub const END_HEADERS: u8 = 0x4;
/// A flag: the payload begins with the length of the padding at its end.
pub const PADDED: u8 = 0x8;
/// A flag of HEADERS: five bytes of priority come before the block.
pub const PRIORITY: u8 = 0x20;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the payload, in bytes.
    pub length: u32,
    /// One of the types above, or one that nobody knows.
    pub kind: u8,
    /// Their meaning depends on the type.
    pub flags: u8,
    /// 0 is the connection.
    pub stream: u32,
}

// === impl Head ===

impl Head {
    /// Whether a flag is set.
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn parse(bytes: &[u8; HEADER]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }
}

/// What comes next in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A frame begins.
    Head(Head),
    /// A part of the payload of the frame whose head came last; `last` ends that frame. A frame without
    /// payload has none.
    Payload {
        /// The bytes.
        part: &'a [u8],
        /// The frame ends with them.
        last: bool,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub struct Frames {
    header: [u8; HEADER],
    /// So many bytes of the header are there.
    have: usize,
    /// So many bytes of the payload are still to come.
    left: u32,
}

// === impl Frames ===

impl Frames {
    /// Whether a frame has ended and none has begun.
    #[must_use]
    pub const fn at_boundary(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Takes what comes next off the front of the bytes; `None` when they are used up.
    pub fn take<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Event<'a>> {
        if self.left > 0 {
            if bytes.is_empty() {
                return None;
            }
            let len = bytes.len().min(self.left as usize);
            let (part, rest) = bytes.split_at(len);
            *bytes = rest;
            // `len` is at most `left`, which is a `u32`.
            self.left -= len as u32;
            return Some(Event::Payload { part, last: self.left == 0 });
        }
        let len = bytes.len().min(HEADER - self.have);
        let (part, rest) = bytes.split_at(len);
        self.header[self.have..self.have + len].copy_from_slice(part);
        *bytes = rest;
        self.have += len;
        if self.have < HEADER {
            return None;
        }
        let head = Head::parse(&self.header);
        self.have = 0;
        self.left = head.length;
        Some(Event::Head(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_whatever_the_reads() {
        let mut bytes = vec![0, 0, 3, DATA, END_STREAM, 0x80, 0, 0, 5, b'a', b'b', b'c'];
        bytes.extend([0, 0, 0, SETTINGS, 1, 0, 0, 0, 0]);
        bytes.extend([0, 1, 0, 0x42, 0, 0, 0, 0, 7]);
        bytes.extend([0; 256]);
        for size in [1, 2, 5, 9, 13, 4096] {
            let mut frames = Frames::default();
            let (mut heads, mut payload, mut ends) = (Vec::new(), 0, 0);
            for mut part in bytes.chunks(size) {
                while let Some(event) = frames.take(&mut part) {
                    match event {
                        Event::Head(head) => heads.push(head),
                        Event::Payload { part, last } => {
                            payload += part.len();
                            ends += usize::from(last);
                        }
                    }
                }
            }
            let head = |length, kind, flags, stream| Head { length, kind, flags, stream };
            assert_eq!(heads, [head(3, DATA, 1, 5), head(0, SETTINGS, 1, 0), head(256, 0x42, 0, 7)]);
            assert_eq!((payload, ends), (259, 2));
            assert!(frames.at_boundary());
        }
    }
}
