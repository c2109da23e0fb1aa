//! How the card deals flows to its queues: to all of them, evenly, and by a hash that nobody outside can foresee.

use super::super::{Finding, Part};
use super::Port;
use crate::capture::interface::Dealing;

const CHECK: &str = "rss";

/// The key that most drivers once came with, from Microsoft's text on receive-side scaling.
const WELL_KNOWN: [u8; 8] = [0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2];

/// What is to be said of the dealing; of a single queue, nothing.
pub(super) fn judge(port: &Port<'_>) -> Vec<Finding> {
    let queues = port.interface().queues;
    if queues < 2 {
        return vec![Part::Interface.ok(CHECK, "one queue: nothing is dealt")];
    }
    let mut findings = match &port.facts.dealing {
        Ok(dealing) => vec![table(port, dealing, queues), key(port, dealing)],
        Err(reason) => {
            vec![Part::Interface.unknown(CHECK, "how flows are dealt to queues", reason)]
        }
    };
    findings.push(fields(port));
    findings
}

/// Whether every queue has its share.
fn table(port: &Port<'_>, dealing: &Dealing, queues: u32) -> Finding {
    if dealing.table.is_empty() {
        return Part::Interface.unknown(CHECK, "the table of queues", "the driver does not say");
    }
    let share = |queue: u32| dealing.table.iter().filter(|of| **of == queue).count();
    let shares: Vec<usize> = (0..queues).map(share).collect();
    let mend = format!("ethtool -X {} equal {queues}", port.name);
    let silent = shares.iter().filter(|share| **share == 0).count();
    if silent > 0 {
        return Part::Interface
            .warning(CHECK, format!("{silent} of {queues} queues are dealt no flow"))
            .since("their workers stand idle while the others have too much")
            .mended_by(mend);
    }
    let (least, most) = (shares.iter().min(), shares.iter().max());
    if least.zip(most).is_some_and(|(least, most)| *most > 2 * *least) {
        return Part::Interface
            .advice(CHECK, "some queues are dealt more than twice as many flows as others")
            .since("the busiest queue decides when frames are lost")
            .mended_by(mend);
    }
    Part::Interface.ok(CHECK, format!("flows are dealt evenly to {queues} queues"))
}

/// Whether the key can be foreseen.
fn key(port: &Port<'_>, dealing: &Dealing) -> Finding {
    let key = &dealing.key;
    if key.is_empty() {
        return Part::Interface.unknown(CHECK, "the key of the hash", "the driver does not say");
    }
    let repeats = |width: usize| key.iter().zip(key.iter().skip(width)).all(|(a, b)| a == b);
    let finding = if key.starts_with(&WELL_KNOWN) {
        Part::Interface.advice(CHECK, "the key of the hash is the one that everybody knows")
    } else if repeats(2) {
        // Somebody's choice: both directions of a flow come through one queue. A random key would end that.
        return Part::Interface
            .advice(CHECK, "the key of the hash is symmetric: the same 16 bits again and again")
            .since("both directions of a flow come through one queue; but who knows the key can aim at one, and RSS_KEY=random of phantomnet-nic ends both");
    } else {
        return Part::Interface.ok(CHECK, "the key of the hash is the driver's own");
    };
    finding.since("who knows it can aim at one queue and fill it").mended_by(format!(
        "ethtool -X {} hkey $(openssl rand -hex {} | sed 's/../&:/g; s/:$//')",
        port.name,
        key.len()
    ))
}

/// Whether the hash takes in addresses and ports.
fn fields(port: &Port<'_>) -> Finding {
    let known =
        port.facts.hashes.iter().filter_map(|(flow, fields)| Some((*flow, fields.as_ref().ok()?)));
    let known: Vec<_> = known.collect();
    if known.is_empty() {
        let reason = port.facts.hashes.iter().find_map(|(_, fields)| fields.as_ref().err());
        let reason = reason.map_or("the driver does not say", String::as_str);
        return Part::Interface.unknown(CHECK, "what enters the hash", reason);
    }
    let poor = known.iter().filter(|(_, fields)| !fields.addresses || !fields.ports);
    let poor: Vec<&str> = poor.map(|(flow, _)| *flow).collect();
    if poor.is_empty() {
        return Part::Interface.ok(CHECK, "addresses and ports enter the hash");
    }
    Part::Interface
        .advice(CHECK, format!("addresses or ports do not enter the hash of {}", poor.join(", ")))
        .since("all flows between two hosts come through one queue")
        .mended_by(format!(
            "for flow in {}; do ethtool -N {} rx-flow-hash $flow sdfn; done",
            poor.join(" "),
            port.name
        ))
}
