//! What kernel and driver say of an interface.

use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::af_xdp;
use crate::capture::interface::{
    self, Dealing, Features, Flow, HashFields, Interface, QueueLimits, ReceiveRing, XdpFeatures,
};
use crate::doctor::known::{Known, folder, list, said, text};

/// What was read.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct PortFacts {
    pub(in crate::doctor) interface: Interface,
    pub(in crate::doctor) features: Known<Features>,
    pub(super) has_default_route: bool,
    pub(super) voice: Known<Voice>,
    pub(super) driver: Known<String>,
    pub(super) xdp: Known<XdpFeatures>,
    /// The XDP programs attached, and whether each is this sensor's.
    pub(super) programs: Vec<(u32, Option<bool>)>,
    pub(super) queue_limits: Known<QueueLimits>,
    pub(super) ring: Known<ReceiveRing>,
    pub(super) pause: Known<bool>,
    pub(super) dealing: Known<Dealing>,
    /// What enters the hash, by the name that `ethtool` has for the packets.
    pub(super) hashes: Vec<(&'static str, Known<HashFields>)>,
    pub(super) interrupts: Known<Vec<Interrupt>>,
    /// The cores of the card's socket.
    pub(super) near_cores: Known<Vec<usize>>,
}

/// An interrupt of the card, and the cores that may serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interrupt {
    pub(super) number: u32,
    pub(super) cores: Vec<usize>,
}

/// Why a port would ever send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Voice {
    pub(super) arp: bool,
    pub(super) multicast: bool,
    /// It has an address of IPv6, which it announces.
    pub(super) ipv6: bool,
    /// Somebody uses it: it has routes or addresses that are more than the link's own, or a bridge, a bond or the like lies on it.
    pub(super) routes: bool,
}

impl PortFacts {
    /// Asks for them.
    pub(in crate::doctor) fn gather(found: &Interface) -> Self {
        let (name, index) = (found.name.as_str(), found.index);
        let flows = [
            ("tcp4", Flow::Tcp4),
            ("udp4", Flow::Udp4),
            ("tcp6", Flow::Tcp6),
            ("udp6", Flow::Udp6),
        ];
        let device = device(found);
        Self {
            interface: found.clone(),
            features: said(interface::features(index)),
            has_default_route: interface::has_default_route(name),
            voice: voice(found),
            driver: said(interface::driver(name)),
            xdp: said(interface::xdp_features(index)),
            programs: found.xdp_programs.iter().map(|id| (*id, af_xdp::is_ours(*id))).collect(),
            queue_limits: said(interface::queue_limits(name)),
            ring: said(interface::receive_ring(index)),
            pause: said(interface::sends_pause_frames(index)),
            dealing: said(interface::dealing(name)),
            hashes: flows
                .map(|(word, flow)| (word, said(interface::hash_fields(name, flow))))
                .to_vec(),
            interrupts: device.clone().and_then(|device| interrupts(&device)),
            near_cores: device.and_then(|device| near_cores(&device)),
        }
    }
}

fn voice(interface: &Interface) -> Known<Voice> {
    /// `IFF_NOARP` and `IFF_MULTICAST`.
    const NO_ARP: u32 = 0x80;
    const MULTICAST: u32 = 0x1000;
    let flags = text(folder(interface)?.join("flags"))?;
    let bits = u32::from_str_radix(flags.trim_start_matches("0x"), 16);
    let bits = bits.map_err(|error| format!("its flags are {flags}: {error}"))?;
    // A kernel without a protocol has no such file, and the interface no such address.
    let lines = |file: &str| text(file).unwrap_or_default();
    let has_name = |line: &&str| line.split_whitespace().any(|word| word == interface.name);
    let addresses = lines("/proc/self/net/if_inet6");
    let (v4, v6) = (lines("/proc/self/net/route"), lines("/proc/self/net/ipv6_route"));
    // Scope 20 is the link; fe80::/10 and ff00::/8 are routes that every interface has.
    let is_global = |line: &str| line.split_whitespace().nth(3) != Some("20");
    let leads_away = |line: &str| !line.starts_with("fe8") && !line.starts_with("ff");
    let routes = v4.lines().any(|line| has_name(&line))
        || addresses.lines().filter(has_name).any(is_global)
        || v6.lines().filter(has_name).any(leads_away)
        || has_upper(&folder(interface)?);
    Ok(Voice {
        arp: bits & NO_ARP == 0,
        multicast: bits & MULTICAST != 0,
        ipv6: addresses.lines().any(|line| has_name(&line)),
        routes,
    })
}

/// Whether another interface lies on it. Not knowing is taken for that.
fn has_upper(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("upper_"))
}

/// Where the kernel keeps the card behind an interface; a virtual one has none.
fn device(interface: &Interface) -> Known<PathBuf> {
    let link = folder(interface)?.join("device");
    fs::canonicalize(link).map_err(|_none| "there is no card behind it".to_owned())
}

/// The folders in which the kernel shows a card: of one that a hypervisor made up, what lies on the bus is one folder further up.
fn folders(device: &Path) -> impl Iterator<Item = &Path> {
    [Some(device), device.parent()].into_iter().flatten()
}

/// The interrupts of a card that some core serves.
fn interrupts(device: &Path) -> Known<Vec<Interrupt>> {
    let found = folders(device).find_map(|folder| fs::read_dir(folder.join("msi_irqs")).ok());
    let Some(entries) = found else {
        return Err("the card has no interrupts of its own".to_owned());
    };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let served = |number: u32| {
        let cores = text(format!("/proc/irq/{number}/effective_affinity_list")).ok()?;
        let cores = list(&cores).filter(|cores| !cores.is_empty())?;
        Some(Interrupt { number, cores })
    };
    let mut interrupts: Vec<Interrupt> = numbers.filter_map(served).collect();
    interrupts.sort_unstable_by_key(|interrupt| interrupt.number);
    if interrupts.is_empty() {
        return Err("/proc/irq does not say which cores serve its interrupts".to_owned());
    }
    Ok(interrupts)
}

fn near_cores(device: &Path) -> Known<Vec<usize>> {
    let cores = folders(device).find_map(|folder| text(folder.join("local_cpulist")).ok());
    let cores = cores.and_then(|cores| list(&cores)).filter(|cores| !cores.is_empty());
    cores.ok_or_else(|| "the kernel does not say which cores are close to the card".to_owned())
}
