//! What is wrong with this box or this tap, and the command that mends it.
//!
//! ```text
//!   /proc, /sys, the driver --> facts --+
//!                                       +--> judging (pure) --> findings --> a page, or JSON
//!   a packet socket --> what was heard -+
//! ```
//!
//! Facts are read first and judged after: what is said of them is tested without the right to change a machine. What can't be read is a
//! finding too, never taken for good. Nothing here changes anything but, while it listens, that the interface receives frames to all
//! stations.

mod finding;
mod known;
mod machine;
mod port;
mod tap;

pub use self::finding::{Finding, Part, Report, Severity};
pub use self::machine::may_listen;
pub use self::tap::{Directions, Heard, Listening};

use self::machine::MachineFacts;
use self::port::PortFacts;
use crate::capture::interface::Interface;

/// What the sensor is going to do on this machine, by its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intended {
    /// Worker threads.
    pub workers: usize,
    /// The core of each, where they are bound to cores.
    pub worker_cores: Vec<usize>,
    /// Cores without a worker.
    pub other_cores: Vec<usize>,
    /// Whether frames are received by `AF_XDP`, if that works.
    pub af_xdp: bool,
    /// Places for frames on each queue.
    pub frames: u32,
    /// Whether the same address in two VLANs is two sources.
    pub by_vlan: bool,
}

/// Examines the machine; and an interface and its tap, where one is named.
pub fn examine(
    interface: Option<&Interface>,
    intended: &Intended,
    listening: Option<&Listening<'_>>,
) -> Report {
    let machine = MachineFacts::gather();
    let mut findings = machine::judge(&machine, interface, intended);
    let mut tap = None;
    if let Some(interface) = interface {
        // Before anybody listens, which makes the interface promiscuous for as long.
        let port = PortFacts::gather(interface);
        findings.extend(port::judge(&port, intended));
        match listening.map(|listening| tap::listen(interface, listening)) {
            Some(Ok(heard)) => {
                findings.extend(tap::judge(&heard, &port, intended));
                tap = Some(heard);
            }
            Some(Err(error)) => findings.push(Part::Tap.unknown("traffic", "the traffic", error)),
            None if !may_listen() => {
                let reason = "listening takes CAP_NET_RAW";
                findings.push(Part::Tap.unknown("traffic", "the traffic", reason));
            }
            None => {}
        }
    }
    Report { interface: interface.map(|interface| interface.name.clone()), tap, findings }
}
