//! Counters, gauges and histograms with fixed buckets, behind the `metrics` facade.
//!
//! Handles are resolved when a gateway is built and shared by all workers; each handle keeps one
//! shard per worker, so that no increment touches another core's cache line. Histograms have fixed
//! buckets: nothing grows between two scrapes, and a scrape needs no upkeep. Differs from the usual
//! Prometheus exporter crate in exactly that.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn};

use super::metric::{Metric, MetricKind};

mod prometheus;

/// Upper bounds of every duration histogram, in seconds (the advice of the OpenTelemetry HTTP
/// semantic conventions, with two finer ones for a gateway's own cost).
pub const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(0) };
}

/// Gives the calling thread its own shard; called once by each worker.
pub fn use_shard(worker: usize) {
    // Shard 0 is for threads that are no worker.
    SHARD.set(1 + worker);
}

/// The calling thread's shard of a series; more workers than shards share.
pub(super) fn own<T>(shards: &[T]) -> &T {
    &shards[SHARD.get() % shards.len()]
}

/// A cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(AtomicU64);

#[derive(Debug)]
struct ShardedCounter(Box<[Padded]>);

impl CounterFn for ShardedCounter {
    fn increment(&self, value: u64) {
        own(&self.0).0.fetch_add(value, Ordering::Relaxed);
    }
    fn absolute(&self, value: u64) {
        self.0[0].0.store(value, Ordering::Relaxed);
    }
}

impl ShardedCounter {
    fn total(&self) -> u64 {
        self.0.iter().map(|shard| shard.0.load(Ordering::Relaxed)).sum()
    }
}

/// A gauge is either set, by one thread, or moved up and down, by any: the parts add up.
#[derive(Debug)]
struct ShardedGauge(Box<[Padded]>);

impl ShardedGauge {
    fn update(&self, change: impl Fn(f64) -> f64) {
        let _ = own(&self.0).0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            Some(change(f64::from_bits(bits)).to_bits())
        });
    }

    fn total(&self) -> f64 {
        self.0.iter().map(|shard| f64::from_bits(shard.0.load(Ordering::Relaxed))).sum()
    }
}

impl GaugeFn for ShardedGauge {
    fn increment(&self, value: f64) {
        self.update(|now| now + value);
    }
    fn decrement(&self, value: f64) {
        self.update(|now| now - value);
    }
    fn set(&self, value: f64) {
        self.0[0].0.store(value.to_bits(), Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct HistogramShard {
    buckets: [AtomicU64; SECONDS.len() + 1],
    nanoseconds: AtomicU64,
}

#[derive(Debug)]
struct SecondsHistogram(Box<[HistogramShard]>);

impl HistogramFn for SecondsHistogram {
    fn record(&self, value: f64) {
        let bucket = SECONDS.partition_point(|bound| *bound < value);
        let shard = own(&self.0);
        shard.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        // An integer sum needs no compare-and-swap loop; 2^64 ns are five hundred years.
        shard.nanoseconds.fetch_add((value * 1e9) as u64, Ordering::Relaxed);
    }
}

impl SecondsHistogram {
    fn point(&self) -> Point {
        let buckets = std::array::from_fn(|bucket| {
            self.0.iter().map(|shard| shard.buckets[bucket].load(Ordering::Relaxed)).sum()
        });
        let sum: u64 = self.0.iter().map(|shard| shard.nanoseconds.load(Ordering::Relaxed)).sum();
        Point::Buckets(buckets, sum as f64 / 1e9)
    }
}

/// Values of a series' labels, in the order of its metric's.
pub type Values = Box<[Box<str>]>;

#[derive(Debug)]
enum Series {
    Counters(BTreeMap<Values, Arc<ShardedCounter>>),
    Gauges(BTreeMap<Values, Arc<ShardedGauge>>),
    Histograms(BTreeMap<Values, Arc<SecondsHistogram>>),
}

#[derive(Debug)]
struct Family {
    metric: &'static Metric,
    series: Series,
}

/// Every series of a process, in order of name and labels.
#[derive(Debug)]
pub struct Registry {
    families: Mutex<BTreeMap<&'static str, Family>>,
    shards: usize,
    /// Since when it counts.
    pub since: SystemTime,
}

/// A metric's series at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Which metric.
    pub metric: &'static Metric,
    /// Label values and what was counted.
    pub points: Vec<(Values, Point)>,
}

/// What a series has counted.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// A counter's sum.
    Count(u64),
    /// A gauge's value.
    Value(f64),
    /// A histogram: how many in each bucket of [`SECONDS`] and above, and their sum in seconds.
    Buckets([u64; SECONDS.len() + 1], f64),
}

impl Registry {
    /// An empty registry whose series have a shard per worker and one for other threads.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { families: Mutex::default(), shards: workers + 1, since: SystemTime::now() }
    }

    /// A counter; the same metric and values give the same series.
    pub fn counter(&self, metric: &'static Metric, values: &[&str]) -> Counter {
        self.counter_if(&|| true, metric, values)
    }

    /// The same if whose series it is exists, as is looked at when nothing can be dropped; else it counts nowhere.
    pub(super) fn counter_if(
        &self,
        exists: &dyn Fn() -> bool,
        metric: &'static Metric,
        values: &[&str],
    ) -> Counter {
        self.series(exists, metric, values, |series, values| match series {
            Series::Counters(map) => {
                let fresh = || Arc::new(ShardedCounter(fill(self.shards)));
                Some(Counter::from_arc(Arc::clone(map.entry(values).or_insert_with(fresh))))
            }
            Series::Gauges(_) | Series::Histograms(_) => None,
        })
        .unwrap_or_else(Counter::noop)
    }

    /// A gauge; the same metric and values give the same series.
    pub fn gauge(&self, metric: &'static Metric, values: &[&str]) -> Gauge {
        self.series(&|| true, metric, values, |series, values| match series {
            Series::Gauges(map) => {
                let fresh = || Arc::new(ShardedGauge(fill(self.shards)));
                Some(Gauge::from_arc(Arc::clone(map.entry(values).or_insert_with(fresh))))
            }
            Series::Counters(_) | Series::Histograms(_) => None,
        })
        .unwrap_or_else(Gauge::noop)
    }

    /// A histogram of seconds; the same metric and values give the same series.
    pub fn histogram(&self, metric: &'static Metric, values: &[&str]) -> Histogram {
        self.histogram_if(&|| true, metric, values)
    }

    /// The same if whose series it is exists, as is looked at when nothing can be dropped; else it counts nowhere.
    pub(super) fn histogram_if(
        &self,
        exists: &dyn Fn() -> bool,
        metric: &'static Metric,
        values: &[&str],
    ) -> Histogram {
        self.series(exists, metric, values, |series, values| match series {
            Series::Histograms(map) => {
                let fresh = || Arc::new(SecondsHistogram(fill(self.shards)));
                Some(Histogram::from_arc(Arc::clone(map.entry(values).or_insert_with(fresh))))
            }
            Series::Counters(_) | Series::Gauges(_) => None,
        })
        .unwrap_or_else(Histogram::noop)
    }

    fn series<T>(
        &self,
        exists: &dyn Fn() -> bool,
        metric: &'static Metric,
        values: &[&str],
        pick: impl FnOnce(&mut Series, Values) -> Option<T>,
    ) -> Option<T> {
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if !exists() {
            return None;
        }
        let family = families.entry(metric.name).or_insert_with(|| Family {
            metric,
            series: match metric.kind {
                MetricKind::Counter | MetricKind::MicroCounter => Series::Counters(BTreeMap::new()),
                MetricKind::UpDown | MetricKind::Gauge => Series::Gauges(BTreeMap::new()),
                MetricKind::Histogram => Series::Histograms(BTreeMap::new()),
            },
        });
        pick(&mut family.series, values.iter().map(|value| Box::from(*value)).collect())
    }

    /// Drops every series whose label of this name does not pass: what a reload removed vanishes.
    pub fn retain(&self, label: &str, keep: impl Fn(&str) -> bool) {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        for family in families.values_mut() {
            let Some(at) = family.metric.labels.iter().position(|known| *known == label) else { continue };
            match &mut family.series {
                Series::Counters(map) => map.retain(|values, _| keep(&values[at])),
                Series::Gauges(map) => map.retain(|values, _| keep(&values[at])),
                Series::Histograms(map) => map.retain(|values, _| keep(&values[at])),
            }
        }
    }

    /// Drops every series of a metric.
    pub fn clear(&self, metric: &Metric) {
        self.families.lock().unwrap_or_else(PoisonError::into_inner).remove(metric.name);
    }

    /// All that was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Snapshot> {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |family: &Family| {
            let points = match &family.series {
                Series::Counters(map) => {
                    map.iter().map(|(values, one)| (values.clone(), Point::Count(one.total()))).collect()
                }
                Series::Gauges(map) => {
                    map.iter().map(|(values, one)| (values.clone(), Point::Value(one.total()))).collect()
                }
                Series::Histograms(map) => {
                    map.iter().map(|(values, one)| (values.clone(), one.point())).collect()
                }
            };
            Snapshot { metric: family.metric, points }
        };
        families.values().map(one).collect()
    }
}

fn fill<T: Default>(shards: usize) -> Box<[T]> {
    std::iter::repeat_with(T::default).take(shards).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metric::{REQUEST_BYTES, STEP_DURATION};

    #[test]
    fn sums_the_shards_of_a_counter() {
        let registry = Registry::new(2);
        let counter = registry.counter(&REQUEST_BYTES, &["shop", "shop/a\"b"]);
        counter.increment(2);
        std::thread::spawn(move || {
            use_shard(3);
            counter.increment(5);
        })
        .join()
        .unwrap();
        let text = registry.render();
        assert!(
            text.contains("segue_request_bytes_total{unit=\"shop\",route=\"shop/a\\\"b\"} 7\n"),
            "{text}"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_infinity() {
        let registry = Registry::new(2);
        let histogram = registry.histogram(&STEP_DURATION, &["a", "a/b", "c"]);
        histogram.record(0.004);
        histogram.record(99.0);
        let text = registry.render().replace("{unit=\"a\",route=\"a/b\",step=\"c\"", "{");
        let name = "segue_step_duration_seconds";
        assert!(text.contains(&format!("{name}_bucket{{,le=\"0.0025\"}} 0\n")), "{text}");
        assert!(text.contains(&format!("{name}_bucket{{,le=\"0.005\"}} 1\n")), "{text}");
        assert!(text.contains(&format!("{name}_bucket{{,le=\"+Inf\"}} 2\n")), "{text}");
        assert!(text.contains(&format!("{name}_count{{}} 2\n")), "{text}");
        assert!(text.contains(&format!("{name}_sum{{}} 99.004\n")), "{text}");
    }

    #[test]
    fn what_a_reload_removed_vanishes() {
        let registry = Registry::new(2);
        let _ = registry.counter(&REQUEST_BYTES, &["shop", "gone"]);
        registry.retain("route", |route| route != "gone");
        assert!(!registry.render().contains("gone"));
    }
}
