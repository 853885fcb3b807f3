//! A chunked body (RFC 9112 §7.1): where it ends, and whether every reader agrees on that.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::syntax;

/// Bytes of chunk extensions that a body may have. They are for this hop alone and mean nothing here.
const EXTENSIONS: usize = 4 * 1024;

/// What bounds a trailer section.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Field lines.
    pub fields: u32,
    /// Bytes of the fields: name, value and 4 for each.
    pub field_bytes: usize,
}

/// How far a body has been read.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    /// Bytes of extensions so far.
    extensions: usize,
    /// Of the trailer section, in the measure of a head's fields.
    fields: u32,
    field_bytes: usize,
    /// The trailer section as it came.
    trailers: Vec<u8>,
}

/// What the next bytes of a body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// So many are framing.
    pub framing: usize,
    /// So many after those are data. None: there are no more bytes, or the body is whole.
    pub data: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// In white space before a `;`.
    BeforeExtension {
        size: u64,
    },
    /// Before an extension's name.
    BeforeName {
        size: u64,
    },
    Name {
        size: u64,
    },
    /// In white space before a `=` or a `;`.
    AfterName {
        size: u64,
    },
    /// Before an extension's value.
    BeforeValue {
        size: u64,
    },
    Value {
        size: u64,
    },
    Quoted {
        size: u64,
    },
    /// After a backslash in quotes.
    Escaped {
        size: u64,
    },
    AfterQuoted {
        size: u64,
    },
    /// After the CR of the line with the size.
    SizeLf {
        size: u64,
    },
    /// So many bytes are left.
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// Before a trailer field, or the end.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// What is wrong with a body, in our own words.
pub type Fault = &'static str;

// === impl Chunked ===

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: State::Size { size: 0, digits: 0 },
            extensions: 0,
            fields: 0,
            field_bytes: 0,
            trailers: Vec::new(),
        }
    }
}

impl Chunked {
    /// Reads on, up to the end of the next data. To be called again with what follows that.
    pub fn next(&mut self, bytes: &[u8], limits: &Limits) -> Result<Part, Fault> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let State::Data { left } = self.state {
                let part = left.min((bytes.len() - at) as u64);
                self.state = if part == left { State::DataCr } else { State::Data { left: left - part } };
                return Ok(Part { framing: at, data: usize::try_from(part).unwrap_or_default() });
            }
            self.state = self.step(*byte, limits)?;
            at += 1;
            if self.state == State::End {
                break;
            }
        }
        Ok(Part { framing: at, data: 0 })
    }

    /// Reads on. Gives how many of the bytes are the body's; fewer than there are only at its end.
    pub fn read(&mut self, bytes: &[u8], limits: &Limits) -> Result<usize, Fault> {
        let mut at = 0;
        loop {
            let Part { framing, data } = self.next(&bytes[at..], limits)?;
            at += framing + data;
            if data == 0 {
                return Ok(at);
            }
        }
    }

    /// The trailers of a whole body.
    pub fn trailers(&mut self) -> Result<Option<HeaderMap>, Fault> {
        if self.trailers.is_empty() {
            return Ok(None);
        }
        let mut trailers = HeaderMap::new();
        for line in std::mem::take(&mut self.trailers).split(|byte| *byte == b'\r') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| TRAILER)?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| TRAILER)?;
            trailers.try_append(name, value).map_err(|_| TRAILER)?;
        }
        Ok(Some(trailers))
    }

    /// Whether there are trailers so far.
    #[must_use]
    pub const fn has_trailers(&self) -> bool {
        !self.trailers.is_empty()
    }

    /// Whether all of it came.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.state == State::End
    }

    fn step(&mut self, byte: u8, limits: &Limits) -> Result<State, Fault> {
        use State::*;
        let blank = matches!(byte, b' ' | b'\t');
        if let BeforeExtension { .. }
        | BeforeName { .. }
        | Name { .. }
        | AfterName { .. }
        | BeforeValue { .. }
        | Value { .. }
        | Quoted { .. }
        | Escaped { .. }
        | AfterQuoted { .. } = self.state
        {
            self.extensions += 1;
            if self.extensions > EXTENSIONS {
                return Err("the body's chunk extensions are too long");
            }
        }
        Ok(match self.state {
            Size { size, digits } => match byte {
                _ if byte.is_ascii_hexdigit() => {
                    // 16 digits are all that a number of 64 bits has; the codec's own marks are at its top.
                    if digits == 16 || size > u64::MAX >> 6 {
                        return Err("a chunk of the body is too large");
                    }
                    let digit = char::from(byte).to_digit(16).unwrap_or_default();
                    Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
                }
                _ if digits == 0 => return Err("a chunk of the body has no size"),
                _ if blank => BeforeExtension { size },
                b';' => BeforeName { size },
                b'\r' => SizeLf { size },
                _ => return Err("the size of a chunk of the body is not a number"),
            },
            BeforeExtension { size } => match byte {
                _ if blank => BeforeExtension { size },
                b';' => BeforeName { size },
                _ => return Err(EXTENSION),
            },
            BeforeName { size } => match byte {
                _ if blank => BeforeName { size },
                _ if syntax::is_token(byte) => Name { size },
                _ => return Err(EXTENSION),
            },
            Name { size } => match byte {
                _ if syntax::is_token(byte) => Name { size },
                _ if blank => AfterName { size },
                b'=' => BeforeValue { size },
                b';' => BeforeName { size },
                b'\r' => SizeLf { size },
                _ => return Err(EXTENSION),
            },
            AfterName { size } => match byte {
                _ if blank => AfterName { size },
                b'=' => BeforeValue { size },
                b';' => BeforeName { size },
                _ => return Err(EXTENSION),
            },
            BeforeValue { size } => match byte {
                _ if blank => BeforeValue { size },
                b'"' => Quoted { size },
                _ if syntax::is_token(byte) => Value { size },
                _ => return Err(EXTENSION),
            },
            Value { size } => match byte {
                _ if syntax::is_token(byte) => Value { size },
                _ if blank => BeforeExtension { size },
                b';' => BeforeName { size },
                b'\r' => SizeLf { size },
                _ => return Err(EXTENSION),
            },
            Quoted { size } => match byte {
                b'"' => AfterQuoted { size },
                b'\\' => Escaped { size },
                _ if syntax::is_field(byte) => Quoted { size },
                _ => return Err(EXTENSION),
            },
            Escaped { size } if syntax::is_field(byte) => Quoted { size },
            Escaped { .. } => return Err(EXTENSION),
            AfterQuoted { size } => match byte {
                _ if blank => BeforeExtension { size },
                b';' => BeforeName { size },
                b'\r' => SizeLf { size },
                _ => return Err(EXTENSION),
            },
            SizeLf { size: 0 } if byte == b'\n' => Trailer,
            SizeLf { size } if byte == b'\n' => Data { left: size },
            DataCr if byte == b'\r' => DataLf,
            DataLf if byte == b'\n' => Size { size: 0, digits: 0 },
            SizeLf { .. } | DataCr | DataLf => {
                return Err("a chunk of the body does not end where its size says");
            }
            Trailer if byte == b'\r' => EndLf,
            Trailer => {
                self.fields += 1;
                self.field_bytes += 4;
                if !syntax::is_token(byte) {
                    return Err(TRAILER);
                }
                self.trailer_byte(byte, TrailerName, limits)?
            }
            TrailerName => match byte {
                b':' => {
                    self.trailers.push(byte);
                    TrailerValue
                }
                _ if syntax::is_token(byte) => self.trailer_byte(byte, TrailerName, limits)?,
                _ => return Err(TRAILER),
            },
            TrailerValue => match byte {
                b'\r' => {
                    self.trailers.push(byte);
                    TrailerLf
                }
                _ if syntax::is_field(byte) => self.trailer_byte(byte, TrailerValue, limits)?,
                _ => return Err(TRAILER),
            },
            TrailerLf if byte == b'\n' => Trailer,
            EndLf if byte == b'\n' => End,
            TrailerLf | EndLf => return Err(TRAILER),
            // Both are left before a byte gets here.
            Data { .. } | End => return Err("the body has ended"),
        })
    }

    fn trailer_byte(&mut self, byte: u8, state: State, limits: &Limits) -> Result<State, Fault> {
        self.trailers.push(byte);
        self.field_bytes += 1;
        if self.fields > limits.fields || self.field_bytes > limits.field_bytes {
            return Err("the body's trailer section is too large");
        }
        Ok(state)
    }
}

const EXTENSION: Fault = "a chunk extension of the body is not valid";
const TRAILER: Fault = "the body's trailer section is not valid";

#[cfg(test)]
mod tests;
