//! What the compiler finds in templates: load-time findings, each with a stable code and a place.

use std::{fmt, sync::Arc};

mod code;
pub mod render;

pub use code::Code;

/// Whether a finding stops a tree from being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The tree is not served.
    Error,
    /// The tree is served; `check --strict` fails.
    Warning,
}

impl Severity {
    /// The word printed before the code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in a file. Lines and columns are 1-based, columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Path relative to the configuration directory, with `/`.
    pub file: Arc<str>,
    /// 1-based line.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
    /// How many characters the caret underlines, at least 1.
    pub width: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which rule; its explanation is printed by `segue explain CODE`.
    pub code: Code,
    /// Whether it stops the tree.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, one line, names in back-ticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// A second place that belongs to it, such as the other of two equal names.
    pub related: Option<(Place, String)>,
}

impl Diagnostic {
    /// A finding with the code's own severity.
    #[must_use]
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), place, message: message.into(), help: None, related: None }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, place: Place, note: impl Into<String>) -> Self {
        self.related = Some((place, note.into()));
        self
    }
}

/// How many findings of each severity are kept: more is read by nobody, and a hostile tree has millions.
const MAX_FINDINGS: usize = 20_000;

/// Every finding of a compile, in the order of files and lines after [`Diagnostics::finish`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// Adds a finding. Beyond 20 000 of a severity nothing is added.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if *count < MAX_FINDINGS {
            *count += 1;
            self.items.push(diagnostic);
        }
    }

    /// Moves up to `most` findings of each severity over from another collection.
    pub fn extend_up_to(&mut self, most: usize, other: Self) {
        let (mut errors, mut warnings) = (0, 0);
        for diagnostic in other.items {
            let count = match diagnostic.severity {
                Severity::Error => &mut errors,
                Severity::Warning => &mut warnings,
            };
            *count += 1;
            if *count <= most {
                self.push(diagnostic);
            }
        }
    }

    /// Adds the findings of another part.
    pub fn extend(&mut self, more: Self) {
        more.items.into_iter().for_each(|finding| self.push(finding));
    }

    /// Whether one of them stops the tree.
    #[must_use]
    pub const fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The findings.
    #[must_use]
    pub fn items(&self) -> &[Diagnostic] {
        &self.items
    }

    /// Sorts by file, line and column and drops exact repetitions.
    pub fn finish(&mut self) {
        self.items.sort_by(|a, b| {
            a.place.cmp(&b.place).then_with(|| a.code.cmp(&b.code)).then_with(|| a.message.cmp(&b.message))
        });
        self.items.dedup();
        self.errors = self.items.iter().filter(|item| item.severity == Severity::Error).count();
        self.warnings = self.items.len() - self.errors;
    }
}

/// The nearest of `known` to `wrong`, for "did you mean", if one is near enough.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Edit distance that counts a swap of neighbours as one, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: Code, line: u32) -> Diagnostic {
        Diagnostic::new(code, Place { file: "a".into(), line, column: 1, width: 1 }, "m")
    }

    #[test]
    fn the_nearest_name_is_offered_only_if_it_is_near() {
        let known = ["timeout", "match", "respond"];
        assert_eq!(nearest("tiemout", known), Some("timeout"));
        assert_eq!(nearest("Match", known), Some("match"));
        assert_eq!(nearest("responds", known), Some("respond"));
        assert_eq!(nearest("compression", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn findings_are_sorted_and_exact_repetitions_dropped() {
        let mut all = Diagnostics::default();
        for finding in [finding(Code::Yaml, 2), finding(Code::Yaml, 1), finding(Code::Yaml, 2)] {
            all.push(finding);
        }
        all.finish();
        assert_eq!(all.items().iter().map(|item| item.place.line).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn warnings_alone_do_not_stop_a_tree_and_displace_no_error() {
        let mut all = Diagnostics::default();
        for line in 0..30_000 {
            all.push(finding(Code::OpenRoute, line));
        }
        assert!(!all.has_errors());
        all.push(finding(Code::Yaml, 1));
        assert!(all.has_errors());
        assert_eq!(all.items().len(), 20_001);
    }

    #[test]
    fn every_code_has_a_distinct_name_and_an_explanation() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let sentences = code.explanation().matches(['.', ':']).count();
            assert!(sentences >= 2 && code.explanation().len() > 120, "{} says too little", code.as_str());
        }
    }
}
