//! The machine, whatever it captures from: what of it matters for a sensor.

mod facts;

pub(super) use self::facts::MachineFacts;

use self::facts::{HugePages, effective};
use super::known::{Known, text, words};
use super::{Finding, Intended, Part};
use crate::capture::af_xdp::frame_bytes_for;
use crate::capture::interface::Interface;

/// Capabilities by their numbers in `linux/capability.h`.
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const IPC_LOCK: u32 = 14;
const SYS_ADMIN: u32 = 21;
const BPF: u32 = 39;

/// Whether this process may open packet sockets.
#[must_use]
pub fn may_listen() -> bool {
    let effective = text("/proc/self/status").and_then(|status| effective(&status));
    effective.is_ok_and(|bits| has(bits, NET_RAW))
}

const fn has(bits: u64, capability: u32) -> bool {
    bits >> capability & 1 == 1
}

/// What is to be said of a machine that captures from `interface`, if one is named.
pub(super) fn judge(
    facts: &MachineFacts,
    interface: Option<&Interface>,
    intended: &Intended,
) -> Vec<Finding> {
    vec![
        kernel(&facts.kernel),
        rights(&facts.capabilities),
        locked_memory(facts, interface, intended),
        cores(interface, intended),
        governor(facts),
        huge_pages(&facts.huge_pages),
        moved_interrupts(&facts.irqbalance),
    ]
}

/// The first kernel whose XDP programs go with the process that attached them.
const KERNEL_MIN: (u32, u32) = (5, 9);

fn kernel(release: &Known<String>) -> Finding {
    const CHECK: &str = "kernel";
    let release = match release {
        Ok(release) => release,
        Err(reason) => return Part::Box.unknown(CHECK, "the kernel", reason),
    };
    match version(release) {
        None => Part::Box.unknown(CHECK, "the kernel", format!("its release is {release}")),
        Some(version) if version < KERNEL_MIN => Part::Box
            .warning(CHECK, format!("the kernel is {release}"))
            .since("AF_XDP is used from 5.9 on, so frames are copied by AF_PACKET, at a fraction of the rate; a later release of the distribution has a later kernel"),
        Some(_) => Part::Box.ok(CHECK, format!("kernel {release}")),
    }
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn rights(capabilities: &Known<u64>) -> Finding {
    const CHECK: &str = "capabilities";
    let bits = match capabilities {
        Ok(bits) => *bits,
        Err(reason) => return Part::Box.unknown(CHECK, "the capabilities", reason),
    };
    let needed = [("CAP_NET_RAW", NET_RAW), ("CAP_NET_ADMIN", NET_ADMIN), ("CAP_BPF", BPF)];
    let is_held =
        |capability: u32| has(bits, capability) || capability == BPF && has(bits, SYS_ADMIN);
    let missing = needed.into_iter().filter(|(_, capability)| !is_held(*capability));
    let missing: Vec<&str> = missing.map(|(name, _)| name).collect();
    if missing.is_empty() {
        return Part::Box.ok(CHECK, "this user may capture: CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF");
    }
    Part::Box
        .advice(CHECK, format!("this user lacks {}", missing.join(", ")))
        .since("a sensor that this user starts can't capture by AF_XDP (the systemd unit can), and less is seen here: ask again as root")
}

fn locked_memory(
    facts: &MachineFacts,
    interface: Option<&Interface>,
    intended: &Intended,
) -> Finding {
    const CHECK: &str = "memlock";
    let may_lock_all = facts.capabilities.as_ref().is_ok_and(|bits| has(*bits, IPC_LOCK));
    let limit = match &facts.locked_bytes_max {
        Err(reason) => return Part::Box.unknown(CHECK, "the limit of locked memory", reason),
        Ok(None) => return Part::Box.ok(CHECK, "locked memory has no limit"),
        Ok(Some(_)) if may_lock_all => {
            return Part::Box.ok(CHECK, "locked memory has no limit for this user (CAP_IPC_LOCK)");
        }
        Ok(Some(limit)) => *limit,
    };
    let needed = locked_bytes(interface, intended);
    if limit >= needed {
        let (limit, needed) = (mebibytes(limit), mebibytes(needed));
        return Part::Box.ok(CHECK, format!("locked memory up to {limit}; frames need {needed}"));
    }
    Part::Box
        .warning(
            CHECK,
            format!(
                "locked memory is limited to {}, frames need {}",
                mebibytes(limit),
                mebibytes(needed)
            ),
        )
        .since("AF_XDP sockets are refused (No buffer space available) to a sensor that is started by hand, unless `ulimit -l unlimited` comes before it in root's shell; the systemd unit has no limit")
}

/// What the memory for frames of all queues takes.
fn locked_bytes(interface: Option<&Interface>, intended: &Intended) -> u64 {
    let Some(interface) = interface.filter(|_| intended.af_xdp) else { return 0 };
    let frame = frame_bytes_for(&interface.name, interface.mtu).map_or(0, |(bytes, _)| bytes);
    u64::from(interface.queues) * u64::from(intended.frames) * u64::from(frame)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn cores(interface: Option<&Interface>, intended: &Intended) -> Finding {
    const CHECK: &str = "cores";
    let Intended { workers, worker_cores, other_cores, .. } = intended;
    let cores = worker_cores.len() + other_cores.len();
    if interface.is_none() {
        return Part::Box.ok(CHECK, format!("{cores} cores"));
    }
    if worker_cores.is_empty() && *workers > cores {
        return Part::Box
            .warning(CHECK, format!("{workers} workers on {cores} cores"))
            .since("they take turns on a core, and frames wait for as long; workers.count is to be smaller");
    }
    if worker_cores.is_empty() {
        return Part::Box
            .advice(CHECK, format!("{workers} workers are bound to no core"))
            .since("each move to another core costs its caches; workers.pin = true binds them");
    }
    if other_cores.is_empty() {
        return Part::Box
            .advice(CHECK, format!("workers take all {cores} cores"))
            .since("store, HTTP server and everything else on this machine interrupt them; workers.count is to be smaller");
    }
    Part::Box.ok(
        CHECK,
        format!("workers have cores {}, all else {}", words(worker_cores), words(other_cores)),
    )
}

fn governor(facts: &MachineFacts) -> Finding {
    const CHECK: &str = "governor";
    let governors = match &facts.governors {
        Ok(governors) => governors,
        Err(reason) => return Part::Box.unknown(CHECK, "the frequency governor", reason),
    };
    let slow = governors.iter().filter(|(name, _)| *name != "performance");
    let slow: Vec<String> =
        slow.map(|(name, cores)| format!("{name} on {cores} of the cores")).collect();
    if slow.is_empty() {
        return Part::Box.ok(CHECK, "the frequency governor is performance on every core");
    }
    Part::Box
        .advice(CHECK, format!("the frequency governor is {}", slow.join(", ")))
        .since("a core that has to wake up first lets the ring fill")
        .mended_by("cpupower frequency-set -g performance")
}

fn huge_pages(pages: &Known<HugePages>) -> Finding {
    const CHECK: &str = "hugepages";
    match pages {
        Err(reason) => Part::Box.unknown(CHECK, "huge pages", reason),
        Ok(pages) if pages.free == 0 => {
            Part::Box.ok(CHECK, "no huge pages lie idle; the sensor needs none")
        }
        Ok(pages) => Part::Box
            .advice(
                CHECK,
                format!("{} of {} reserved huge pages lie idle", pages.free, pages.reserved),
            )
            .since(format!(
                "the sensor needs none, and {} are lost to everybody, unless another program is to take them (PostgreSQL may)",
                mebibytes(pages.free.saturating_mul(pages.page_kib) << 10)
            )),
    }
}

fn moved_interrupts(irqbalance: &Known<bool>) -> Finding {
    const CHECK: &str = "irqbalance";
    match irqbalance {
        Err(reason) => Part::Box.unknown(CHECK, "whether irqbalance runs", reason),
        Ok(false) => Part::Box.ok(CHECK, "irqbalance does not run"),
        Ok(true) => Part::Box
            .advice(CHECK, "irqbalance runs")
            .since("it moves interrupts onto the workers' cores, whatever was set by hand")
            .mended_by("systemctl disable --now irqbalance"),
    }
}

#[cfg(test)]
mod tests;
