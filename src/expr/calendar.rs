//! The calendar: days ↔ dates (proleptic Gregorian), and the fields of points and spans of time.

/// A field of a timestamp, and some of them of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    FullYear,
    /// From 0.
    Month,
    /// Day of the month from 1.
    Date,
    /// Day of the month from 0.
    DayOfMonth,
    /// From 0, which is Sunday.
    DayOfWeek,
    /// From 0.
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Field {
    /// The getter of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "getFullYear" => Self::FullYear,
            "getMonth" => Self::Month,
            "getDate" => Self::Date,
            "getDayOfMonth" => Self::DayOfMonth,
            "getDayOfWeek" => Self::DayOfWeek,
            "getDayOfYear" => Self::DayOfYear,
            "getHours" => Self::Hours,
            "getMinutes" => Self::Minutes,
            "getSeconds" => Self::Seconds,
            "getMilliseconds" => Self::Milliseconds,
            _ => return None,
        })
    }

    /// The field of a local time: seconds since 1970-01-01T00:00:00 and nanoseconds.
    pub(super) fn of_timestamp(self, seconds: i64, nanos: u32) -> i64 {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = date(days);
        match self {
            Self::FullYear => year,
            Self::Month => month - 1,
            Self::Date => day,
            Self::DayOfMonth => day - 1,
            // 1970-01-01 was a Thursday.
            Self::DayOfWeek => (days + 4).rem_euclid(7),
            Self::DayOfYear => days - days_to(year, 1, 1),
            Self::Hours => rest / 3_600,
            Self::Minutes => rest / 60 % 60,
            Self::Seconds => rest % 60,
            Self::Milliseconds => i64::from(nanos / 1_000_000),
        }
    }

    /// The whole hours, minutes or seconds of a span, or the milliseconds of its fraction.
    pub(super) fn of_duration(self, seconds: i64, nanos: i32) -> Option<i64> {
        Some(match self {
            Self::Hours => seconds / 3_600,
            Self::Minutes => seconds / 60,
            Self::Seconds => seconds,
            Self::Milliseconds => i64::from(nanos / 1_000_000),
            _ => return None,
        })
    }
}

/// Year, month and day of a day counted from 1970-01-01.
pub(super) fn date(days: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01, so that leap days end a cycle of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date.
pub(super) fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// How many days a month has.
pub(super) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
