//! Counters, gauges and histograms with fixed buckets behind the `metrics` facade.
