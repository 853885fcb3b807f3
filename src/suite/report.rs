//! A report as text, as JSON, as JUnit XML and as GitHub annotations.

use std::fmt::Write as _;

use serde_json::json;

use super::{Answered, Case, Report, compare::cut};
use crate::diagnostic::{
    Diagnostics, Place,
    render::{self, Lookup, one_line},
};

/// For people: failures with their place and caret, then what no test has tried.
#[must_use]
pub fn text(report: &Report, source: &Lookup<'_>) -> String {
    let mut out = render::text(&report.findings, source);
    for case in &report.cases {
        case_line(&mut out, case);
        if !case.is_fine() {
            let _ = write!(out, "\n{}", render::text(&case.failures, source));
        }
    }
    out.push_str(&missed(report));
    out
}

/// As [`text`], with every call and every answer instead of what was not tried.
#[must_use]
pub fn show(report: &Report, source: &Lookup<'_>) -> String {
    let mut out = render::text(&report.findings, source);
    for case in &report.cases {
        case_line(&mut out, case);
        for call in &case.calls {
            let body = call.body.as_deref().filter(|body| !body.is_empty());
            let body =
                body.map_or_else(String::new, |body| format!(" {}", cut(&String::from_utf8_lossy(body))));
            let at = format!("{}ms", milliseconds(call.at));
            let _ = writeln!(out, "  {at:>6} {}{}", one_line(&call.line()), one_line(&body));
        }
        if let Some(answer) = &case.answer {
            show_answer(&mut out, answer);
        }
        if !case.is_fine() {
            let _ = write!(out, "\n{}", render::text(&case.failures, source));
        }
    }
    out
}

/// The answer, with `ID` and `TRACE` for what differs from run to run.
fn show_answer(out: &mut String, answer: &Answered) {
    let steady = |text: &str| {
        let text = text.replace(&*answer.request_id, "ID").replace(&*answer.trace_id, "TRACE");
        one_line(&text).into_owned()
    };
    let at = format!("{}ms", milliseconds(answer.elapsed));
    let _ = writeln!(out, "  {at:>6} answer {}", answer.status.as_u16());
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let _ = writeln!(out, "         {name}: {}", steady(&value));
    }
    match &answer.body {
        Some(body) if body.is_empty() => {}
        Some(body) => {
            let _ = writeln!(out, "         {}", steady(&String::from_utf8_lossy(body)));
        }
        None => out.push_str("         (the body broke off)\n"),
    }
}

fn case_line(out: &mut String, case: &Case) {
    let word = if case.is_fine() { "ok    " } else { "FAILED" };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{word} {}: {}", case.name.place.file, one_line(&case.name.value));
}

/// What no test has tried.
fn missed(report: &Report) -> String {
    let mut out = String::new();
    let missed: Vec<_> = report.coverage.branches().filter(|branch| !branch.taken).collect();
    if !missed.is_empty() {
        out.push_str("\nno test for:\n");
        for branch in missed {
            let _ = writeln!(out, "  {}: {}", branch.place, branch.what);
        }
    }
    // What has failed has a better reason.
    let fine = report.cases.iter().filter(|case| case.is_fine() && !report.findings.has_errors());
    let mut unused = fine.flat_map(|case| &case.unused).peekable();
    if unused.peek().is_some() {
        out.push_str("\nno call got these answers:\n");
        for place in unused {
            let _ = writeln!(out, "  {place}");
        }
    }
    out
}

/// One line: how many tests, how many failed, how many branches were taken.
#[must_use]
pub fn summary(report: &Report) -> String {
    let failed = report.cases.iter().filter(|case| !case.is_fine()).count();
    let (taken, all) = branches(report);
    let tests = report.cases.len();
    let mut out = format!("{tests} {}, {failed} failed", if tests == 1 { "test" } else { "tests" });
    if all > 0 {
        let _ = write!(out, "; {taken} of {all} branches taken");
    }
    let files = report.findings.items().len();
    if files > 0 {
        let _ = write!(out, "; {files} {}", if files == 1 { "finding" } else { "findings" });
    }
    let unreached: Vec<&str> = report.coverage.unreached().collect();
    if !unreached.is_empty() && !report.cases.is_empty() {
        let _ = write!(out, "; no test reaches {}", unreached.join(", "));
    }
    out
}

fn branches(report: &Report) -> (usize, usize) {
    let taken = report.coverage.branches().filter(|branch| branch.taken).count();
    (taken, report.coverage.branches().count())
}

/// For programs: an object with `tests`, `findings` and `branches`.
#[must_use]
pub fn json(report: &Report) -> String {
    let list = |found: &Diagnostics| found.items().iter().map(render::value).collect::<Vec<_>>();
    let at = |place: &Place| json!({"file": &*place.file, "line": place.line, "column": place.column});
    let tests: Vec<_> = report
        .cases
        .iter()
        .map(|case| {
            json!({
                "name": case.name.value,
                "file": &*case.name.place.file,
                "line": case.name.place.line,
                "ok": case.is_fine(),
                "elapsedMs": case.answer.as_ref().map(|answer| milliseconds(answer.elapsed)),
                "failures": list(&case.failures),
                "unusedAnswers": case.unused.iter().map(at).collect::<Vec<_>>(),
            })
        })
        .collect();
    let branches: Vec<_> = report
        .coverage
        .branches()
        .map(|branch| {
            let mut shown = at(&branch.place);
            shown["what"] = branch.what.clone().into();
            shown["taken"] = branch.taken.into();
            shown
        })
        .collect();
    let unreached: Vec<_> = report.coverage.unreached().collect();
    let whole = json!({
        "tests": tests,
        "findings": list(&report.findings),
        "branches": branches,
        "routesWithoutTest": unreached,
    });
    format!("{whole:#}\n")
}

fn milliseconds(elapsed: std::time::Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// For continuous integration: the XML that JUnit's Ant task made common.
#[must_use]
pub fn junit(report: &Report, source: &Lookup<'_>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"segue\">\n");
    let mut rest = report.cases.as_slice();
    while let Some(first) = rest.first() {
        let file = &first.name.place.file;
        let length = rest.iter().take_while(|case| case.name.place.file == *file).count();
        let (cases, others) = rest.split_at(length);
        junit_suite(&mut out, file, cases, source);
        rest = others;
    }
    if !report.findings.items().is_empty() {
        let text = render::text(&report.findings, source);
        out.push_str("  <testsuite name=\"test files\" tests=\"1\" failures=\"0\" errors=\"1\">\n");
        let _ = writeln!(
            out,
            "    <testcase name=\"can be read\" classname=\"test files\"><error message=\"findings\">{}</error></testcase>",
            escape(&text)
        );
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn junit_suite(out: &mut String, file: &str, cases: &[Case], source: &Lookup<'_>) {
    let failed = cases.iter().filter(|case| !case.is_fine()).count();
    let file = escape(file);
    let _ = writeln!(
        out,
        "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\">",
        cases.len()
    );
    for case in cases {
        let elapsed = case.answer.as_ref().map_or(0.0, |answer| answer.elapsed.as_secs_f64());
        let name = escape(&case.name.value);
        let line = case.name.place.line;
        let head = format!(
            "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\" time=\"{elapsed:.3}\""
        );
        let Some(first) = case.failures.items().first() else {
            let _ = writeln!(out, "{head}/>");
            continue;
        };
        let message = escape(&first.message);
        let text = escape(&render::text(&case.failures, source));
        let _ =
            writeln!(out, "{head}>\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>");
    }
    out.push_str("  </testsuite>\n");
}

/// Text and attributes of XML 1.0, which has no place for most control characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// For GitHub: an annotation at each place.
#[must_use]
pub fn github(report: &Report) -> String {
    let mut out = render::github(&report.findings);
    for case in &report.cases {
        out.push_str(&render::github(&case.failures));
    }
    out
}
