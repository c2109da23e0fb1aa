use std::collections::BTreeSet;

use super::facts::Interrupt;
use super::*;
use crate::capture::interface::{Dealing, Features, HashFields, QueueLimits, ReceiveRing};
use crate::doctor::Severity;

fn intended() -> Intended {
    Intended {
        workers: 2,
        worker_cores: vec![3, 2],
        other_cores: vec![0, 1],
        af_xdp: true,
        frames: 4_096,
        by_vlan: false,
    }
}

/// A card set up as `phantomnet-nic` does.
fn good() -> PortFacts {
    let key = (0..40).map(|n: u8| n.wrapping_mul(37)).collect();
    PortFacts {
        interface: Interface {
            name: "eth1".to_owned(),
            index: 7,
            mtu: 1_500,
            is_on: true,
            is_up: true,
            is_promiscuous: true,
            queues: 2,
            xdp_programs: Vec::new(),
        },
        features: Ok(Features::default()),
        has_default_route: false,
        voice: Ok(Voice::default()),
        driver: Ok("ice".to_owned()),
        xdp: Ok(XdpFeatures { native: true, redirect: true, zero_copy: true }),
        programs: Vec::new(),
        queue_limits: Ok(QueueLimits { most: 8, combined: true }),
        ring: Ok(ReceiveRing { used: 4_096, most: 8_160 }),
        pause: Ok(false),
        dealing: Ok(Dealing { key, table: (0..128).map(|n| n % 2).collect() }),
        hashes: vec![("tcp4", Ok(HashFields { addresses: true, ports: true }))],
        interrupts: Ok(vec![Interrupt { number: 40, cores: vec![0] }]),
        near_cores: Ok(vec![0, 1, 2, 3]),
    }
}

/// Those that are not good.
fn wrong(facts: &PortFacts) -> Vec<Finding> {
    let findings = judge(facts, &intended()).into_iter();
    findings.filter(|finding| finding.severity != Severity::Ok).collect()
}

/// The one that is not good, as its severity, its check and its command.
#[track_caller]
fn one(facts: &PortFacts) -> (Severity, &'static str, String) {
    let wrong = wrong(facts);
    let [finding] = wrong.as_slice() else { panic!("{wrong:#?}") };
    (finding.severity, finding.check, finding.mend.clone().unwrap_or_default())
}

fn with_features(active: &[&str], fixed: &[&str]) -> PortFacts {
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<String>>();
    PortFacts { features: Ok(Features { active: set(active), fixed: set(fixed) }), ..good() }
}

fn with_interface(change: impl FnOnce(&mut Interface)) -> PortFacts {
    let mut facts = good();
    change(&mut facts.interface);
    facts
}

#[test]
fn nothing_is_said_against_a_port_that_is_set_up() {
    assert_eq!(wrong(&good()), Vec::new());
}

#[test]
fn a_port_that_says_nothing_is_not_taken_for_good() {
    let silent = || "the driver does not say".to_owned();
    let facts = PortFacts {
        features: Err(silent()),
        voice: Err(silent()),
        driver: Err(silent()),
        xdp: Err(silent()),
        queue_limits: Err(silent()),
        ring: Err(silent()),
        pause: Err(silent()),
        dealing: Err(silent()),
        hashes: vec![("tcp4", Err(silent()))],
        interrupts: Err(silent()),
        near_cores: Err(silent()),
        ..good()
    };
    let wrong = wrong(&facts);
    assert!(wrong.iter().all(|finding| finding.severity == Severity::Unknown), "{wrong:#?}");
    let checks: Vec<&str> = wrong.iter().map(|finding| finding.check).collect();
    let expected =
        ["silence", "driver", "ring", "pause", "offloads", "rss", "rss", "interrupts", "numa"];
    assert_eq!(checks, expected);
}

#[test]
fn each_merging_offload_is_a_fault_with_its_own_command() {
    let packets = Intended { af_xdp: false, ..intended() };
    for (feature, word) in [("rx-gro", "gro"), ("rx-lro", "lro"), ("rx-gro-hw", "rx-gro-hw")] {
        let findings = judge(&with_features(&[feature], &[]), &packets);
        let line = findings.iter().find(|finding| finding.check == "offloads").unwrap().to_string();
        let expected = format!(
            "fault    {feature} is on: frames arrive merged, sizes and times are not those of the wire. \
             Mend: ethtool -K eth1 {word} off"
        );
        assert_eq!(line, expected);
    }
}

#[test]
fn what_the_kernel_merges_does_not_matter_to_a_program_in_the_driver() {
    let mend = "ethtool -K eth1 gro off".to_owned();
    assert_eq!(one(&with_features(&["rx-gro"], &[])), (Severity::Advice, "offloads", mend));
    assert_eq!(one(&with_features(&["rx-lro"], &[])).0, Severity::Fault, "the card merges first");
    assert_eq!(wrong(&with_features(&["rx-gro-list"], &[])), Vec::new(), "without GRO it is idle");
}

#[test]
fn an_offload_that_is_fixed_has_no_command() {
    let facts = with_features(&["rx-lro"], &["rx-lro"]);
    assert_eq!(one(&facts), (Severity::Fault, "offloads", String::new()));
    assert!(wrong(&facts)[0].why.contains("can't switch it off"));
}

#[test]
fn stripped_tags_matter_as_far_as_somebody_wants_them() {
    let facts = with_features(&["rx-vlan-hw-parse"], &[]);
    let mend = "ethtool -K eth1 rxvlan off".to_owned();
    assert_eq!(one(&facts), (Severity::Warning, "offloads", mend));
    let of = |intended: &Intended| {
        let findings = judge(&facts, intended);
        findings.iter().find(|finding| finding.check == "offloads").unwrap().severity
    };
    assert_eq!(of(&Intended { by_vlan: true, ..intended() }), Severity::Fault);
    assert_eq!(of(&Intended { af_xdp: false, by_vlan: true, ..intended() }), Severity::Ok);
}

#[test]
fn a_port_without_a_link_and_one_that_is_down_are_told_apart() {
    let down = with_interface(|interface| (interface.is_on, interface.is_up) = (false, false));
    assert_eq!(one(&down), (Severity::Fault, "link", "ip link set dev eth1 up".to_owned()));
    let unplugged = with_interface(|interface| interface.is_up = false);
    assert_eq!(one(&unplugged), (Severity::Fault, "link", String::new()));
}

#[test]
fn what_the_link_is_set_to_has_its_command() {
    let facts = with_interface(|interface| interface.is_promiscuous = false);
    let mend = "ip link set dev eth1 promisc on".to_owned();
    assert_eq!(one(&facts), (Severity::Warning, "promiscuous", mend));
    let facts = with_interface(|interface| interface.mtu = 9_000);
    let (severity, check, mend) = one(&facts);
    assert_eq!((severity, check), (Severity::Warning, "mtu"));
    let fits: u32 = mend.strip_prefix("ip link set dev eth1 mtu ").unwrap().parse().unwrap();
    assert!(frame_bytes_for("eth1", fits).is_ok() && frame_bytes_for("eth1", fits + 1).is_err());
    let facts = PortFacts { has_default_route: true, ..good() };
    assert_eq!(one(&facts), (Severity::Warning, "route", String::new()));
}

#[test]
fn a_port_that_nobody_uses_is_to_be_silent() {
    let with = |voice| one(&PortFacts { voice: Ok(voice), ..good() });
    let talks = Voice { arp: true, multicast: true, ..Voice::default() };
    let quiet = "ip link set dev eth1 arp off multicast off";
    assert_eq!(with(talks), (Severity::Advice, "silence", quiet.to_owned()));
    let announces = Voice { ipv6: true, ..talks };
    let mend = format!("{quiet} && echo 1 > /proc/sys/net/ipv6/conf/eth1/disable_ipv6");
    assert_eq!(with(announces), (Severity::Advice, "silence", mend));
    let used = Voice { routes: true, ..talks };
    assert_eq!(with(used).2, "", "whoever uses it would be cut off");
}

#[test]
fn queues_and_workers_are_to_be_as_many() {
    let facts = with_interface(|interface| interface.queues = 4);
    let facts = PortFacts {
        dealing: Ok(Dealing { table: vec![0, 1, 2, 3], ..facts.dealing.clone().unwrap() }),
        ..facts
    };
    let with = |most, combined| PortFacts {
        queue_limits: Ok(QueueLimits { most, combined }),
        ..facts.clone()
    };
    let mend = |words: &str| (Severity::Advice, "queues", words.to_owned());
    assert_eq!(one(&with(8, true)), mend("ethtool -L eth1 combined 2"));
    assert_eq!(one(&with(8, false)), mend("ethtool -L eth1 rx 2"));
    assert_eq!(one(&with(1, true)), mend(""));
}

#[test]
fn rings_and_pause_frames_have_their_commands() {
    let facts = PortFacts { ring: Ok(ReceiveRing { used: 512, most: 8_160 }), ..good() };
    let mend = "ethtool -G eth1 rx 4096".to_owned();
    assert_eq!(one(&facts), (Severity::Advice, "ring", mend));
    let facts = PortFacts { ring: Ok(ReceiveRing { used: 512, most: 512 }), ..good() };
    assert_eq!(wrong(&facts), Vec::new(), "it can't have more");
    let facts = PortFacts { pause: Ok(true), ..good() };
    let mend = "ethtool -A eth1 autoneg off rx off tx off".to_owned();
    assert_eq!(one(&facts), (Severity::Advice, "pause", mend));
}

#[test]
fn drivers_are_told_apart_by_what_xdp_can_do() {
    let of = |native, zero_copy| {
        let xdp = XdpFeatures { native, redirect: native, zero_copy };
        let wrong = wrong(&PortFacts { xdp: Ok(xdp), ..good() });
        wrong.first().map(|finding| finding.what.clone()).unwrap_or_default()
    };
    assert_eq!(of(true, true), "");
    assert!(of(true, false).contains("driver ice can do AF_XDP with a copy"));
    assert!(of(false, false).contains("can't do XDP"));
}

#[test]
fn a_program_of_somebody_else_is_named() {
    let with = |is_ours| PortFacts { programs: vec![(45, is_ours)], ..good() };
    let (severity, check, mend) = one(&with(Some(false)));
    assert_eq!((severity, check), (Severity::Warning, "xdp-program"));
    assert_eq!(mend, "", "whose it is, is not ours to end");
    assert_eq!(one(&with(None)).0, Severity::Unknown);
    assert_eq!(wrong(&with(Some(true))), Vec::new());
}

#[test]
fn flows_are_to_be_dealt_evenly_and_by_a_key_of_the_drivers_own() {
    let dealt = |change: &dyn Fn(&mut Dealing)| {
        let mut facts = good();
        facts.dealing.as_mut().map(change).unwrap();
        facts
    };
    let one_queue = dealt(&|dealing| dealing.table.fill(0));
    let mend = "ethtool -X eth1 equal 2".to_owned();
    assert_eq!(one(&one_queue), (Severity::Warning, "rss", mend.clone()));
    let uneven = dealt(&|dealing| dealing.table = vec![0, 0, 0, 1]);
    assert_eq!(one(&uneven), (Severity::Advice, "rss", mend));
    let symmetric = dealt(&|dealing| dealing.key = [0x6d, 0x5a].repeat(20));
    let (severity, check, mend) = one(&symmetric);
    assert_eq!((severity, check), (Severity::Advice, "rss"));
    assert_eq!(mend, "", "somebody wanted it so");
    let known = dealt(&|dealing| {
        dealing.key.splice(..8, [0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2]);
    });
    assert!(wrong(&known)[0].what.contains("everybody knows"));
    let mend = one(&known).2;
    assert!(mend.starts_with("ethtool -X eth1 hkey $(openssl rand -hex 40 "), "{mend}");
}

#[test]
fn a_hash_over_addresses_alone_is_named() {
    let fields = HashFields { addresses: true, ports: false };
    let facts = PortFacts { hashes: vec![("udp4", Ok(fields)), ("udp6", Ok(fields))], ..good() };
    let mend = "for flow in udp4 udp6; do ethtool -N eth1 rx-flow-hash $flow sdfn; done".to_owned();
    assert_eq!(one(&facts), (Severity::Advice, "rss", mend));
}

#[test]
fn interrupts_are_to_keep_off_the_workers_cores() {
    let interrupts = |cores: &[usize]| {
        let interrupts =
            (40..).zip(cores).map(|(number, core)| Interrupt { number, cores: vec![*core] });
        PortFacts { interrupts: Ok(interrupts.collect()), ..good() }
    };
    assert_eq!(one(&interrupts(&[0, 3, 2])), (Severity::Advice, "interrupts", String::new()));
    assert_eq!(wrong(&interrupts(&[0, 1])), Vec::new());
    let far = PortFacts { near_cores: Ok(vec![0, 1, 2]), ..good() };
    assert_eq!(one(&far), (Severity::Advice, "numa", String::new()));
}
