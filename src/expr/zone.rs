//! Time zones: offsets such as `+02:00`, and names of the IANA database.
//!
//! The database is compiled in, so an expression gives the same on every machine, whatever is
//! installed there; it is as new as the release.

use jiff::{Timestamp, tz::TimeZone};

use super::time::offset;

/// Where a clock hangs.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// Seconds east of UTC.
    Offset(i32),
    Named(TimeZone),
}

impl Zone {
    pub(super) const UTC: Self = Self::Offset(0);

    /// The zone of that name, or of that offset (`+02:00`, `-00:30`, `02:00`).
    pub(super) fn named(name: &str) -> Option<Self> {
        if name == "UTC" {
            return Some(Self::UTC);
        }
        if let Some(offset) = offset(name, false) {
            return Some(Self::Offset(offset));
        }
        // No name of the database is longer, and what the lookup costs grows with the name.
        if name.len() > 64 { None } else { TimeZone::get(name).ok().map(Self::Named) }
    }

    /// Seconds since 1970-01-01T00:00:00 of the zone's own clocks.
    pub(super) fn local(&self, seconds: i64) -> i64 {
        match self {
            Self::Offset(offset) => seconds + i64::from(*offset),
            Self::Named(zone) => match Timestamp::from_second(seconds) {
                Ok(point) => seconds + i64::from(zone.to_offset(point).seconds()),
                // The library's range ends some hours before ours; there no zone has a rule.
                Err(_) => seconds,
            },
        }
    }
}
