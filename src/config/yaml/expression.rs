//! Where YAML and expressions collide: `? :`, `{` and ` #` inside an unquoted `${ … }`.
//!
//! This looks at characters only; what an expression is, `expr` decides.

use super::node::{Node, Style, Value};

/// The remedy for every such collision.
pub const QUOTE_IT: &str = "quote this expression: '${ … }'";

impl Node {
    /// Whether this is an unquoted scalar with an unclosed `${` that a comment (` #`) cut off.
    #[must_use]
    pub fn cut_by_comment(&self) -> bool {
        let Value::Text(text) = &self.value else { return false };
        let rest = self.source.text.get(self.source.end as usize..).unwrap_or("");
        self.source.style == Style::Plain
            && rest.starts_with([' ', '\t'])
            && rest.trim_start_matches([' ', '\t']).starts_with('#')
            && has_unclosed(text)
    }
}

/// Whether a `${` of the text has no closing brace.
fn has_unclosed(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            rest = &rest[at + 2..];
            continue;
        }
        match close(&rest[at + 2..]) {
            Some(end) => rest = &rest[at + 2 + end..],
            None => return true,
        }
    }
    false
}

/// The offset behind the brace that closes an expression, braces and quotes inside it counted.
fn close(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at + 1),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

/// Whether an unquoted `${` stands in the line of `offset` at or before it, or ends the line above.
/// That is where a parser stumbles over an expression that needs quotes.
pub(super) fn is_open_at(text: &str, offset: usize) -> bool {
    let offset = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let line_start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let here = text[line_start..].lines().next().unwrap_or("");
    let reach = (offset - line_start + 2).min(here.len());
    let reach = (0..=reach).rev().find(|at| here.is_char_boundary(*at)).unwrap_or(0);
    if has_unquoted(&here[..reach]) || has_cut_by_quote(&here[..reach]) {
        return true;
    }
    // An expression that runs over lines, or a flow collection that is noticed at the next line.
    let is_said = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let above = text[..line_start].lines().rev().find(is_said).unwrap_or("");
    has_unquoted(above) && (has_unclosed(above) || here[..reach].trim().is_empty() || offset == text.len())
}

/// Whether the line has a quoted scalar that ends within its `${`: the expression uses the quotes of the YAML.
fn has_cut_by_quote(line: &str) -> bool {
    ["\"${", "'${"].into_iter().any(|start| {
        line.match_indices(start).any(|(at, _)| {
            let (quote, rest) = start.split_at(1);
            let inside = &line[at + quote.len() + rest.len()..];
            inside.split_once(quote).is_some_and(|(inside, _)| close(inside).is_none())
        })
    })
}

/// Whether the line has a `${` outside of YAML quotes.
fn has_unquoted(line: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => {
                chars.next();
            }
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if matches!(before, ' ' | '[' | '{' | ',' | ':') => quote = Some(c),
            (None, '#') if before == ' ' => return false,
            (None, '$') if line[at..].starts_with("${") => return true,
            (None, _) => {}
        }
        before = c;
    }
    false
}
