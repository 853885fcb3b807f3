//! What a test expects against what happened: every expectation that does not hold is a finding at its own
//! place in the test file.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    Answered,
    compare::{self, Difference, cut},
    names::Names,
    play::Played,
    seen::{self, Seen},
};
use crate::{
    config::{
        Spanned,
        suite::{CallTemplate, Degraded, ExpectTemplate, SuiteTemplate, TestTemplate, unknown_target},
    },
    diagnostic::{Code, Diagnostic, Diagnostics, Place},
    scalar::show_duration,
};

/// How many calls a message lists.
const MOST_LISTED: usize = 20;

/// Everything that a test expects in vain.
pub(super) fn judge(
    names: &Names,
    suite: &SuiteTemplate,
    test: &TestTemplate,
    played: &Played,
) -> Diagnostics {
    let mut failures = played.broken.clone();
    if failures.has_errors() {
        return failures;
    }
    targets(names, suite, test, &played.route, &mut failures);
    for call in &played.unanswered {
        let place = &test.name.place;
        let message = format!("there is no mock for {} (a call to `{}`)", call.line(), call.caller.service);
        let help = format!("add `{}: {{…}}` to `mocks`", call.caller.step);
        failures.push(Diagnostic::new(Code::TestFailed, place.clone(), message).help(help));
    }
    match &played.answer {
        Some(answer) => answered(&test.expect, answer, played, &mut failures),
        None => unanswered(test, &mut failures),
    }
    calls(suite, test, &played.calls, &mut failures);
    failures.finish();
    failures
}

/// Every name must be one of something that can be called.
fn targets(
    names: &Names,
    suite: &SuiteTemplate,
    test: &TestTemplate,
    route: &str,
    failures: &mut Diagnostics,
) {
    let mocked = test.mocks.iter().map(|mock| &mock.target);
    let called = test.calls.iter().flatten().map(|call| &call.target);
    for target in mocked.chain(called).chain(&test.never) {
        if !names.knows(target, &suite.unit, route) {
            failures.push(unknown_target(target, &names.all(&suite.unit, [route])));
        }
    }
}

/// Names of the mocks that all tests of a file share: each must be one of a route that one of them reaches.
pub(super) fn shared(
    names: &Names,
    suite: &SuiteTemplate,
    reached: &BTreeSet<String>,
    findings: &mut Diagnostics,
) {
    // Without any route the tests have failed for a better reason.
    if reached.is_empty() {
        return;
    }
    for mock in &suite.mocks {
        if !reached.iter().any(|route| names.knows(&mock.target, &suite.unit, route)) {
            let all = names.all(&suite.unit, reached.iter().map(String::as_str));
            findings.push(unknown_target(&mock.target, &all));
        }
    }
}

fn unanswered(test: &TestTemplate, failures: &mut Diagnostics) {
    let ExpectTemplate { status, headers, body, exact_body, degraded, within } = &test.expect;
    let places = [
        status.as_ref().map(|status| &status.place),
        headers.first().map(|(name, _)| &name.place),
        body.as_ref().or(exact_body.as_ref()).map(|body| &body.place),
        degraded.as_ref().map(|degraded| &degraded.place),
        within.as_ref().map(|within| &within.place),
    ];
    if let Some(place) = places.into_iter().flatten().next() {
        let message = "the client left before the answer, so there is nothing to expect of it";
        failures.push(Diagnostic::new(Code::TestFailed, place.clone(), message));
    } else if test.request.leaves_after.is_none() {
        let message = "no answer came within an hour";
        failures.push(Diagnostic::new(Code::TestFailed, test.name.place.clone(), message));
    }
}

fn answered(expect: &ExpectTemplate, answer: &Answered, played: &Played, failures: &mut Diagnostics) {
    let mut found = Vec::new();
    if let Some(status) = &expect.status
        && status.value != answer.status.as_u16()
    {
        let (wanted, got) = (status.value.to_string(), answer.status.as_u16().to_string());
        found.push(Difference::new(&status.place, "status", wanted, got));
    }
    for (name, node) in &expect.headers {
        seen::headers(&format!("headers.{}", name.value), name, node, &answer.headers, &mut found);
    }
    for (asked, exact) in [(&expect.body, false), (&expect.exact_body, true)] {
        let Some(asked) = asked else { continue };
        match &answer.body {
            Some(body) => found.extend(compare::body("body", asked, body, exact)),
            None => {
                found.push(Difference::new(
                    &asked.place,
                    "body",
                    compare::shown(asked),
                    "a body that broke off",
                ));
            }
        }
    }
    if let Some(degraded) = &expect.degraded {
        found.extend(degradation(degraded, answer, played));
    }
    if let Some(within) = &expect.within
        && answer.elapsed > within.value
    {
        let wanted = format!("at most {}", show_duration(within.value));
        found.push(Difference::new(&within.place, "within", wanted, show_duration(answer.elapsed)));
    }
    let mut help = Some(shown(answer));
    for difference in found {
        let failure = failed(difference);
        // Once is enough.
        failures.push(match help.take() {
            Some(help) => failure.help(help),
            None => failure,
        });
    }
}

fn failed(difference: Difference) -> Diagnostic {
    let Difference { place, what, wanted, got } = difference;
    Diagnostic::new(Code::TestFailed, place, format!("`{what}`: expected {wanted}, got {got}"))
}

fn shown(answer: &Answered) -> String {
    let body = answer.body.as_deref().map_or_else(|| "(broken off)".into(), String::from_utf8_lossy);
    format!("the whole answer: {} {}", answer.status.as_u16(), cut(&body))
}

fn degradation(asked: &Spanned<Degraded>, answer: &Answered, played: &Played) -> Vec<Difference> {
    let header = answer.headers.get("segue-degraded").and_then(|value| value.to_str().ok());
    let got: Vec<(&str, String)> = header.unwrap_or_default().split(", ").filter_map(entry).collect();
    let names: Vec<&str> = got.iter().map(|(name, _)| *name).collect();
    let wanted: Vec<&str> = asked.value.iter().map(|(name, _)| name.value.as_str()).collect();
    let mut sorted = (names.clone(), wanted.clone());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    if sorted.0 != sorted.1 {
        let list = |names: &[&str]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let mut got = list(&names);
        if names.is_empty() && !played.degraded.is_empty() {
            let _ = write!(got, " in the answer, although {} failed", played.degraded.join(", "));
        }
        return vec![Difference::new(&asked.place, "degraded", list(&wanted), got)];
    }
    let reasons = asked.value.iter().filter_map(|(name, reason)| Some((name, reason.as_ref()?)));
    reasons
        .filter_map(|(name, reason)| {
            let (_, came) = got.iter().find(|(got, _)| *got == name.value)?;
            let what = format!("degraded.{}", name.value);
            (*came != reason.value)
                .then(|| Difference::new(&reason.place, what, reason.value.clone(), came.clone()))
        })
        .collect()
}

/// `name;reason=code` or `name;failed=2;of=5`, the latter as `2 of 5`.
fn entry(text: &str) -> Option<(&str, String)> {
    let mut parts = text.trim().split(';');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let values: Vec<&str> = parts.filter_map(|part| part.split_once('=')).map(|(_, value)| value).collect();
    Some((name, values.join(" of ")))
}

/// Expected calls, in their order, and those that must not be.
fn calls(suite: &SuiteTemplate, test: &TestTemplate, log: &[Seen], failures: &mut Diagnostics) {
    let mut claimed = vec![false; log.len()];
    let mut from = 0;
    let mut after: Option<&str> = None;
    for group in &test.calls {
        let mut next = from;
        for call in group {
            let fits = |index: &usize| {
                !claimed[*index] && is_of(&log[*index], &call.target, suite) && {
                    log[*index].differences(&call.content).is_empty()
                }
            };
            let fitting: Vec<usize> = (from..log.len()).filter(fits).collect();
            let claims = match call.times {
                Some(times) if fitting.len() == times as usize => fitting,
                None if !fitting.is_empty() => fitting[..1].to_vec(),
                _ => {
                    failures.push(missing(suite, call, &fitting, (from, after), log));
                    continue;
                }
            };
            for &index in &claims {
                claimed[index] = true;
                next = next.max(index + 1);
            }
        }
        if let Some(last) = group.last() {
            (from, after) = (next, Some(last.target.value.as_str()));
        }
    }
    for name in &test.never {
        if let Some(call) = log.iter().find(|call| is_of(call, name, suite)) {
            let message = format!("`{}` is never to be called, and it was: {}", name.value, call.line());
            failures.push(Diagnostic::new(Code::TestFailed, name.place.clone(), message).help(listed(log)));
        }
    }
}

fn is_of(call: &Seen, name: &str, suite: &SuiteTemplate) -> bool {
    call.caller.closeness(name, &suite.unit).is_some()
}

/// Why an expected call is not there.
fn missing(
    suite: &SuiteTemplate,
    call: &CallTemplate,
    fitting: &[usize],
    (from, after): (usize, Option<&str>),
    log: &[Seen],
) -> Diagnostic {
    let name = &call.target.value;
    let fail = |place: &Place, message: String| {
        Diagnostic::new(Code::TestFailed, place.clone(), message).help(listed(log))
    };
    let order = after.map_or_else(String::new, |after| format!(" after `{after}`"));
    if let Some(times) = call.times {
        let message = format!("`{name}`: expected {times} such calls{order}, got {}", fitting.len());
        return fail(&call.target.place, message);
    }
    let of_name = |call: &&Seen| is_of(call, name, suite);
    // The one that comes nearest says most.
    let nearest = log[from..].iter().filter(of_name).map(|seen| seen.differences(&call.content));
    match nearest.min_by_key(Vec::len).and_then(|differences| differences.into_iter().next()) {
        Some(Difference { place, what, wanted, got }) => {
            fail(&place, format!("`{name}`, `{what}`: expected {wanted}, got {got}"))
        }
        None if log.iter().any(|call| of_name(&call)) => {
            fail(&call.target.place, format!("`{name}` was not called{order}, only before"))
        }
        None => fail(&call.target.place, format!("`{name}` was not called")),
    }
}

/// The calls that were made.
fn listed(log: &[Seen]) -> String {
    if log.is_empty() {
        return "there was no call at all".to_owned();
    }
    let mut lines: Vec<String> = log.iter().take(MOST_LISTED).map(|call| cut(&call.line())).collect();
    if log.len() > MOST_LISTED {
        lines.push(format!("and {} more", log.len() - MOST_LISTED));
    }
    format!("the calls were: {}", lines.join("; "))
}
