//! Fields that the gateway adds to a call, as HTTP/1.1 sends them.
//!
//! Every call has half a dozen of them, none of which anything on its way looks at. As text they are
//! one copy into what is sent; as entries of a map each costs a hash, an allocation and a destructor.

use http::{HeaderMap, HeaderName, HeaderValue};

/// See the module. The request itself must not have fields of the same names.
#[derive(Clone, Debug, Default)]
pub struct Added(Vec<u8>);

impl Added {
    /// None yet, with room for those of most calls.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::with_capacity(384))
    }

    /// Adds a field.
    pub fn push(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.line(name, value.as_bytes());
    }

    /// Adds a field whose value is text of our own making, perhaps around received bytes; one that could be read as
    /// more than a value is left out.
    pub fn push_text(&mut self, name: &HeaderName, value: &[u8]) {
        if value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)) {
            self.line(name, value);
        }
    }

    /// Adds a field whose value is made of digits and the like.
    pub fn push_plain(&mut self, name: &HeaderName, value: &[u8]) {
        debug_assert!(value.iter().all(u8::is_ascii_graphic), "a value that must be looked at");
        self.line(name, value);
    }

    fn line(&mut self, name: &HeaderName, value: &[u8]) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
    }

    /// Takes a field out again, if it is there.
    pub fn remove(&mut self, name: &HeaderName) {
        let kept: Vec<u8> = self
            .0
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| !(line.starts_with(name.as_str().as_bytes()) && line[name.as_str().len()] == b':'))
            .flatten()
            .copied()
            .collect();
        self.0 = kept;
    }

    /// The lines, each with its end.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Puts them into a map, for a codec that takes no text.
    pub fn insert_into(&self, headers: &mut HeaderMap) {
        for line in self.0.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, FROM, VIA};

    use super::*;

    #[test]
    fn fields_are_the_same_as_text_and_as_a_map() {
        let mut added = Added::new();
        added.push(&VIA, &HeaderValue::from_static("1.1 segue"));
        added.push_text(&ACCEPT, b"*/*");
        added.push_text(&FROM, b"a\r\nb: c");
        assert_eq!(added.as_bytes(), b"via: 1.1 segue\r\naccept: */*\r\n");
        added.push_text(&FROM, b"\xff,\t1.2.3.4");
        assert!(added.as_bytes().ends_with(b"\r\nfrom: \xff,\t1.2.3.4\r\n"));
        added.remove(&FROM);
        let mut headers = HeaderMap::new();
        added.insert_into(&mut headers);
        assert_eq!(
            (headers.len(), &headers[VIA], &headers[ACCEPT]),
            (2, &"1.1 segue".parse().unwrap(), &"*/*".parse().unwrap())
        );
        added.remove(&VIA);
        assert_eq!(added.as_bytes(), b"accept: */*\r\n");
    }
}
