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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn prints_seconds_and_microseconds() {
        assert_eq!(format!("{}", Time::from_millis(12_340)), "t=12.340000s");
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        assert_eq!(Time::from_millis(5) + Duration::MAX, Time::FAR_FUTURE);
        assert_eq!(Time::ZERO.since(Time::from_millis(5)), Duration::ZERO);
    }
}
