//! Scalars of the format: durations and sizes.
//!
//! One number and one unit each; no fractions and no sums, so that a value reads in one way only.

use std::time::Duration;

/// What a duration looks like, for messages.
pub const DURATION_FORM: &str = "a duration such as `250ms`, `2s`, `5m`, `24h` or `30d`";
/// What a size looks like, for messages.
pub const SIZE_FORM: &str = "a size such as `512B`, `64KiB` or `1MiB`";

/// The longest duration, ten years: beyond it is a slip, and sums of durations cannot overflow.
const MAX_DURATION: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// Reads `250ms`, `2s`, `5m`, `24h`, `30d`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis).filter(|duration| *duration <= MAX_DURATION)
}

/// Reads `64KiB`, `1MiB`, `2GiB`, `512B` and a bare number of bytes.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes)
}

/// Writes a duration in the largest unit that loses nothing.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") }
}

/// Writes a size in the largest unit that loses nothing.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_of_time() {
        let given = ["250ms", "2s", "5m", "24h", "30d", "0s"];
        let wanted = [250, 2_000, 300_000, 86_400_000, 2_592_000_000, 0].map(Duration::from_millis);
        assert_eq!(given.map(|text| duration(text).unwrap()), wanted);
    }

    #[test]
    fn refuses_what_is_not_one_number_and_one_unit() {
        for text in ["", "s", "5", "1.5s", "1m30s", "-1s", "2 s", "2S", "4000d", "99999999999999999999s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn reads_sizes_and_bare_bytes() {
        assert_eq!(
            ["64KiB", "1MiB", "2GiB", "512B", "100"].map(size),
            [Some(65_536), Some(1_048_576), Some(2_147_483_648), Some(512), Some(100)]
        );
        assert_eq!(["64KB", "1 MiB", "MiB", "1.5MiB", "99999999999999GiB"].map(size), [None; 5]);
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["250ms", "90s", "5m", "24h", "30d", "0s"] {
            assert_eq!(duration(&show_duration(duration(text).unwrap())), duration(text));
        }
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_size(65_536), "64KiB");
        assert_eq!(show_size(1_000), "1000B");
    }
}
