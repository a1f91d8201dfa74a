//! What a process costs, read from the outside. Linux only; elsewhere nothing is known.

use std::time::Duration;

/// What a process has cost so far.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Usage {
    /// Time on processors, in user code and in the kernel on its behalf.
    pub(super) cpu: Duration,
    /// Resident memory, in KiB.
    pub(super) resident: u64,
}

/// Of a process, or of this one.
pub(super) fn usage(pid: Option<u32>) -> Option<Usage> {
    let folder = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("{folder}/status")).ok()?;
    let (all, running) = (cpu(&stat)?, cpu_of_threads(&format!("{folder}/task")));
    Some(Usage { cpu: finest(all, running), resident: resident(&status)? })
}

/// The unit of what Linux tells of a process, whatever its own ticks are.
const TICK: Duration = Duration::from_millis(10);

/// Of a server with little to do, ticks are some per cent. Threads know their time to the nanosecond,
/// but those that have ended are not among them.
fn finest(all: Duration, running: Option<Duration>) -> Duration {
    running.filter(|&running| all.saturating_sub(running) <= 2 * TICK).unwrap_or(all)
}

/// Fields 14 and 15 of `stat` (proc(5)); the name before may have blanks in it.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * ticks()?.checked_add(ticks()?)?)
}

/// The first field of each thread's `schedstat`, where the kernel has it.
fn cpu_of_threads(folder: &str) -> Option<Duration> {
    let mut sum = 0;
    for thread in std::fs::read_dir(folder).ok()? {
        // One that ends meanwhile is missing.
        let Ok(text) = std::fs::read_to_string(thread.ok()?.path().join("schedstat")) else {
            continue;
        };
        sum += text.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
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
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1_234));
        assert_eq!((cpu(""), resident("")), (None, None));
    }

    #[test]
    fn threads_that_have_ended_count() {
        let millis = Duration::from_millis;
        assert_eq!(finest(millis(120), Some(millis(113))), millis(113));
        assert_eq!(finest(millis(120), Some(millis(127))), millis(127));
        assert_eq!(finest(millis(120), Some(millis(80))), millis(120));
        assert_eq!(finest(millis(120), None), millis(120));
    }

    #[test]
    fn this_process_costs_something_and_no_process_nothing() {
        assert!(usage(None).is_some_and(|usage| usage.resident > 100));
        assert_eq!(usage(Some(u32::MAX)), None);
    }
}
