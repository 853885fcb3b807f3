//! Counters, gauges and histograms with fixed buckets, behind the `metrics` facade.
//!
//! Handles are resolved when a gateway is built and shared by all workers; each handle keeps one
//! shard per worker, so that no increment touches another core's cache line. Histograms have fixed
//! buckets: nothing grows between two scrapes, and a scrape needs no upkeep. Differs from the usual
//! Prometheus exporter crate in exactly that.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn};

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
fn own<T>(shards: &[T]) -> &T {
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

type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
struct Family {
    help: &'static str,
    series: Series,
}

#[derive(Debug)]
enum Series {
    Counters(BTreeMap<Labels, Arc<ShardedCounter>>),
    Gauges(BTreeMap<Labels, Arc<ShardedGauge>>),
    Histograms(BTreeMap<Labels, Arc<SecondsHistogram>>),
}

/// Every series of a process, in order of name and labels.
#[derive(Debug)]
pub struct Registry {
    families: Mutex<BTreeMap<&'static str, Family>>,
    shards: usize,
}

impl Registry {
    /// An empty registry whose series have a shard per worker and one for other threads.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { families: Mutex::default(), shards: workers + 1 }
    }

    /// A counter; the same name and labels give the same series.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels) -> Counter {
        self.series(name, help, Series::Counters(BTreeMap::new()), |series| match series {
            Series::Counters(map) => {
                let fresh = || Arc::new(ShardedCounter(fill(self.shards)));
                Some(Counter::from_arc(Arc::clone(map.entry(labels).or_insert_with(fresh))))
            }
            Series::Gauges(_) | Series::Histograms(_) => None,
        })
        .unwrap_or_else(Counter::noop)
    }

    /// A gauge; the same name and labels give the same series.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels) -> Gauge {
        self.series(name, help, Series::Gauges(BTreeMap::new()), |series| match series {
            Series::Gauges(map) => {
                let fresh = || Arc::new(ShardedGauge(fill(self.shards)));
                Some(Gauge::from_arc(Arc::clone(map.entry(labels).or_insert_with(fresh))))
            }
            Series::Counters(_) | Series::Histograms(_) => None,
        })
        .unwrap_or_else(Gauge::noop)
    }

    /// A histogram of seconds; the same name and labels give the same series.
    pub fn seconds(&self, name: &'static str, help: &'static str, labels: Labels) -> Histogram {
        self.series(name, help, Series::Histograms(BTreeMap::new()), |series| match series {
            Series::Histograms(map) => {
                let fresh = || Arc::new(SecondsHistogram(fill(self.shards)));
                Some(Histogram::from_arc(Arc::clone(map.entry(labels).or_insert_with(fresh))))
            }
            Series::Counters(_) | Series::Gauges(_) => None,
        })
        .unwrap_or_else(Histogram::noop)
    }

    fn series<T>(
        &self,
        name: &'static str,
        help: &'static str,
        empty: Series,
        pick: impl FnOnce(&mut Series) -> Option<T>,
    ) -> Option<T> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        pick(&mut families.entry(name).or_insert_with(|| Family { help, series: empty }).series)
    }

    /// Drops the series of a family whose labels do not pass: what a reload removed vanishes.
    pub fn retain(&self, name: &str, keep: impl Fn(&Labels) -> bool) {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        match families.get_mut(name).map(|family| &mut family.series) {
            Some(Series::Counters(map)) => map.retain(|labels, _| keep(labels)),
            Some(Series::Gauges(map)) => map.retain(|labels, _| keep(labels)),
            Some(Series::Histograms(map)) => map.retain(|labels, _| keep(labels)),
            None => {}
        }
    }

    /// Prometheus text exposition format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::with_capacity(4096);
        for (name, family) in families.iter() {
            let kind = match family.series {
                Series::Counters(_) => "counter",
                Series::Gauges(_) => "gauge",
                Series::Histograms(_) => "histogram",
            };
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            match &family.series {
                Series::Counters(map) => {
                    for (labels, counter) in map {
                        let _ = writeln!(out, "{name}{} {}", Braced(labels, None), counter.total());
                    }
                }
                Series::Gauges(map) => {
                    for (labels, gauge) in map {
                        let value = gauge.total();
                        let _ = writeln!(out, "{name}{} {value}", Braced(labels, None));
                    }
                }
                Series::Histograms(map) => {
                    for (labels, histogram) in map {
                        render_histogram(&mut out, name, labels, histogram);
                    }
                }
            }
        }
        out
    }
}

fn fill<T: Default>(shards: usize) -> Box<[T]> {
    std::iter::repeat_with(T::default).take(shards).collect()
}

fn render_histogram(out: &mut String, name: &str, labels: &Labels, histogram: &SecondsHistogram) {
    let mut seen = 0u64;
    for bucket in 0..=SECONDS.len() {
        seen += histogram.0.iter().map(|shard| shard.buckets[bucket].load(Ordering::Relaxed)).sum::<u64>();
        let bound = SECONDS.get(bucket).map_or_else(|| "+Inf".to_owned(), f64::to_string);
        let _ = writeln!(out, "{name}_bucket{} {seen}", Braced(labels, Some(&bound)));
    }
    let sum: u64 = histogram.0.iter().map(|shard| shard.nanoseconds.load(Ordering::Relaxed)).sum();
    let _ = writeln!(out, "{name}_sum{} {}", Braced(labels, None), sum as f64 / 1e9);
    let _ = writeln!(out, "{name}_count{} {seen}", Braced(labels, None));
}

/// Labels in braces, escaped; nothing when there are none.
struct Braced<'a>(&'a Labels, Option<&'a str>);

impl std::fmt::Display for Braced<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bound = self.1.map(|bound| ("le", bound));
        let labels = self.0.iter().map(|(name, value)| (*name, value.as_str())).chain(bound);
        let mut separator = '{';
        for (name, value) in labels {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_shards_of_a_counter() {
        let registry = Registry::new(2);
        let counter = registry.counter("calls_total", "Calls.", vec![("route", "shop/a\"b".to_owned())]);
        counter.increment(2);
        std::thread::spawn(move || {
            use_shard(3);
            counter.increment(5);
        })
        .join()
        .unwrap();
        assert!(
            registry.render().contains("calls_total{route=\"shop/a\\\"b\"} 7\n"),
            "{}",
            registry.render()
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_infinity() {
        let registry = Registry::new(2);
        let histogram = registry.seconds("took_seconds", "Time.", Vec::new());
        histogram.record(0.004);
        histogram.record(99.0);
        let text = registry.render();
        assert!(text.contains("took_seconds_bucket{le=\"0.0025\"} 0\n"), "{text}");
        assert!(text.contains("took_seconds_bucket{le=\"0.005\"} 1\n"), "{text}");
        assert!(text.contains("took_seconds_bucket{le=\"+Inf\"} 2\n"), "{text}");
        assert!(text.contains("took_seconds_count 2\n"), "{text}");
        assert!(text.contains("took_seconds_sum 99.004\n"), "{text}");
    }

    #[test]
    fn what_a_reload_removed_vanishes() {
        let registry = Registry::new(2);
        let _ = registry.counter("calls_total", "Calls.", vec![("route", "gone".to_owned())]);
        registry.retain("calls_total", |labels| labels[0].1 != "gone");
        assert!(!registry.render().contains("gone"));
    }
}
