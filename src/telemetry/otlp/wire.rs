//! The wire format of protocol buffers: as much of it as OTLP needs.

/// A message under construction.
pub(super) struct Message<'a>(&'a mut Vec<u8>);

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

impl<'a> Message<'a> {
    pub(super) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    fn raw(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.raw(u64::from(field << 3 | kind));
    }

    /// A number; zero is the default and is left out.
    pub(super) fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint_always(field, value);
        }
    }

    /// A number of a `oneof`, where zero counts.
    pub(super) fn varint_always(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.raw(value);
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, BYTES);
        self.raw(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Text; what is empty is the default and is left out.
    pub(super) fn text(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
    }

    /// Text of a `oneof`, where an empty one counts.
    pub(super) fn text_always(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A list of 64-bit values, packed.
    pub(super) fn packed(&mut self, field: u32, values: impl ExactSizeIterator<Item = u64>) {
        self.tag(field, BYTES);
        self.raw(8 * values.len() as u64);
        for value in values {
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A message inside of this one.
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Message<'_>)) {
        self.tag(field, BYTES);
        let start = self.0.len();
        fill(&mut Message(self.0));
        // How long it is goes in front and is known only now.
        let mut length = Vec::with_capacity(5);
        Message(&mut length).raw((self.0.len() - start) as u64);
        self.0.splice(start..start, length);
    }
}

/// The bytes of a field of a message, if it has it.
pub(super) fn field(message: &[u8], wanted: u32) -> Option<&[u8]> {
    find(message, wanted).and_then(|found| match found {
        Found::Bytes(bytes) => Some(bytes),
        Found::Number(_) => None,
    })
}

/// The number of a field of a message, if it has it.
pub(super) fn number(message: &[u8], wanted: u32) -> Option<u64> {
    find(message, wanted).and_then(|found| match found {
        Found::Number(number) => Some(number),
        Found::Bytes(_) => None,
    })
}

enum Found<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn find(mut rest: &[u8], wanted: u32) -> Option<Found<'_>> {
    loop {
        let tag = take(&mut rest)?;
        let found = match tag & 7 {
            0 => Found::Number(take(&mut rest)?),
            1 => Found::Bytes(rest.split_off(..8)?),
            2 => {
                let length = usize::try_from(take(&mut rest)?).ok()?;
                Found::Bytes(rest.split_off(..length)?)
            }
            5 => Found::Bytes(rest.split_off(..4)?),
            _ => return None,
        };
        if tag >> 3 == u64::from(wanted) {
            return Some(found);
        }
    }
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        let mut message = Message::new(&mut out);
        message.fixed64(7, 3);
        message.text(2, "x");
        message.message(1, |inner| {
            inner.text(2, &"long".repeat(100));
            inner.varint(1, 300);
        });
        assert_eq!(number(field(&out, 1).unwrap(), 1), Some(300));
        assert_eq!(field(&out, 2), Some(&b"x"[..]));
        assert_eq!(field(&out, 3), None);
    }

    #[test]
    fn garbage_is_nothing() {
        for garbage in
            [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x0a\xff\x01x", b"\x0f", b"<html>"]
        {
            assert_eq!(number(garbage, 1), None);
            assert_eq!(field(garbage, 1), None);
        }
    }
}
