//! Findings as text with a caret, as JSON, and as GitHub annotations.

use std::{borrow::Cow, collections::HashMap, fmt::Write as _, sync::Arc};

use super::{Diagnostic, Diagnostics, Place};

/// Gives the text of a file, if it is known.
pub type Lookup<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// How many columns of a source line are shown; more is cut around the caret.
const MAX_LINE: usize = 160;

/// For people: `file:line:col: error[CODE]: message`, the source line with a caret, the remedy.
#[must_use]
pub fn text(findings: &Diagnostics, source: &Lookup<'_>) -> String {
    let mut out = String::new();
    let mut lines = Lines::default();
    for finding in findings.items() {
        let Diagnostic { place, severity, code, message, .. } = finding;
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{place}: {}[{}]: {}", severity.as_str(), code.as_str(), one_line(message));
        let related = finding.related.as_ref();
        let widest = place.line.max(related.map_or(0, |(place, _)| place.line)).to_string().len();
        excerpt(&mut out, place, lines.line(place, source), widest);
        if let Some(help) = &finding.help {
            let _ = writeln!(out, "{:widest$} = help: {}", "", one_line(help));
        }
        if let Some((place, note)) = related {
            let _ = writeln!(out, "{:widest$} ::: {place}: {}", "", one_line(note));
            excerpt(&mut out, place, lines.line(place, source), widest);
        }
        out.push('\n');
    }
    out
}

/// For programs: an array of objects with `code file line column severity message help`.
#[must_use]
pub fn json(findings: &Diagnostics) -> String {
    let findings: Vec<_> = findings.items().iter().map(value).collect();
    serde_json::Value::Array(findings).to_string()
}

/// One finding as JSON, as `/status` shows it too.
#[must_use]
pub fn value(finding: &Diagnostic) -> serde_json::Value {
    serde_json::json!({
        "code": finding.code.as_str(),
        "file": &*finding.place.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "severity": finding.severity.as_str(),
        "message": finding.message,
        "help": finding.help,
    })
}

/// For GitHub Actions: a workflow command per finding, which it shows beside the line.
#[must_use]
pub fn github(findings: &Diagnostics) -> String {
    let mut out = String::new();
    for finding in findings.items() {
        let Place { file, line, column, .. } = &finding.place;
        let help = finding.help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {help}"));
        let _ = writeln!(
            out,
            "::{} file={},line={line},col={column},title={}::{}",
            finding.severity.as_str(),
            escape_property(file),
            escape_property(finding.code.as_str()),
            escape_data(&format!("{}{help}", finding.message)),
        );
    }
    out
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Messages quote what templates hold, which must not move the terminal's cursor or forge a line.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect())
}

/// Control characters, and those that turn the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Finds lines of files. Where they begin is looked up once per file: findings go forth and back between a unit's file
/// and IT's.
#[derive(Default)]
struct Lines<'s> {
    files: HashMap<Arc<str>, Option<(&'s str, Vec<usize>)>>,
}

impl<'s> Lines<'s> {
    fn line(&mut self, place: &Place, source: &Lookup<'s>) -> Option<&'s str> {
        if !self.files.contains_key(&place.file) {
            let found = source(&place.file).map(|text| {
                let next = text.match_indices('\n').map(|(at, _)| at + 1);
                (text, std::iter::once(0).chain(next).collect())
            });
            self.files.insert(Arc::clone(&place.file), found);
        }
        let (text, starts) = self.files.get(&place.file)?.as_ref()?;
        let start = *starts.get((place.line as usize).checked_sub(1)?)?;
        let line = text[start..].split('\n').next()?;
        Some(line.trim_end_matches('\r'))
    }
}

/// The source line with its number, and the caret under it.
fn excerpt(out: &mut String, place: &Place, line: Option<&str>, widest: usize) {
    let Some(line) = line else { return };
    let column = place.column.saturating_sub(1) as usize;
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    // A line of a megabyte is cut, so that its place can still be seen.
    let from = column.saturating_sub(MAX_LINE / 2);
    let from = if line.chars().nth(MAX_LINE).is_some() { from } else { 0 };
    let mut shown = String::new();
    let mut before = 0;
    let mut under = 0;
    let cut = line.chars().skip(from).take(MAX_LINE);
    for (at, c) in cut.enumerate().map(|(at, c)| (at + from, c)) {
        let columns = width(c);
        match c {
            '\t' => shown.push_str("    "),
            c if is_unsafe(c) => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
        if at < column {
            before += columns;
        } else if at - column < place.width as usize {
            under += columns;
        }
    }
    let _ = writeln!(out, "{:widest$} |", "");
    let _ = writeln!(out, "{:>widest$} | {}", place.line, shown.trim_end());
    let _ = writeln!(out, "{:widest$} | {:before$}{}", "", "", "^".repeat(under.max(1)));
}

/// How many columns of a terminal a character takes: none, one, or two for the wide scripts and emoji.
fn width(c: char) -> usize {
    match c {
        '\t' => 4,
        '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{33ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{a000}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    fn place(file: &str, line: u32, column: u32, width: u32) -> Place {
        Place { file: file.into(), line, column, width }
    }

    fn findings(items: impl IntoIterator<Item = Diagnostic>) -> Diagnostics {
        let mut findings = Diagnostics::default();
        items.into_iter().for_each(|item| findings.push(item));
        findings
    }

    #[test]
    fn shows_the_line_the_caret_the_help_and_the_other_place() {
        let found = findings([Diagnostic::new(
            Code::UnknownKey,
            place("routes/a.yaml", 12, 3, 6),
            "no key `tiemout`",
        )
        .help("did you mean `timeout`?")
        .related(place("routes/a.yaml", 2, 1, 1), "here")]);
        let source = format!("a: 1\nb: 2\n{}  tiemout: 5s\n", "\n".repeat(9));
        let shown = text(&found, &|_| Some(&source));
        let wanted = "routes/a.yaml:12:3: error[unknown_key]: no key `tiemout`\n   |\n12 |   tiemout: 5s\n   |   ^^^^^^\n   \
                      = help: did you mean `timeout`?\n   ::: routes/a.yaml:2:1: here\n   |\n 2 | b: 2\n   | ^\n\n";
        assert_eq!(shown, wanted);
    }

    #[test]
    fn the_caret_stands_under_its_characters_after_wide_ones_and_tabs() {
        let found = findings([Diagnostic::new(Code::Yaml, place("a", 1, 5, 2), "m")]);
        let shown = text(&found, &|_| Some("a値\t x値y\r\n"));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[2], "1 | a値     x値y");
        assert_eq!(lines[3], "  |         ^^^");
    }

    #[test]
    fn without_the_file_only_the_line_and_the_help_remain() {
        let found = findings([Diagnostic::new(Code::Yaml, place("a", 7, 1, 1), "m").help("h")]);
        assert_eq!(text(&found, &|_| None), "a:7:1: error[yaml]: m\n  = help: h\n\n");
        assert_eq!(text(&found, &|_| Some("only one line")), text(&found, &|_| None));
    }

    #[test]
    fn a_place_behind_the_end_of_its_line_still_has_a_caret() {
        let found = findings([Diagnostic::new(Code::Yaml, place("a", 1, 40, 9), "m")]);
        assert!(
            text(&found, &|_| Some("short")).ends_with("  | ^\n\n".replace("  | ^", "  |      ^").as_str())
        );
    }

    #[test]
    fn control_characters_of_a_template_do_not_reach_the_terminal() {
        let found = findings([Diagnostic::new(Code::Yaml, place("a", 1, 1, 1), "m\u{1b}[2J\nforged")]);
        let shown = text(&found, &|_| Some("a\u{1b}[2J\u{202e}b"));
        assert!(!shown.contains(['\u{1b}', '\u{202e}']));
        assert_eq!(shown.lines().next(), Some("a:1:1: error[yaml]: m\u{fffd}[2J\u{fffd}forged"));
    }

    #[test]
    fn json_has_exactly_the_promised_members() {
        let found = findings([Diagnostic::new(Code::OpenRoute, place("a \"b\"", 1, 2, 3), "m\nn")]);
        assert_eq!(
            json(&found),
            r#"[{"code":"open_route","file":"a \"b\"","line":1,"column":2,"severity":"warning","message":"m\nn","help":null}]"#
        );
        assert_eq!(json(&Diagnostics::default()), "[]");
    }

    #[test]
    fn github_annotations_are_escaped() {
        let found =
            findings([Diagnostic::new(Code::Yaml, place("a:b,c%", 3, 4, 1), "50 %\nno").help("x: y")]);
        let wanted = "::error file=a%3Ab%2Cc%25,line=3,col=4,title=yaml::50 %25%0Ano%0Ahelp: x: y\n";
        assert_eq!(github(&found), wanted);
    }
}
