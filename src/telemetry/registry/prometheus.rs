//! Prometheus text exposition format 0.0.4.

use std::fmt::{Display, Formatter, Result, Write as _};

use super::{Point, Registry, SECONDS, Snapshot};
use crate::telemetry::metric::{MetricKind, prometheus_label};

impl Registry {
    /// Everything, for a scrape.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        for family in self.snapshot() {
            family_text(&mut out, &family);
        }
        out
    }
}

fn family_text(out: &mut String, family: &Snapshot) {
    let name = family.metric.prometheus();
    let kind = match family.metric.kind {
        MetricKind::Counter | MetricKind::MicroCounter => "counter",
        MetricKind::UpDown | MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    let labels: Vec<String> = family.metric.labels.iter().map(|label| prometheus_label(label)).collect();
    let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.metric.help);
    for (values, point) in &family.points {
        let braced =
            |bound: Option<&str>| Braced { labels: &labels, values, bound: bound.map(str::to_owned) };
        let _ = match point {
            Point::Count(count) if family.metric.kind == MetricKind::MicroCounter => {
                writeln!(out, "{name}{} {}", braced(None), *count as f64 / 1e6)
            }
            Point::Count(count) => writeln!(out, "{name}{} {count}", braced(None)),
            Point::Value(value) => writeln!(out, "{name}{} {value}", braced(None)),
            Point::Buckets(buckets, sum) => {
                let mut seen = 0;
                for (at, count) in buckets.iter().enumerate() {
                    seen += count;
                    let bound = SECONDS.get(at).map_or_else(|| "+Inf".to_owned(), f64::to_string);
                    let _ = writeln!(out, "{name}_bucket{} {seen}", braced(Some(&bound)));
                }
                writeln!(out, "{name}_sum{} {sum}\n{name}_count{} {seen}", braced(None), braced(None))
            }
        };
    }
}

/// Labels in braces, escaped; nothing when there are none. A label without a value is left out, which means
/// the same.
struct Braced<'a> {
    labels: &'a [String],
    values: &'a [Box<str>],
    /// Of a bucket.
    bound: Option<String>,
}

impl Display for Braced<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let given = self.labels.iter().map(String::as_str).zip(self.values.iter().map(AsRef::as_ref));
        let given = given.filter(|(_, value): &(&str, &str)| !value.is_empty());
        let bound = self.bound.as_deref().map(|bound| ("le", bound));
        let mut separator = '{';
        for (name, value) in given.chain(bound) {
            write!(f, "{separator}{name}=\"")?;
            for c in value.chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    c => f.write_char(c)?,
                }
            }
            f.write_char('"')?;
            separator = ',';
        }
        if separator == ',' { f.write_char('}') } else { Ok(()) }
    }
}
