//! How often something happened, as each signal tells it. A name begins with what is counted: `request`, `step`,
//! `code`, `call` with its error, `bytes` of a step, `late` for executions that outlived their request.

use std::collections::{BTreeMap, HashMap, HashSet};

use opentelemetry_proto::tonic::{
    metrics::v1::{metric::Data, number_data_point::Value},
    trace::v1::{Span, span::SpanKind},
};

use super::collector::{Seen, attributes};

/// How often something was counted, by its names.
pub(super) type Counts = BTreeMap<String, u64>;

fn add(counts: &mut Counts, name: String, by: u64) {
    if by > 0 {
        *counts.entry(name).or_default() += by;
    }
}

/// Those whose names begin like this.
pub(super) fn only(counts: &Counts, kinds: &[&str]) -> Counts {
    let wanted = |name: &str| kinds.iter().any(|kind| name.starts_with(kind));
    counts.iter().filter(|(name, _)| wanted(name)).map(|(name, count)| (name.clone(), *count)).collect()
}

pub(super) fn from_log(log: &str) -> Counts {
    let mut counts = Counts::new();
    let mut late = HashSet::new();
    for line in log.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let route = line["route"].as_str().unwrap_or("");
        let outcome = line["outcome"].as_str().unwrap();
        let id = line["requestId"].as_str().unwrap().to_owned();
        let steps = line["steps"].as_object().into_iter().flatten();
        let steps = steps.map(|(step, told)| (step, told["outcome"].as_str().unwrap()));
        if outcome == "late" {
            add(&mut counts, format!("late {route} {}", line["code"].as_str().unwrap_or("ok")), 1);
            // How one has ended that the request's own line called late is no other step.
            for (step, outcome) in steps.filter(|(step, _)| !late.contains(&(id.clone(), (*step).clone()))) {
                add(&mut counts, format!("step {route} {step} {outcome}"), 1);
            }
            continue;
        }
        add(&mut counts, format!("request {route} {outcome}"), 1);
        match line["code"].as_str() {
            Some(code) => add(&mut counts, format!("code {route} {code}"), 1),
            None => assert!(matches!(outcome, "ok" | "degraded"), "nothing says why: {line}"),
        }
        for (step, outcome) in steps {
            add(&mut counts, format!("step {route} {step} {outcome}"), 1);
            if outcome == "late" {
                late.insert((id.clone(), step.clone()));
            }
        }
    }
    counts
}

pub(super) fn from_spans(seen: &Seen) -> Counts {
    let mut counts = Counts::new();
    let steps = seen.spans.iter().filter(|span| span.kind() == SpanKind::Internal);
    let steps: HashMap<_, _> = steps.map(|span| ((&span.trace_id, &span.span_id), span)).collect();
    for span in &seen.spans {
        let of = attributes(&span.attributes);
        let text = |name: &str| of.get(name).map_or("", String::as_str);
        let route = text("segue.route");
        match span.kind() {
            SpanKind::Server => {
                let outcome = text("segue.outcome");
                add(&mut counts, format!("request {route} {outcome}"), 1);
                if !text("segue.code").is_empty() {
                    add(&mut counts, format!("code {route} {}", text("segue.code")), 1);
                }
                let wrong = matches!(outcome, "aborted" | "failed");
                assert_eq!(text("error.type"), if wrong { text("segue.code") } else { "" }, "{of:?}");
            }
            // Metrics have a route's own steps, with what is inside of them.
            SpanKind::Internal if steps.contains_key(&(&span.trace_id, &span.parent_span_id)) => {}
            SpanKind::Internal => {
                add(&mut counts, format!("step {route} {} {}", span.name, of["segue.step.outcome"]), 1);
            }
            _ => {
                let error = of.get("error.type").map_or("ok", String::as_str);
                if of.contains_key("http.request.resend_count") {
                    add(&mut counts, format!("again {}", of["segue.service"]), 1);
                }
                add(&mut counts, format!("call {} {error}", of["segue.service"]), 1);
                let around = |span: &Span| steps.get(&(&span.trace_id, &span.parent_span_id)).copied();
                if let Some(step) = std::iter::successors(around(span), |step| around(step)).last() {
                    let bytes = text("http.response.body.size").parse().unwrap_or(0);
                    let route = &attributes(&step.attributes)["segue.route"];
                    add(&mut counts, format!("bytes {route} {}", step.name), bytes);
                }
            }
        }
    }
    counts
}

fn one(counts: &mut Counts, name: &str, label: &dyn Fn(&str) -> Option<String>, count: u64) {
    let of = |name: &str| label(name).unwrap_or_default();
    let route = of("route");
    match name {
        "segue.requests" => add(counts, format!("request {route} {}", of("outcome")), count),
        "segue.failures" | "segue.aborted" => add(counts, format!("code {route} {}", of("code")), count),
        "segue.late" => {
            let code = label("code").filter(|code| !code.is_empty());
            add(counts, format!("late {route} {}", code.as_deref().unwrap_or("ok")), count);
        }
        "segue.upstream.retries" => add(counts, format!("again {}", of("service")), count),
        "segue.steps" => add(counts, format!("step {route} {} {}", of("step"), of("outcome")), count),
        "segue.step.bytes" => add(counts, format!("bytes {route} {}", of("step")), count),
        "http.client.request.duration" => {
            let error = label("error.type").filter(|error| !error.is_empty());
            add(counts, format!("call {} {}", of("service"), error.as_deref().unwrap_or("ok")), count);
        }
        _ => {}
    }
}

pub(super) fn from_otlp(seen: &Seen) -> Counts {
    let mut counts = Counts::new();
    for metric in &seen.metrics {
        match &metric.data {
            Some(Data::Sum(sum)) => {
                for point in &sum.data_points {
                    let of = attributes(&point.attributes);
                    let Some(Value::AsInt(count)) = point.value else { continue };
                    one(&mut counts, &metric.name, &|name| of.get(name).cloned(), count as u64);
                }
            }
            Some(Data::Histogram(histogram)) => {
                for point in &histogram.data_points {
                    let of = attributes(&point.attributes);
                    one(&mut counts, &metric.name, &|name| of.get(name).cloned(), point.count);
                }
            }
            _ => {}
        }
    }
    counts
}

pub(super) fn from_prometheus(page: &str) -> Counts {
    let mut counts = Counts::new();
    for line in page.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Some((name, labels)) = series.split_once('{') else { continue };
        let name = match name {
            "segue_requests_total" => "segue.requests",
            "segue_failures_total" => "segue.failures",
            "segue_aborted_total" => "segue.aborted",
            "segue_late_total" => "segue.late",
            "segue_upstream_retries_total" => "segue.upstream.retries",
            "segue_steps_total" => "segue.steps",
            "segue_step_bytes_total" => "segue.step.bytes",
            "http_client_request_duration_seconds_count" => "http.client.request.duration",
            _ => continue,
        };
        let label = |wanted: &str| {
            let labels = format!(",{labels}");
            let (_, rest) = labels.split_once(&format!(",{}=\"", wanted.replace('.', "_")))?;
            rest.split('"').next().map(str::to_owned)
        };
        one(&mut counts, name, &label, value.parse().unwrap());
    }
    counts
}
