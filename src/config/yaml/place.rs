//! From an offset in a scalar's value back to the line and column of the file, for every style.
//!
//! The scalar is read again from its bytes, by the folding and escape rules of its style, and every
//! piece remembers where it came from. Only findings pay for this.

use super::node::{Node, Source, Style, Value};
use crate::diagnostic::Place;

impl Node {
    /// The place of byte `offset` of this scalar's *value*, for every YAML style: plain, quoted with
    /// escapes, folded, literal. `width` is in characters.
    #[must_use]
    pub fn place_at(&self, offset: usize, width: usize) -> Place {
        let Value::Text(value) = &self.value else { return self.place.clone() };
        let raw = self.source.raw();
        let mut at = raw.len();
        let mut done = 0;
        let indent = self.source.column.saturating_sub(1) as usize;
        pieces(raw, self.source.style, value, indent, &mut |from, len| {
            if offset < done + len {
                // Only pieces that are copied as they are hold more than one character.
                at = from + (offset - done);
                return false;
            }
            done += len;
            at = from;
            true
        });
        if offset >= done && offset >= value.len() {
            at = end_of(raw, self.source.style);
        }
        let at = (0..=at.min(raw.len())).rev().find(|at| raw.is_char_boundary(*at)).unwrap_or(0);
        self.source.place(&self.place, at, width)
    }
}

impl Source {
    fn raw(&self) -> &str {
        self.text.get(self.start as usize..self.end as usize).unwrap_or("")
    }

    /// The place of byte `at` of the raw text.
    fn place(&self, node: &Place, at: usize, width: usize) -> Place {
        let before = &self.raw()[..at];
        let (mut line, mut column) = (self.line, self.column);
        let mut chars = before.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\n' || c == '\r' && chars.peek() != Some(&'\n') {
                line += 1;
                column = 1;
            } else if c != '\r' {
                column += 1;
            }
        }
        Place {
            file: node.file.clone(),
            line,
            column,
            width: u32::try_from(width).unwrap_or(u32::MAX).max(1),
        }
    }
}

/// Where the content of a scalar ends: before the closing quote.
fn end_of(raw: &str, style: Style) -> usize {
    match style {
        Style::Single | Style::Double => raw.len().saturating_sub(1),
        Style::Literal | Style::Folded => raw.trim_end().len(),
        Style::Plain | Style::Collection => raw.len(),
    }
}

/// Calls `piece(raw offset, length in the value)` for every piece of the value, until it says no.
fn pieces(raw: &str, style: Style, value: &str, indent: usize, piece: &mut dyn FnMut(usize, usize) -> bool) {
    match style {
        Style::Plain | Style::Collection => flow(raw, 0, raw.len(), style, piece),
        Style::Single | Style::Double => {
            flow(raw, 1.min(raw.len()), raw.len().saturating_sub(1), style, piece);
        }
        Style::Literal | Style::Folded => block(raw, value, indent, piece),
    }
}

/// Plain and quoted scalars: a run of blanks around line breaks folds to one space, or to one line
/// break fewer than there are.
fn flow(raw: &str, start: usize, end: usize, style: Style, piece: &mut dyn FnMut(usize, usize) -> bool) {
    let mut at = start;
    while at < end {
        let rest = &raw[at..end];
        let Some(c) = rest.chars().next() else { return };
        let mut used = c.len_utf8();
        let mut made = used;
        match c {
            ' ' | '\t' | '\n' | '\r' => {
                let blank = blanks(rest);
                used = blank.bytes;
                made = if blank.breaks == 0 { used } else { blank.breaks.max(2) - 1 };
            }
            '\'' if style == Style::Single => used = 2,
            '\\' if style == Style::Double => (used, made) = escape(rest),
            _ => {}
        }
        if made > 0 && !piece(at, made) {
            return;
        }
        at += used.max(1);
    }
}

struct Blank {
    bytes: usize,
    breaks: usize,
}

/// The white space at the start of `text`, as far as the last line break and the indentation after it.
fn blanks(text: &str) -> Blank {
    let bytes = text.len() - text.trim_start_matches([' ', '\t', '\n', '\r']).len();
    let run = &text[..bytes];
    Blank { bytes, breaks: run.matches('\n').count() + run.replace("\r\n", "").matches('\r').count() }
}

/// Bytes that an escape takes and gives.
fn escape(text: &str) -> (usize, usize) {
    let Some(c) = text[1..].chars().next() else { return (1, 0) };
    let hex = |digits: usize| {
        text.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0)
    };
    let wide = |digits: usize| (2 + digits, char::from_u32(hex(digits)).map_or(3, char::len_utf8));
    match c {
        '\n' | '\r' => {
            let blank = blanks(&text[1..]);
            (1 + blank.bytes, blank.breaks.saturating_sub(1))
        }
        'x' => wide(2),
        // Two halves of a surrogate pair make one character of four bytes.
        'u' if (0xD800..0xDC00).contains(&hex(4)) => (12, 4),
        'u' => wide(4),
        'U' => wide(8),
        'N' | '_' => (2, 2),
        'L' | 'P' => (2, 3),
        _ => (1 + c.len_utf8(), 1),
    }
}

/// Literal and folded scalars, whose bytes start behind the indentation of the first line. The value
/// says what a line break became.
fn block(raw: &str, value: &str, indent: usize, piece: &mut dyn FnMut(usize, usize) -> bool) {
    let mut wanted = value.chars().peekable();
    // Empty lines before the text are in the value, but not in the bytes.
    while !raw.starts_with(['\n', '\r']) && wanted.next_if_eq(&'\n').is_some() {
        if !piece(0, 1) {
            return;
        }
    }
    let mut at = 0;
    while at < raw.len() && wanted.peek().is_some() {
        let line = raw[at..].split('\n').next().unwrap_or("");
        let spaces = line.len() - line.trim_start_matches(' ').len();
        let skip = if at == 0 { 0 } else { spaces.min(indent) };
        for (offset, c) in line[skip..].char_indices() {
            if wanted.next_if_eq(&c).is_some() && !piece(at + skip + offset, c.len_utf8()) {
                return;
            }
        }
        if wanted.next_if(|c| matches!(c, '\n' | ' ')).is_some() && !piece(at + line.len(), 1) {
            return;
        }
        at += line.len() + 1;
    }
}
