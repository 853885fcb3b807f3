//! URIs of client certificates: SPIFFE IDs and their like, compared byte by byte.
//!
//! RFC 3986 §6 knows many ways to spell one URI. None of them is followed: an identity has one spelling, the one
//! that its issuer signs, and a difference in case or in percent-encoding makes another identity. `*` stands for
//! one whole segment of the path, of the characters that SPIFFE allows there (SPIFFE-ID §2.2); what is encoded is
//! not among them, so that nothing that a reader decodes into a slash or a dot fits.

/// A URI in which segments of the path may be open.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern(Box<str>);

// === impl Pattern ===

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(super) fn matches(&self, uri: &str) -> bool {
        let (mut pattern, mut uri) = (self.0.split('/'), uri.split('/'));
        // Scheme, the empty text before the authority, and the authority are as written.
        for position in 0.. {
            match (pattern.next(), uri.next()) {
                (None, None) => return true,
                (Some("*"), Some(segment)) if position > 2 => {
                    if !is_plain(segment) {
                        return false;
                    }
                }
                (Some(wanted), Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
        false
    }
}

fn is_plain(segment: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_segment_and_all_else_is_as_written() {
        let team = Pattern::new("spiffe://example/team/*");
        for uri in ["spiffe://example/team/a", "spiffe://example/team/A-1_b.c"] {
            assert!(team.matches(uri), "{uri}");
        }
        for uri in [
            "spiffe://example/team",
            "spiffe://example/team/",
            "spiffe://example/team/a/b",
            "spiffe://example/team/a/",
            "spiffe://example/team/.",
            "spiffe://example/team/..",
            "spiffe://example/team/%61",
            "spiffe://example/team/a%2Fb",
            "spiffe://example/team/a%2fb",
            "spiffe://example/team/a?x",
            "spiffe://example/team/a#x",
            "spiffe://example/team/a b",
            "spiffe://example/team/\u{fffd}",
            "spiffe://example/team/*",
            "spiffe://example//team/a",
            "spiffe://Example/team/a",
            "SPIFFE://example/team/a",
            "spiffe://example/Team/a",
            "spiffe://example/te%61m/a",
            "spiffe://example:443/team/a",
            "spiffe://user@example/team/a",
            "spiffe://example.evil/team/a",
            "spiffe:/example/team/a",
            "x:spiffe://example/team/a",
            "",
        ] {
            assert!(!team.matches(uri), "{uri}");
        }
        let exact = Pattern::new("spiffe://example/pay");
        assert!(exact.matches("spiffe://example/pay"));
        assert!(!exact.matches("spiffe://example/pay/"));
        let middle = Pattern::new("spiffe://example/*/sa/*");
        assert!(middle.matches("spiffe://example/a/sa/b"));
        assert!(!middle.matches("spiffe://example/a/sb/b"));
        assert!(!Pattern::new("spiffe://*/team/a").matches("spiffe://example/team/a"));
    }
}
