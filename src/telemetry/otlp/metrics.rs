//! The registry as OTLP metrics: cumulative since the start, with the buckets of `/metrics`.

use std::time::SystemTime;

use super::{Resource, nanos, text, wire::Message};
use crate::telemetry::{
    metric::{Metric, MetricKind},
    registry::{Point, SECONDS, Snapshot},
};

const CUMULATIVE: u64 = 2;

/// The export request of a registry's series, and how many points there are.
#[must_use]
pub fn metrics(
    resource: &Resource,
    families: &[Snapshot],
    since: SystemTime,
    now: SystemTime,
) -> (Vec<u8>, u64) {
    let times = (nanos(since), nanos(now));
    let bytes = resource.envelope(|scope| {
        for family in families.iter().filter(|family| !family.points.is_empty()) {
            scope.message(2, |metric| one(metric, family, times));
        }
    });
    (bytes, families.iter().map(|family| family.points.len() as u64).sum())
}

fn one(message: &mut Message<'_>, family: &Snapshot, times: (u64, u64)) {
    let metric = family.metric;
    message.text(1, metric.name);
    message.text(2, metric.help);
    message.text(3, metric.unit);
    let (field, sum, monotonic) = match metric.kind {
        MetricKind::Gauge => (5, false, false),
        MetricKind::UpDown => (7, true, false),
        MetricKind::Counter | MetricKind::MicroCounter => (7, true, true),
        MetricKind::Histogram => (9, true, false),
    };
    message.message(field, |data| {
        for (values, point) in &family.points {
            data.message(1, |to| match point {
                Point::Buckets(buckets, sum) => histogram(to, metric, values, (buckets, *sum), times),
                Point::Count(_) | Point::Value(_) => scalar(to, metric, values, point, times),
            });
        }
        if sum {
            data.varint(2, CUMULATIVE);
        }
        if monotonic {
            data.varint(3, 1);
        }
    });
}

fn scalar(
    to: &mut Message<'_>,
    metric: &Metric,
    values: &[Box<str>],
    point: &Point,
    (since, now): (u64, u64),
) {
    to.fixed64(2, since);
    to.fixed64(3, now);
    match point {
        Point::Count(count) if metric.kind == MetricKind::MicroCounter => to.double(4, *count as f64 / 1e6),
        Point::Count(count) => to.fixed64(6, *count),
        Point::Value(value) => to.double(4, *value),
        Point::Buckets(..) => {}
    }
    attributes(to, 7, metric, values);
}

fn histogram(
    to: &mut Message<'_>,
    metric: &Metric,
    values: &[Box<str>],
    (buckets, sum): (&[u64; SECONDS.len() + 1], f64),
    (since, now): (u64, u64),
) {
    to.fixed64(2, since);
    to.fixed64(3, now);
    to.fixed64(4, buckets.iter().sum());
    to.double(5, sum);
    to.packed(6, buckets.iter().copied());
    to.packed(7, SECONDS.iter().map(|bound| bound.to_bits()));
    attributes(to, 9, metric, values);
}

fn attributes(to: &mut Message<'_>, field: u32, metric: &Metric, values: &[Box<str>]) {
    for (label, value) in metric.labels.iter().zip(values) {
        // Numbers by the conventions.
        if matches!(*label, "http.response.status_code" | "server.port")
            && let Ok(value) = value.parse()
        {
            super::number(to, field, label, value);
        } else if *label == "otel.metric.overflow" {
            if !value.is_empty() {
                super::flag(to, field, label, true);
            }
        } else {
            text(to, field, label, value);
        }
    }
}
