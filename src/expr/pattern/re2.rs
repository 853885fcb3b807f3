//! RE2's syntax, which CEL names, in that of the library: where the same text means something else.
//!
//! `\d`, `\w`, `\s` and `\b` are ASCII in RE2; in a class `[`, `&&`, `--` and `~~` are just
//! characters; `\Q…\E` quotes; `\C` and look-around are in neither.

/// Rewrites a pattern. What is not valid stays so, and the library says what is wrong with it.
pub(super) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == '\\' {
            rest = escape(after, in_class, &mut out);
            continue;
        }
        if !in_class {
            out.push(c);
            rest = after;
            if c == '[' {
                in_class = true;
                // `[]a]` and `[^]a]` hold a bracket.
                let negated = rest.strip_prefix('^');
                out.push_str(if negated.is_some() { "^" } else { "" });
                rest = negated.unwrap_or(rest);
                if let Some(behind) = rest.strip_prefix(']') {
                    out.push_str("\\]");
                    rest = behind;
                }
            }
            continue;
        }
        match c {
            ']' => {
                in_class = false;
                out.push(c);
            }
            '[' => match after.find(":]").filter(|_| after.starts_with(':')) {
                Some(end) => {
                    out.push_str(&rest[..end + 3]);
                    rest = &after[end + 2..];
                    continue;
                }
                None => out.push_str("\\["),
            },
            '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if after.starts_with('-') => out.push_str("\\-"),
            _ => out.push(c),
        }
        rest = after;
    }
    out
}

/// Rewrites what stands behind a backslash; gives what is left.
fn escape<'p>(after: &'p str, in_class: bool, out: &mut String) -> &'p str {
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let rest = &after[c.len_utf8()..];
    match (c, in_class) {
        ('Q', _) => {
            let (quoted, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            for c in quoted.chars() {
                if c.is_ascii_punctuation() {
                    out.push('\\');
                }
                out.push(c);
            }
            return rest;
        }
        ('d', false) => out.push_str("[0-9]"),
        ('d', true) => out.push_str("0-9"),
        ('D', _) => out.push_str("[^0-9]"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('s', false) => out.push_str(r"[\t\n\f\r ]"),
        ('s', true) => out.push_str(r"\t\n\f\r "),
        ('S', _) => out.push_str(r"[^\t\n\f\r ]"),
        ('b', false) => out.push_str(r"(?-u:\b)"),
        // The complement of an ASCII boundary may fall inside a character, where a text is never cut.
        ('B', false) => out.push_str(r"(?-u:\B)"),
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    rest
}
