//! An interface and its driver: whether every frame of the wire comes in, as it was, and through a queue that a worker serves.

mod dealing;
mod facts;
mod offloads;

pub(super) use self::facts::PortFacts;
use self::facts::Voice;

use super::known::{Known, word, words};
use super::{Finding, Intended, Part};
use crate::capture::af_xdp::{AfXdpError, frame_bytes_for};
use crate::capture::interface::{Interface, XdpFeatures};

/// What is to be said of an interface.
pub(super) fn judge(facts: &PortFacts, intended: &Intended) -> Vec<Finding> {
    let port = Port { facts, intended, name: word(&facts.interface.name) };
    let mut findings = vec![
        port.state(),
        port.default_route(),
        port.voice(),
        port.driver(),
        port.xdp_program(),
        port.promiscuous(),
        port.mtu(),
        port.queues(),
        port.ring(),
        port.pause_frames(),
    ];
    findings.extend(offloads::judge(&port));
    findings.extend(dealing::judge(&port));
    findings.push(port.interrupts());
    findings.push(port.socket());
    findings
}

/// What is judged.
struct Port<'a> {
    facts: &'a PortFacts,
    intended: &'a Intended,
    /// The name of the interface, as it stands in commands.
    name: String,
}

impl Port<'_> {
    const fn interface(&self) -> &Interface {
        &self.facts.interface
    }

    /// Whether frames will be received by a program in the driver.
    fn runs_in_driver(&self) -> bool {
        let can = self.facts.xdp.as_ref().is_ok_and(|xdp| xdp.native && xdp.redirect);
        self.intended.af_xdp && can
    }

    fn state(&self) -> Finding {
        const CHECK: &str = "link";
        let name = &self.name;
        if !self.interface().is_on {
            return Part::Interface
                .fault(CHECK, "the interface is down")
                .since("no frame comes in")
                .mended_by(format!("ip link set dev {name} up"));
        }
        if !self.interface().is_up {
            return Part::Interface
                .fault(CHECK, "there is no link")
                .since("no frame comes in: a cable, or the port at its other end");
        }
        Part::Interface.ok(CHECK, "up, with a link")
    }

    fn default_route(&self) -> Finding {
        const CHECK: &str = "route";
        if !self.facts.has_default_route {
            return Part::Interface.ok(CHECK, "no default route leads through it");
        }
        Part::Interface.warning(CHECK, "the default route leads through it").since(
            "this machine is reached by it, AF_XDP would cut it off, and its own traffic is judged along with the mirror's; capture on another port",
        )
    }

    /// Whether it has a reason to send.
    fn voice(&self) -> Finding {
        const CHECK: &str = "silence";
        let voice = match &self.facts.voice {
            Ok(voice) => *voice,
            Err(reason) => return Part::Interface.unknown(CHECK, "whether the port sends", reason),
        };
        let Voice { arp, multicast, ipv6, routes } = voice;
        let reasons = [
            ("ARP", arp),
            ("multicast", multicast),
            ("IPv6", ipv6),
            ("somebody who uses it", routes),
        ];
        let reasons = reasons.into_iter().filter(|(_, is_there)| *is_there);
        let reasons: Vec<&str> = reasons.map(|(reason, _)| reason).collect();
        if reasons.is_empty() {
            return Part::Interface.ok(CHECK, "the port has no reason to send");
        }
        let finding = Part::Interface
            .advice(CHECK, format!("the port has reasons to send: {}", reasons.join(", ")))
            .since("what is on a mirrored wire can be hostile, and finds somebody to talk to");
        // A port that somebody uses would be cut off.
        if routes || self.facts.has_default_route {
            return finding;
        }
        let name = &self.name;
        let quiet = format!("ip link set dev {name} arp off multicast off");
        finding.mended_by(if ipv6 {
            format!("{quiet} && echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6")
        } else {
            quiet
        })
    }

    /// Which mode of `AF_XDP` the driver can do.
    fn driver(&self) -> Finding {
        const CHECK: &str = "driver";
        let driver = self.facts.driver.as_deref().unwrap_or("of unknown name");
        let xdp = match &self.facts.xdp {
            Ok(xdp) => *xdp,
            Err(reason) => {
                return Part::Interface.unknown(CHECK, &format!("XDP in driver {driver}"), reason);
            }
        };
        match xdp {
            XdpFeatures { native: true, redirect: true, zero_copy: true } => {
                Part::Interface.ok(CHECK, format!("driver {driver} can do AF_XDP without a copy"))
            }
            XdpFeatures { native: true, redirect: true, zero_copy: false } => Part::Interface
                .advice(CHECK, format!("driver {driver} can do AF_XDP with a copy of each frame"))
                .since(
                    "fewer frames a second than with a card that writes into the sensor's memory",
                ),
            _ => Part::Interface
                .advice(CHECK, format!("driver {driver} can't do XDP"))
                .since("AF_XDP works in generic mode only, at a fraction of the rate"),
        }
    }

    fn xdp_program(&self) -> Finding {
        const CHECK: &str = "xdp-program";
        let Some((id, is_ours)) = self.facts.programs.first() else {
            return Part::Interface.ok(CHECK, "no XDP program is attached");
        };
        match is_ours {
            Some(true) => Part::Interface
                .ok(CHECK, format!("XDP program {id} is this sensor's: it is running")),
            Some(false) => Part::Interface
                .warning(CHECK, format!("XDP program {id} is another program's"))
                .since("it decides what becomes of frames, and the sensor does not start beside it; stop the program that attached it, or let the sensor take it off (capture.replace)"),
            None => Part::Interface.unknown(
                CHECK,
                &format!("whose XDP program {id} is"),
                "listing programs takes CAP_SYS_ADMIN",
            ),
        }
    }

    fn promiscuous(&self) -> Finding {
        const CHECK: &str = "promiscuous";
        if self.interface().is_promiscuous {
            return Part::Interface.ok(CHECK, "promiscuous");
        }
        if !self.intended.af_xdp {
            return Part::Interface
                .ok(CHECK, "not promiscuous; AF_PACKET makes it so while it captures");
        }
        Part::Interface
            .warning(CHECK, "not promiscuous")
            .since("mirrored frames are addressed to others, and the card drops them unless the sensor may open packet sockets, which its unit does not allow")
            .mended_by(format!("ip link set dev {} promisc on", self.name))
    }

    fn mtu(&self) -> Finding {
        const CHECK: &str = "mtu";
        let mtu = self.interface().mtu;
        match frame_bytes_for(&self.interface().name, mtu) {
            Err(AfXdpError::MtuTooLarge { fits, .. }) if self.intended.af_xdp => Part::Interface
                .warning(CHECK, format!("MTU {mtu} is more than AF_XDP takes"))
                .since("a frame has to fit into one place of memory, so frames are copied by AF_PACKET")
                .mended_by(format!("ip link set dev {} mtu {fits}", self.name)),
            _ => Part::Interface.ok(CHECK, format!("MTU {mtu}")),
        }
    }

    fn queues(&self) -> Finding {
        const CHECK: &str = "queues";
        let (queues, workers) = (self.interface().queues as usize, self.intended.workers);
        let said = format!("receive queues: {queues}, workers: {workers}");
        if !self.intended.af_xdp || queues == workers {
            return Part::Interface.ok(CHECK, said);
        }
        let why = if queues > workers {
            "a worker serves several queues, and the interrupts of some come to cores for nothing"
        } else {
            "some workers have no queue, and receive nothing themselves"
        };
        let finding = Part::Interface.advice(CHECK, said).since(why);
        match &self.facts.queue_limits {
            Ok(limits) if limits.most as usize >= workers => {
                let kind = if limits.combined { "combined" } else { "rx" };
                finding.mended_by(format!("ethtool -L {} {kind} {workers}", self.name))
            }
            _ => finding,
        }
    }

    fn ring(&self) -> Finding {
        /// What a pause of a few milliseconds at a million packets a second takes.
        const GOOD: u32 = 4_096;
        const CHECK: &str = "ring";
        let ring = match &self.facts.ring {
            Ok(ring) => *ring,
            Err(reason) => return Part::Interface.unknown(CHECK, "the receive ring", reason),
        };
        let wanted = ring.most.min(GOOD);
        let said = format!("receive ring of {} descriptors, {} are possible", ring.used, ring.most);
        if ring.used >= wanted {
            return Part::Interface.ok(CHECK, said);
        }
        Part::Interface
            .advice(CHECK, said)
            .since("a longer one bridges a longer pause of a worker")
            .mended_by(format!("ethtool -G {} rx {wanted}", self.name))
    }

    fn pause_frames(&self) -> Finding {
        const CHECK: &str = "pause";
        match &self.facts.pause {
            Err(reason) => Part::Interface.unknown(CHECK, "pause frames", reason),
            Ok(false) => Part::Interface.ok(CHECK, "no pause frames are sent"),
            Ok(true) => Part::Interface
                .advice(CHECK, "the card sends pause frames when it is full")
                .since("the switch then drops mirrored frames, where nobody counts them")
                .mended_by(format!("ethtool -A {} autoneg off rx off tx off", self.name)),
        }
    }

    /// Whether the kernel's part of receiving keeps off the workers' cores.
    fn interrupts(&self) -> Finding {
        const CHECK: &str = "interrupts";
        let interrupts = match &self.facts.interrupts {
            Ok(interrupts) => interrupts,
            Err(reason) => return Part::Interface.unknown(CHECK, "interrupts", reason),
        };
        let Intended { worker_cores, other_cores, .. } = self.intended;
        let taken = interrupts
            .iter()
            .filter(|one| one.cores.iter().any(|core| worker_cores.contains(core)));
        let taken: Vec<usize> = taken.map(|one| one.number as usize).collect();
        if taken.is_empty() || other_cores.is_empty() {
            return Part::Interface.ok(
                CHECK,
                format!(
                    "interrupts: {}, none on a worker's core that could be elsewhere",
                    interrupts.len()
                ),
            );
        }
        Part::Interface
            .advice(CHECK, format!("workers' cores serve interrupts {}", words(&taken)))
            .since("they take the worker's time just when frames come; smp_affinity_list of each, in /proc/irq, is to name a core of the same processor without a worker, where there is one")
    }

    /// Whether the workers sit at the socket that the card is connected to.
    fn socket(&self) -> Finding {
        const CHECK: &str = "numa";
        let near: &Known<Vec<usize>> = &self.facts.near_cores;
        let near = match near {
            Ok(near) => near,
            Err(reason) => {
                return Part::Interface.unknown(CHECK, "the card's processor socket", reason);
            }
        };
        let far: Vec<usize> = self
            .intended
            .worker_cores
            .iter()
            .copied()
            .filter(|core| !near.contains(core))
            .collect();
        if far.is_empty() {
            return Part::Interface
                .ok(CHECK, "no worker's core is on another processor than the card");
        }
        Part::Interface
            .advice(CHECK, format!("workers' cores on another processor than the card: {}", words(&far)))
            .since("each frame crosses from one processor to the other; move the card, or the sensor with CPUAffinity= of its unit")
    }
}

#[cfg(test)]
mod tests;
