//! What servers behind may make of a canonical path, where they are known to disagree: parameters of segments cut
//! off before dots are resolved (servlet containers), empty segments merged (nginx), reserved characters decoded.
//!
//! RFC 3986 §3.3 leaves parameters to the application, and the gateway takes them as data. A path that goes on
//! as it came is the one place where that is not enough: a server with another reading would find behind an open route
//! what stands behind a guarded one.

use std::borrow::Cow;

use super::path::{hex, resolve_dots};

/// Other readings of a canonical path; none where there is one reading.
pub(super) fn of(path: &str) -> impl Iterator<Item = String> {
    let ambiguous = path.bytes().any(|byte| matches!(byte, b';' | b'%')) || path.contains("//");
    // Some decode before they cut, some after.
    let bases = ambiguous.then(|| [path.to_owned(), decode_reserved(path).into_owned()]);
    let read = bases.into_iter().flatten().flat_map(|base| {
        let cut = cut_parameters(&base);
        [resolve_dots(&cut), resolve_dots(&merge(&cut)), merge(&base), base]
    });
    read.filter(move |reading| reading != path)
}

/// With what may stand in a segment unencoded (`sub-delims`, `:`, `@`) decoded.
fn decode_reserved(path: &str) -> Cow<'_, str> {
    let mut parts = path.split('%');
    let mut out = Cow::Borrowed(parts.next().unwrap_or_default());
    for part in parts {
        let code = part.as_bytes().first_chunk().and_then(|[high, low]| Some(hex(*high)? << 4 | hex(*low)?));
        match code {
            Some(code) if b"!$&'()*+,;=:@".contains(&code) => {
                out.to_mut().push(char::from(code));
                out.to_mut().push_str(&part[2..]);
            }
            _ => {
                out.to_mut().push('%');
                out.to_mut().push_str(part);
            }
        }
    }
    out
}

fn cut_parameters(path: &str) -> String {
    let names = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    names.collect::<Vec<_>>().join("/")
}

fn merge(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::of;

    fn readings(path: &str) -> Vec<String> {
        let mut all: Vec<_> = of(path).collect();
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn a_plain_path_has_one() {
        for path in ["/", "/a/b.c/", "/a:b@c!", "/caf%C3%A9/%20"] {
            assert_eq!(readings(path), [""; 0], "{path}");
        }
    }

    #[test]
    fn parameters_slashes_and_encodings_have_more() {
        for (path, expected) in [
            ("/a//b", &["/a/b"][..]),
            ("/a;x/b;y=1", &["/a/b"]),
            ("/a/..;/b", &["/b"]),
            ("/a/..%3b/b", &["/a/..;/b", "/b"]),
            ("/a;x/..%3b/b", &["/a/..%3b/b", "/b"]),
            ("/a/;/..;x/b", &["/a/b", "/b"]),
            ("/%40a", &["/@a"]),
        ] {
            let found = readings(path);
            assert!(expected.iter().all(|one| found.iter().any(|other| other == one)), "{path}: {found:?}");
        }
    }
}
