//! Time as a number that the driver passes in.
//!
//! The machine never asks what time it is. A [`Time`] counts microseconds since an epoch of the
//! driver's choosing (usually its own start), so it has a zero, can be written in a test, recorded
//! in a trace and replayed on another machine; `std::time::Instant` can do none of that.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A moment, in microseconds since the driver's epoch.
///
/// Prints as `t=12.340000s`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The driver's epoch.
    pub const ZERO: Self = Self(0);
    /// A moment that never comes; arithmetic saturates here.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long it is from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t={}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the wall clock says: milliseconds since 1970, without leap seconds.
///
/// Only what clients are told about the time is made of it; nothing is ever measured with it, since
/// it may be set at any time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(u64);

impl WallTime {
    /// The moment `millis` milliseconds after the beginning of 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// Prints like `Wed Nov 25 10:54:21 UTC 2026`, the form of the Java server's timestamp extension.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.0 / 1_000;
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Days since the first of March of the year 0, in years that end with February: then the
        // leap day is the last one, and the lengths of the months repeat every five.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = (month + 2) % 12;
        let year = era * 400 + year_of_era + u64::from(month < 2);
        write!(
            f,
            "{} {} {day:02} {:02}:{:02}:{:02} UTC {year:04}",
            WEEKDAYS[(days % 7) as usize],
            MONTHS[month as usize],
            second / 3_600,
            second / 60 % 60,
            second % 60,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn prints_seconds_and_microseconds() {
        assert_eq!(format!("{}", Time::from_millis(12_340)), "t=12.340000s");
    }

    #[test]
    fn the_wall_clock_prints_dates() {
        let table = [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (951_782_399, "Mon Feb 28 23:59:59 UTC 2000"),
            (951_782_400, "Tue Feb 29 00:00:00 UTC 2000"),
            (951_868_800, "Wed Mar 01 00:00:00 UTC 2000"),
            (1_709_164_800, "Thu Feb 29 00:00:00 UTC 2024"),
            (1_764_068_061, "Tue Nov 25 10:54:21 UTC 2025"),
            (1_767_225_599, "Wed Dec 31 23:59:59 UTC 2025"),
            (4_107_542_400, "Mon Mar 01 00:00:00 UTC 2100"),
        ];
        for (seconds, expected) in table {
            assert_eq!(format!("{}", WallTime::from_millis(seconds * 1_000)), expected);
        }
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        assert_eq!(Time::from_millis(5) + Duration::MAX, Time::FAR_FUTURE);
        assert_eq!(Time::ZERO.since(Time::from_millis(5)), Duration::ZERO);
    }
}
