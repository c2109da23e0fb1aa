//! What the driver does to frames on their way: merging them, cutting tags out, dropping or steering some.

use super::super::{Finding, Part};
use super::Port;

/// One feature of a driver that a sensor does without.
struct Offload {
    /// Its full name, and the one that `ethtool -K` takes.
    feature: &'static str,
    word: &'static str,
    harm: Harm,
}

/// What it does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    Merges,
    Untags,
    Filters,
    Steers,
}

const OFFLOADS: [Offload; 10] = [
    Offload { feature: "rx-gro", word: "gro", harm: Harm::Merges },
    Offload { feature: "rx-lro", word: "lro", harm: Harm::Merges },
    Offload { feature: "rx-gro-hw", word: "rx-gro-hw", harm: Harm::Merges },
    Offload { feature: "rx-gro-list", word: "rx-gro-list", harm: Harm::Merges },
    Offload { feature: "rx-udp-gro-forwarding", word: "rx-udp-gro-forwarding", harm: Harm::Merges },
    Offload { feature: "rx-vlan-hw-parse", word: "rxvlan", harm: Harm::Untags },
    Offload { feature: "rx-vlan-stag-hw-parse", word: "rx-vlan-stag-hw-parse", harm: Harm::Untags },
    Offload { feature: "rx-vlan-filter", word: "rx-vlan-filter", harm: Harm::Filters },
    Offload { feature: "rx-ntuple-filter", word: "ntuple", harm: Harm::Steers },
    Offload { feature: "hw-tc-offload", word: "hw-tc-offload", harm: Harm::Steers },
];

const CHECK: &str = "offloads";

/// A finding for each that is on; one that says so where none is.
pub(super) fn judge(port: &Port<'_>) -> Vec<Finding> {
    let features = match &port.facts.features {
        Ok(features) => features,
        Err(reason) => return vec![Part::Interface.unknown(CHECK, "offloads", reason)],
    };
    let is_on = |feature: &str| features.active.contains(feature);
    // Ways of GRO: without it they do nothing.
    let does_nothing = |feature: &str| {
        ["rx-gro-list", "rx-udp-gro-forwarding"].contains(&feature) && !is_on("rx-gro")
    };
    let on =
        OFFLOADS.iter().filter(|offload| is_on(offload.feature) && !does_nothing(offload.feature));
    let findings: Vec<Finding> = on
        .map(|offload| finding(offload, port, features.fixed.contains(offload.feature)))
        .collect();
    if findings.is_empty() {
        return vec![Part::Interface.ok(CHECK, "nothing merges, untags, filters or steers frames")];
    }
    findings
}

/// What is wrong with one that is on, and can be switched off unless it `is_fixed`.
fn finding(offload: &Offload, port: &Port<'_>, is_fixed: bool) -> Finding {
    let Offload { feature, word, harm } = offload;
    let what = format!("{feature} is on");
    let finding = match harm {
        // A program in the driver sees frames before the kernel merges them.
        Harm::Merges if feature.contains("gro") && *feature != "rx-gro-hw" && port.runs_in_driver() => {
            Part::Interface.advice(CHECK, what).since(
                "in generic mode, or copied by packet sockets, frames would arrive merged, sizes and times not those of the wire",
            )
        }
        Harm::Merges => Part::Interface
            .fault(CHECK, what)
            .since("frames arrive merged, sizes and times are not those of the wire"),
        Harm::Untags if !port.intended.af_xdp => {
            return Part::Interface.ok(CHECK, format!("{what}; AF_PACKET puts VLAN tags back"));
        }
        Harm::Untags if port.intended.by_vlan => Part::Interface
            .fault(CHECK, what)
            .since("the card cuts VLAN tags out, AF_XDP does not get them, and sources.by_vlan sees one network"),
        Harm::Untags => Part::Interface
            .warning(CHECK, what)
            .since("the card cuts VLAN tags out, and AF_XDP does not get them"),
        Harm::Filters => Part::Interface
            .advice(CHECK, what)
            .since("the card may drop frames with VLAN tags that nobody has registered"),
        Harm::Steers => Part::Interface
            .advice(CHECK, what)
            .since("rules in the card can send flows elsewhere than their hash says"),
    };
    if is_fixed {
        let why = format!("{}; the driver can't switch it off", finding.why);
        return finding.since(why);
    }
    finding.mended_by(format!("ethtool -K {} {word} off", port.name))
}
