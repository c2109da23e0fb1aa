//! This process, as the kernel sees it (proc(5)).

use std::fmt;
use std::fs;

use super::page::Page;

pub(super) fn encode(page: &mut Page<'_>) -> fmt::Result {
    let process = Process::read();
    page.gauge(
        "phantomnet_process_resident_memory_bytes",
        "Memory of the process that is resident",
        process.resident_bytes,
    )?;
    page.gauge("phantomnet_process_open_fds", "Open file descriptors", process.open_fds)?;
    page.gauge("phantomnet_process_threads", "Threads", process.threads)?;
    page.counter_of_seconds(
        "phantomnet_process_cpu_seconds_total",
        "Time on a processor, in the program and in the kernel for it",
        process.cpu_nanos,
    )?;
    page.gauge_of_seconds(
        "phantomnet_process_start_time_seconds",
        "When the process started, seconds since 1970",
        Some(process.started_secs),
    )?;
    page.info("phantomnet_build_info", "This program", [("version", env!("CARGO_PKG_VERSION"))])
}

/// What the kernel says; 0 where it says nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    resident_bytes: u64,
    open_fds: u64,
    threads: u64,
    cpu_nanos: u64,
    started_secs: f64,
}

/// `AT_CLKTCK` of getauxval(3): the entry of the auxiliary vector that says how many clock ticks a second has.
const AT_CLKTCK: u64 = 17;

/// What that is on every architecture that Rust builds for (`USER_HZ`).
const CLOCK_TICKS: u64 = 100;

/// Fields of `/proc/self/stat`, counted from the one behind the program's name, which is the third.
mod field {
    pub(super) const USER_TICKS: usize = 14 - 3;
    pub(super) const SYSTEM_TICKS: usize = 15 - 3;
    pub(super) const START_TICKS: usize = 22 - 3;
}

impl Process {
    fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name stands in parentheses and may hold anything, parentheses too.
        let fields: Vec<&str> =
            stat.rsplit_once(") ").map_or(vec![], |(_, fields)| fields.split(' ').collect());
        let ticks =
            |field: usize| fields.get(field).and_then(|text| text.parse().ok()).unwrap_or(0);
        let per_second = clock_ticks();
        let cpu: u64 = ticks(field::USER_TICKS) + ticks(field::SYSTEM_TICKS);
        Self {
            resident_bytes: status_number(&status, "VmRSS:") * 1_024,
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64),
            threads: status_number(&status, "Threads:"),
            cpu_nanos: cpu * (1_000_000_000 / per_second),
            started_secs: boot_secs() + ticks(field::START_TICKS) as f64 / per_second as f64,
        }
    }
}

/// The number behind this word of `/proc/self/status`.
fn status_number(status: &str, word: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(word));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// When the machine was booted, seconds since 1970.
fn boot_secs() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0.0)
}

/// How many clock ticks a second has.
fn clock_ticks() -> u64 {
    let vector = fs::read("/proc/self/auxv").unwrap_or_default();
    let (entries, _) = vector.as_chunks::<16>();
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    let entry = entries
        .iter()
        .map(|entry| entry.split_at(8))
        .find_map(|(kind, value)| (number(kind) == AT_CLKTCK).then(|| number(value)));
    entry.filter(|ticks| *ticks > 0).unwrap_or(CLOCK_TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_something_sensible() {
        let process = Process::read();
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(process.open_fds >= 3 && process.threads >= 1, "{process:?}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - process.started_secs;
        assert!((-2.0..86_400.0).contains(&age), "{age}");
        assert_eq!(clock_ticks(), 100);
    }

    #[test]
    fn time_on_a_processor_goes_on() {
        let before = Process::read().cpu_nanos;
        let started = std::time::Instant::now();
        let mut spun = 0_u64;
        while started.elapsed() < std::time::Duration::from_millis(400) {
            spun = spun.wrapping_add(1);
        }
        let grown = Process::read().cpu_nanos - before;
        assert!(grown >= 10_000_000, "{grown} ns in {spun} rounds");
    }
}
