//! The page on telemetry says what the code has.

use segue::telemetry::metric::{ALL, Metric, MetricKind};

use crate::sources::root;

fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        MetricKind::Counter | MetricKind::MicroCounter => "counter",
        MetricKind::UpDown => "up-down counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    let unit = Some(metric.unit).filter(|unit| !unit.is_empty() && !unit.starts_with('{'));
    let unit = unit.map(|unit| format!(", {unit}")).unwrap_or_default();
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
    format!("| `{}` | `{}` | {kind}{unit} | {labels} | {} |", metric.prometheus(), metric.name, metric.help)
}

#[test]
fn the_page_has_every_metric_and_no_other() {
    let page = std::fs::read_to_string(root().join("src/docs/telemetry.md")).unwrap();
    let table = page.split("| Prometheus |").nth(1).unwrap();
    let said: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    let wanted: Vec<String> = ALL.iter().map(|metric| row(metric)).collect();
    assert_eq!(said, wanted, "the table should be:\n{}", wanted.join("\n"));
}
