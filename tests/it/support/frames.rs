//! HTTP/2 by hand: frames and header blocks as a test spells them, and what comes back.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const PRIORITY: u8 = 0x2;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PUSH_PROMISE: u8 = 0x5;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
/// A request without a body in one frame.
pub(crate) const WHOLE: u8 = END_STREAM | END_HEADERS;

pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The static table's entry for `:status: 200` as an answer's first byte has it.
const STATUS_200: u8 = 0x88;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![l0, l1, l2, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field as a literal without indexing and with a new name (RFC 7541 §6.2.2).
pub(crate) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &string(name), &string(value)].concat()
}

fn string(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if text.len() < 127 {
        bytes.push(text.len() as u8);
    } else {
        bytes.push(127);
        let mut left = text.len() - 127;
        while left >= 128 {
            bytes.push((left % 128 + 128) as u8);
            left /= 128;
        }
        bytes.push(left as u8);
    }
    bytes.extend(text);
    bytes
}

/// A header block of literals.
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name.as_ref(), value.as_ref())).collect()
}

/// The header block of a good GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", path)])
}

/// A setting (RFC 9113 §6.5.1).
pub(crate) fn setting(identifier: u16, value: u32) -> Vec<u8> {
    [&identifier.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A frame of the gateway.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// How something that was sent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// An answer, with its status if the test asks for it by a problem document.
    Status(u16),
    /// The stream was reset with this code.
    Reset(u32),
    /// The connection was ended with this code.
    GoAway(u32),
    /// The connection was closed without a word.
    Closed,
}

/// A connection that sends what a test says.
pub(crate) struct Raw {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    buffer: Vec<u8>,
}

// === impl Got ===

impl Got {
    /// The number at the front of the payload, or four bytes further.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

// === impl Raw ===

impl Raw {
    /// Connects, and says the preface and SETTINGS.
    pub(crate) async fn connect(address: SocketAddr, settings: &[u8]) -> Self {
        let mut raw = Self::silent(address).await;
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        raw.send(&frame(SETTINGS, 0, 0, settings)).await;
        raw
    }

    /// Connects.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Self { reader, writer, buffer: Vec::new() }
    }

    /// Sends bytes; whether the gateway still took them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        tokio::time::timeout(PATIENCE, self.writer.write_all(bytes)).await.is_ok_and(|sent| sent.is_ok())
    }

    /// The next frame; `None` at the connection's end.
    pub(crate) async fn next(&mut self) -> Option<Got> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("a frame or the end in time")
    }

    async fn read(&mut self) -> Option<Got> {
        loop {
            if let Some([l0, l1, l2, kind, flags, stream @ ..]) = self.buffer.first_chunk::<9>() {
                let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
                if self.buffer.len() >= 9 + length {
                    let (kind, flags, stream) = (*kind, *flags, u32::from_be_bytes(*stream));
                    let payload = self.buffer[9..9 + length].to_vec();
                    self.buffer.drain(..9 + length);
                    return Some(Got { kind, flags, stream, payload });
                }
            }
            let mut chunk = [0; 16_384];
            match self.reader.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.buffer.extend(&chunk[..len]),
            }
        }
    }

    /// Whether nothing came that is no frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// How the stream ended.
    pub(crate) async fn end(&mut self, stream: u32) -> End {
        let mut status = None;
        let mut body = Vec::new();
        while let Some(got) = self.next().await {
            match got.kind {
                GOAWAY if got.number(4) != 0 => return End::GoAway(got.number(4)),
                RST_STREAM if got.stream == stream => return End::Reset(got.number(0)),
                HEADERS if got.stream == stream => status = status.or_else(|| got.payload.first().copied()),
                DATA if got.stream == stream => body.extend(&got.payload),
                SETTINGS if got.flags & ACK == 0 => {
                    self.send(&frame(SETTINGS, ACK, 0, &[])).await;
                    continue;
                }
                _ => continue,
            }
            if got.flags & END_STREAM != 0 {
                return End::Status(if status == Some(STATUS_200) { 200 } else { problem_status(&body) });
            }
        }
        End::Closed
    }

    /// The connection's end: the code it was told, if any.
    pub(crate) async fn goes_away(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(got) = self.next().await {
            if got.kind == GOAWAY {
                code = Some(got.number(4));
            }
        }
        code
    }
}

/// The status that a problem document says.
fn problem_status(body: &[u8]) -> u16 {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    problem["status"].as_u64().and_then(|status| status.try_into().ok()).unwrap_or_default()
}
