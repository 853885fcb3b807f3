//! Scalars of the format: durations and sizes.
