//! What a process costs, read from the outside. Linux only; elsewhere nothing is known.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// What a process has cost so far.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Usage {
    /// Resident memory, in KiB.
    pub(super) resident: u64,
    /// Time on processors, in user code and in the kernel on its behalf.
    ticks: Duration,
    /// The same of each thread that is there, to the nanosecond, where the kernel tells.
    threads: BTreeMap<OsString, u64>,
}

impl Usage {
    /// The time on processors since `before`.
    ///
    /// Of a server with little to do, ticks are some per cent. Threads know better, but one that has ended
    /// is not among them.
    pub(super) fn cpu_since(&self, before: &Self) -> Duration {
        let nanos = |it: &Self| it.threads.values().sum::<u64>();
        if nanos(before) > 0 && self.threads.keys().eq(before.threads.keys()) {
            return Duration::from_nanos(nanos(self).saturating_sub(nanos(before)));
        }
        self.ticks.saturating_sub(before.ticks)
    }
}

/// Of a process, or of this one.
pub(super) fn usage(pid: Option<u32>) -> Option<Usage> {
    let folder = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("{folder}/status")).ok()?;
    let threads = threads(&format!("{folder}/task")).unwrap_or_default();
    Some(Usage { resident: resident(&status)?, ticks: ticks(&stat)?, threads })
}

/// The unit of what Linux tells of a process (`USER_HZ`), whatever its own ticks are.
const TICK: Duration = Duration::from_millis(10);

/// Fields 14 and 15 of `stat` (proc(5)); the name before may have blanks in it.
fn ticks(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * ticks()?.checked_add(ticks()?)?)
}

/// The first field of each thread's `schedstat`.
fn threads(folder: &str) -> Option<BTreeMap<OsString, u64>> {
    let mut threads = BTreeMap::new();
    for thread in std::fs::read_dir(folder).ok()? {
        let thread = thread.ok()?;
        // One may end meanwhile.
        let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else { continue };
        threads.insert(thread.file_name(), text.split_ascii_whitespace().next()?.parse().ok()?);
    }
    Some(threads)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "17 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(ticks(stat), Some(Duration::from_secs(2)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1_234));
        assert_eq!((ticks(""), resident("")), (None, None));
    }

    #[test]
    fn threads_count_as_long_as_they_are_the_same() {
        let usage = |ticks, threads: &[(&str, u64)]| Usage {
            resident: 1,
            ticks: TICK * ticks,
            threads: threads.iter().map(|(id, nanos)| (OsString::from(id), *nanos)).collect(),
        };
        let before = usage(10, &[("1", 1_000), ("2", 100)]);
        let same = usage(12, &[("1", 1_500), ("2", 101)]);
        assert_eq!(same.cpu_since(&before), Duration::from_nanos(501));
        for others in [usage(12, &[("1", 1_500)]), usage(12, &[("1", 1_500), ("3", 101)])] {
            assert_eq!(others.cpu_since(&before), TICK * 2);
        }
        // Where the kernel does not tell.
        let (before, after) = (usage(10, &[("1", 0)]), usage(12, &[("1", 0)]));
        assert_eq!(after.cpu_since(&before), TICK * 2);
        assert_eq!(before.cpu_since(&after), Duration::ZERO);
    }

    #[test]
    fn this_process_costs_something_and_no_process_nothing() {
        assert!(usage(None).is_some_and(|usage| usage.resident > 100));
        assert_eq!(usage(Some(u32::MAX)), None);
    }
}
