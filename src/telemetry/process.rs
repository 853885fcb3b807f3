//! What the system says of the process.

use std::{fs, time::SystemTime};

use super::{
    metric::{PROCESS_CPU, PROCESS_FILES, PROCESS_MEMORY, PROCESS_UPTIME},
    registry::Registry,
};

/// Reads it into the registry. Where the system has no `/proc`, nothing is known but the time.
pub(super) fn read(registry: &Registry) {
    let up = SystemTime::now().duration_since(registry.since).unwrap_or_default();
    registry.gauge(&PROCESS_UPTIME, &[]).set(up.as_secs_f64());
    if let Some(pages) = fs::read_to_string("/proc/self/statm").ok().and_then(|text| number(&text, 1)) {
        let bytes = pages * rustix::param::page_size() as u64;
        registry.gauge(&PROCESS_MEMORY, &[]).set(bytes as f64);
    }
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        // The name in parentheses may hold spaces.
        && let Some((_, fields)) = stat.rsplit_once(") ")
        && let (Some(user), Some(system)) = (number(fields, 11), number(fields, 12))
    {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        registry.counter(&PROCESS_CPU, &[]).absolute((user + system) * 1_000_000 / ticks);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        registry.gauge(&PROCESS_FILES, &[]).set(files.count().saturating_sub(1) as f64);
    }
}

fn number(text: &str, field: usize) -> Option<u64> {
    text.split_whitespace().nth(field)?.parse().ok()
}
