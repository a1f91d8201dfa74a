//! [`Alarm`]: wakes a poll at a time.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// A poll of mio's on Linux counts in whole milliseconds, which is as much as a good server's latency;
/// there it is woken by a timer of its own.
#[cfg(target_os = "linux")]
pub(super) struct Alarm(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd as _;

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let mut source = mio::unix::SourceFd(&timer.as_raw_fd());
        registry.register(&mut source, token, mio::Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Wakes the poll after that time, once. What it returns is the time-out for the poll itself.
    pub(super) fn set(&self, after: Duration) -> io::Result<Duration> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A timer for no time at all would be off.
        let after = after.max(Duration::from_nanos(1));
        let it_value = after.try_into().unwrap_or(Timespec { tv_sec: 3_600, tv_nsec: 0 });
        let times = Itimerspec { it_interval: zero, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &times)?;
        Ok(after + Duration::from_millis(1))
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn set(&self, after: Duration) -> io::Result<Duration> {
        Ok(after)
    }
}
