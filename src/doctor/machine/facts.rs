//! What the machine says of itself, from `/proc` and `/sys`.

use std::collections::BTreeMap;
use std::fs;

use crate::doctor::known::{Known, text};

/// What was read.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct MachineFacts {
    /// The release of the kernel, such as `6.1.0-25-amd64`.
    pub(super) kernel: Known<String>,
    /// The capabilities in force, a bit for each.
    pub(super) capabilities: Known<u64>,
    /// Bytes that this process may lock in memory; none where there is no limit.
    pub(super) locked_bytes_max: Known<Option<u64>>,
    /// How many processors have each frequency governor.
    pub(super) governors: Known<BTreeMap<String, usize>>,
    pub(super) huge_pages: Known<HugePages>,
    /// Whether a daemon moves interrupts between processors.
    pub(super) irqbalance: Known<bool>,
}

/// Pages that were set aside for those who ask for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HugePages {
    pub(super) reserved: u64,
    pub(super) free: u64,
    pub(super) page_kib: u64,
}

impl MachineFacts {
    /// Reads them.
    pub(in crate::doctor) fn gather() -> Self {
        let status = text("/proc/self/status");
        let meminfo = text("/proc/meminfo");
        Self {
            kernel: text("/proc/sys/kernel/osrelease"),
            capabilities: status.and_then(|status| effective(&status)),
            locked_bytes_max: text("/proc/self/limits").and_then(|limits| lockable(&limits)),
            governors: governors(),
            huge_pages: meminfo.and_then(|meminfo| huge_pages(&meminfo)),
            irqbalance: runs("irqbalance"),
        }
    }
}

/// The line `CapEff` of `/proc/PID/status`.
pub(super) fn effective(status: &str) -> Known<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.ok_or_else(|| "/proc/self/status has no capabilities".to_owned())
}

/// The soft limit in the line `Max locked memory` of `/proc/PID/limits`.
fn lockable(limits: &str) -> Known<Option<u64>> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft {
        Some("unlimited") => Ok(None),
        Some(bytes) => bytes.parse().map(Some).map_err(|error| format!("{bytes:?}: {error}")),
        None => Err("/proc/self/limits has no line for locked memory".to_owned()),
    }
}

fn governors() -> Known<BTreeMap<String, usize>> {
    const FOLDER: &str = "/sys/devices/system/cpu";
    let entries = fs::read_dir(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
    let mut governors = BTreeMap::new();
    for entry in entries.flatten() {
        if let Ok(governor) = text(entry.path().join("cpufreq/scaling_governor")) {
            *governors.entry(governor).or_default() += 1;
        }
    }
    if governors.is_empty() {
        return Err("the kernel does not set the frequency here; a hypervisor or the firmware may"
            .to_owned());
    }
    Ok(governors)
}

/// The lines of `/proc/meminfo` about huge pages of the default size.
fn huge_pages(meminfo: &str) -> Known<HugePages> {
    let number = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.ok_or_else(|| format!("/proc/meminfo has no {name}"))
    };
    Ok(HugePages {
        reserved: number("HugePages_Total:")?,
        // Mapped by a program that has not touched them yet: they are counted as free.
        free: number("HugePages_Free:")?.saturating_sub(number("HugePages_Rsvd:")?),
        page_kib: number("Hugepagesize:")?,
    })
}

/// Whether a process of this name runs.
fn runs(name: &str) -> Known<bool> {
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let is_it =
        |process: fs::DirEntry| text(process.path().join("comm")).is_ok_and(|of| of == name);
    Ok(processes.flatten().any(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t0000000000003000\n"), Ok(0x3000));
        assert!(effective("Name:\tx\n").is_err());
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax locked memory         8388608              8388608              bytes\n";
        assert_eq!(lockable(limits), Ok(Some(8 << 20)));
        assert_eq!(lockable("Max locked memory  unlimited  unlimited  bytes"), Ok(None));
        assert!(lockable("Max locked memory  many").is_err());
        assert!(lockable("").is_err());
        let meminfo = "HugePages_Total:     512\nHugePages_Free:      510\nHugePages_Rsvd:       10\nHugepagesize:       2048 kB\n";
        let pages = HugePages { reserved: 512, free: 500, page_kib: 2_048 };
        assert_eq!(huge_pages(meminfo), Ok(pages));
        assert!(huge_pages("").is_err());
    }

    #[test]
    fn this_machine_can_be_read() {
        let facts = MachineFacts::gather();
        assert!(facts.kernel.is_ok() && facts.capabilities.is_ok(), "{facts:?}");
        assert!(facts.locked_bytes_max.is_ok() && facts.irqbalance.is_ok(), "{facts:?}");
    }
}
