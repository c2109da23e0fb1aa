//! What the traffic of a tap says of the mirror behind it.

use super::super::known::word;
use super::super::port::PortFacts;
use super::super::{Finding, Intended, Part};
use super::measure::Heard;
use crate::capture::af_xdp::frame_bytes_for;

/// What is to be said of what was heard.
pub(in crate::doctor) fn judge(
    heard: &Heard,
    port: &PortFacts,
    intended: &Intended,
) -> Vec<Finding> {
    let tap = Tap { heard, port, intended, name: word(&port.interface.name) };
    if heard.interrupted {
        return vec![tap.interruption()];
    }
    if heard.frames == 0 {
        return vec![tap.silence()];
    }
    let mut findings = vec![
        tap.traffic(),
        tap.directions(),
        tap.repeats(),
        tap.truncated(),
        tap.too_long(),
        tap.tags(),
        tap.undecodable(),
        tap.queues(),
        tap.card(),
    ];
    findings.extend(tap.missed());
    findings
}

/// Counts below which a share says nothing.
const FRAMES_MIN: u64 = 100;
const CONNECTIONS_MIN: u64 = 5;

/// Jumbo frames of the usual cards, with room for tags.
const LONGEST_ON_WIRES: u32 = 9_300;

/// From how many broadcast and multicast frames on it is odd that there is nothing else.
const GROUP_FRAMES_MIN: u64 = 10;

struct Tap<'a> {
    heard: &'a Heard,
    port: &'a PortFacts,
    intended: &'a Intended,
    /// The name of the interface, as it stands in commands.
    name: String,
}

/// How much of a whole, in percent.
#[expect(clippy::cast_precision_loss, reason = "a share that is shown to one place")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

impl Tap<'_> {
    /// What was counted around it is no measure of anything.
    fn interruption(&self) -> Finding {
        Part::Tap
            .fault("traffic", "the interface went down while it was listened to")
            .since("no frame comes in meanwhile: a cable, the switch, or somebody who sets it up")
    }

    fn silence(&self) -> Finding {
        const CHECK: &str = "traffic";
        let seconds = self.heard.seconds;
        if let Some(program) = self.port.interface.xdp_programs.first() {
            let reason = format!(
                "XDP program {program} takes frames before a packet socket sees them; stop the sensor to listen"
            );
            return Part::Tap.unknown(CHECK, "the traffic", reason);
        }
        Part::Tap
            .warning(CHECK, format!("no frame came within {seconds:.1} s"))
            .since("no mirror, no cable, or a VLAN filter in the switch: its counter of sent frames says which")
    }

    /// How much there is, and whether it is a mirror's.
    fn traffic(&self) -> Finding {
        const CHECK: &str = "traffic";
        let Heard { frames, bytes, seconds, to_one_station, .. } = *self.heard;
        if to_one_station > 0 {
            return Part::Tap
                .ok(CHECK, format!("{frames} frames, {bytes} bytes in {seconds:.1} s"));
        }
        if frames < GROUP_FRAMES_MIN {
            let reason = format!("{frames} frames came, none of them to one station");
            return Part::Tap.unknown(CHECK, "whether a mirror is on", reason);
        }
        Part::Tap
            .warning(CHECK, format!("{frames} frames came, all of them broadcast or multicast"))
            .since("that is what any port of a switch gets: the mirror is not on")
    }

    fn directions(&self) -> Finding {
        const CHECK: &str = "one-way";
        let tcp = self.heard.tcp;
        let (all, one_way) = (tcp.connections, tcp.one_way);
        if all < CONNECTIONS_MIN {
            let reason = format!("{all} TCP connections were heard");
            return Part::Tap.unknown(CHECK, "whether both directions come", reason);
        }
        let share = percent(one_way, all);
        let what = format!("one-way traffic in {one_way} of {all} TCP connections ({share:.0} %)");
        let why =
            "the mirror takes one direction, or one of two paths, and counts of answers are wrong";
        if share >= 50.0 {
            Part::Tap.warning(CHECK, what).since(why)
        } else if share >= 10.0 {
            Part::Tap.advice(CHECK, what).since(why)
        } else {
            Part::Tap.ok(
                CHECK,
                format!("both directions come: of {all} TCP connections {one_way} are one-way"),
            )
        }
    }

    fn repeats(&self) -> Finding {
        const CHECK: &str = "duplicates";
        let Heard { ip, repeated, .. } = *self.heard;
        let share = percent(repeated, ip);
        let what = format!(
            "{repeated} of {ip} IP packets ({share:.1} %) are duplicates of one within 0.1 s"
        );
        let why = "the switch mirrors what comes in and what goes out, so rates are too high; mirror what comes in at each port alone";
        if ip < FRAMES_MIN {
            let reason = format!("{ip} IP packets were heard");
            return Part::Tap.unknown(CHECK, "whether packets come twice", reason);
        }
        if share >= 5.0 {
            Part::Tap.warning(CHECK, what).since(why)
        } else if share >= 0.1 {
            Part::Tap.advice(CHECK, what).since(why)
        } else {
            Part::Tap.ok(CHECK, format!("of {ip} IP packets {repeated} came twice"))
        }
    }

    fn truncated(&self) -> Finding {
        const CHECK: &str = "truncated";
        let Heard { ip, truncated, longest, .. } = *self.heard;
        // One or two are no mirror's doing: anybody can send a packet that says it is longer than it is.
        if percent(truncated, ip) < 0.1 {
            return Part::Tap.ok(CHECK, format!("of {ip} IP packets {truncated} are truncated"));
        }
        Part::Tap
            .warning(CHECK, format!("{truncated} of {ip} IP packets are truncated, none came longer than {longest} bytes"))
            .since("the switch mirrors the beginning of each frame, and rules that look into payload find less")
    }

    /// Frames that the interface's MTU does not allow.
    fn too_long(&self) -> Finding {
        const CHECK: &str = "too-long";
        let Heard { too_long, longest, .. } = *self.heard;
        let mtu = self.port.interface.mtu;
        if too_long == 0 {
            return Part::Tap.ok(CHECK, format!("no frame is longer than the MTU, {mtu}"));
        }
        let what = format!(
            "{too_long} frames are longer than the MTU, {mtu}; the longest has {longest} bytes"
        );
        let merges = ["rx-gro", "rx-lro", "rx-gro-hw"];
        let is_merged = |features: &crate::capture::interface::Features| {
            merges.iter().any(|feature| features.active.contains(*feature))
        };
        if self.port.features.as_ref().is_ok_and(is_merged) {
            return Part::Tap
                .fault(CHECK, what)
                .since("they were merged on their way, and never were on the wire like that")
                .mended_by(format!("ethtool -K {} gro off lro off", self.name));
        }
        if longest > LONGEST_ON_WIRES {
            return Part::Tap.fault(CHECK, what).since("no wire has such frames: whatever sends them here left it to somebody else to cut them (TSO, GSO), as containers and virtual machines do");
        }
        let finding = Part::Tap.warning(CHECK, what).since("the mirrored network has longer frames than this port is set up for; others may have been dropped by the card");
        let fits = frame_bytes_for(&self.name, longest).is_ok();
        if self.intended.af_xdp && !fits {
            let why = format!("{}; AF_XDP has no place for them, AF_PACKET has", finding.why);
            return finding.since(why);
        }
        finding.mended_by(format!("ip link set dev {} mtu {longest}", self.name))
    }

    fn tags(&self) -> Finding {
        const CHECK: &str = "vlan";
        let Heard { frames, tagged, missed, .. } = *self.heard;
        let share = percent(tagged, frames - missed);
        if self.intended.by_vlan && tagged == 0 {
            return Part::Tap
                .warning(CHECK, "no frame has a VLAN tag")
                .since("sources.by_vlan is set, and all networks look like one: let the switch keep the tags (encapsulation replicate)");
        }
        if (5.0..=95.0).contains(&share) {
            return Part::Tap
                .advice(
                    CHECK,
                    format!("{share:.0} % of the frames have a VLAN tag, the others none"),
                )
                .since(
                    "a switch that keeps tags in one direction alone makes two networks of one",
                );
        }
        Part::Tap.ok(CHECK, format!("{share:.0} % of the frames have a VLAN tag"))
    }

    fn undecodable(&self) -> Finding {
        const CHECK: &str = "undecodable";
        let Heard { frames, undecodable, missed, .. } = *self.heard;
        let share = percent(undecodable, frames - missed);
        let what = format!("{undecodable} frames ({share:.1} %) are undecodable");
        if share < 1.0 {
            return Part::Tap.ok(CHECK, what);
        }
        Part::Tap.advice(CHECK, what).since("they say that they carry IP, and no packet can be made of them: nothing of them is judged")
    }

    /// Whether each queue has its part.
    fn queues(&self) -> Finding {
        const CHECK: &str = "queue-skew";
        let Some(by_queue) = &self.heard.by_queue else {
            return Part::Tap.unknown(CHECK, "the queues", "there are too many to listen to each");
        };
        let queues = by_queue.len() as u64;
        let heard: u64 = by_queue.iter().sum();
        if queues == 1 {
            return Part::Tap.ok(CHECK, "one queue");
        }
        if heard < FRAMES_MIN * queues {
            let reason = format!("{heard} frames for {queues} queues are too few");
            return Part::Tap.unknown(CHECK, "how queues share the frames", reason);
        }
        let mend = format!("ethtool -X {} equal {queues}", self.name);
        let silent = by_queue.iter().filter(|frames| **frames == 0).count();
        if silent > 0 {
            return Part::Tap
                .advice(CHECK, format!("{silent} of {queues} receive queues are silent"))
                .since("their workers stand idle, and the others have too much, unless there were a few large flows alone, or the driver does not say which queue a frame came through");
        }
        let share = percent(by_queue.iter().copied().max().unwrap_or(0), heard);
        let what = format!("the busiest of {queues} receive queues has {share:.0} % of the frames");
        if share > 2.0 * percent(1, queues) {
            return Part::Tap
                .advice(CHECK, what)
                .since("it decides when frames are lost")
                .mended_by(mend);
        }
        Part::Tap.ok(CHECK, what)
    }

    /// What the card lost while somebody listened.
    fn card(&self) -> Finding {
        const CHECK: &str = "card-losses";
        let Some(lost) = &self.heard.lost_by_card else {
            return Part::Tap.unknown(
                CHECK,
                "the card's losses",
                "/sys does not show this interface",
            );
        };
        if lost.is_empty() {
            return Part::Tap.ok(CHECK, "the card counted no loss meanwhile");
        }
        let counts: Vec<String> =
            lost.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let finding =
            Part::Tap.warning(CHECK, format!("the card lost frames: {}", counts.join(", ")));
        if lost.keys().any(|name| ["rx_missed_errors", "rx_fifo_errors"].contains(name)) {
            return finding.since("nobody fetched them fast enough: a longer receive ring, or more queues with a worker each");
        }
        finding.since("they came damaged or longer than it takes: a cable, or the MTU")
    }

    fn missed(&self) -> Option<Finding> {
        let Heard { frames, missed, .. } = *self.heard;
        let reason = format!("{missed} of {frames} frames came too fast to be looked at here");
        (missed > 0).then(|| Part::Tap.unknown("missed", "the rest of the traffic", reason))
    }
}
