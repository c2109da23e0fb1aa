use std::collections::BTreeMap;

use super::*;
use crate::doctor::Severity;

/// A machine of which nothing is known.
fn unknown() -> MachineFacts {
    let reason = || "no such file".to_owned();
    MachineFacts {
        kernel: Err(reason()),
        capabilities: Err(reason()),
        locked_bytes_max: Err(reason()),
        governors: Err(reason()),
        huge_pages: Err(reason()),
        irqbalance: Err(reason()),
    }
}

const ALL_RIGHTS: u64 = (1 << 41) - 1;

/// One on which nothing is wrong.
fn good() -> MachineFacts {
    MachineFacts {
        kernel: Ok("6.1.0-25-amd64".to_owned()),
        capabilities: Ok(ALL_RIGHTS),
        locked_bytes_max: Ok(None),
        governors: Ok(BTreeMap::from([("performance".to_owned(), 8)])),
        huge_pages: Ok(HugePages { reserved: 0, free: 0, page_kib: 2_048 }),
        irqbalance: Ok(false),
    }
}

fn interface(queues: u32) -> Interface {
    Interface {
        name: "eth1".to_owned(),
        index: 7,
        mtu: 1_500,
        is_on: true,
        is_up: true,
        is_promiscuous: true,
        queues,
        xdp_programs: Vec::new(),
    }
}

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

/// The finding of a check.
#[track_caller]
fn found(facts: &MachineFacts, check: &str) -> Finding {
    let mut findings = judge(facts, Some(&interface(2)), &intended()).into_iter();
    findings.find(|finding| finding.check == check).expect("each check has a finding")
}

#[test]
fn nothing_is_said_against_a_good_machine() {
    let findings = judge(&good(), Some(&interface(2)), &intended());
    assert!(findings.iter().all(|finding| finding.severity == Severity::Ok), "{findings:#?}");
}

#[test]
fn what_is_not_known_is_never_taken_for_good() {
    let findings = judge(&unknown(), Some(&interface(2)), &intended());
    let known = findings.iter().filter(|finding| finding.severity != Severity::Unknown);
    let known: Vec<&str> = known.map(|finding| finding.check).collect();
    assert_eq!(known, ["cores"], "which does not come from these facts");
}

#[test]
fn a_kernel_before_xdp_links_is_named() {
    let old = MachineFacts { kernel: Ok("5.8.18".to_owned()), ..good() };
    let finding = found(&old, "kernel");
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.what.contains("5.8.18"), "{finding}");
    let odd = MachineFacts { kernel: Ok("custom".to_owned()), ..good() };
    assert_eq!(found(&odd, "kernel").severity, Severity::Unknown);
    assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
}

#[test]
fn missing_capabilities_are_named() {
    let poor = MachineFacts { capabilities: Ok(1 << NET_RAW), ..good() };
    let finding = found(&poor, "capabilities");
    assert_eq!(finding.severity, Severity::Advice, "it is about who asks, not about the box");
    assert_eq!(finding.what, "this user lacks CAP_NET_ADMIN, CAP_BPF");
    let admin = 1 << NET_RAW | 1 << NET_ADMIN | 1 << SYS_ADMIN;
    let old_way = MachineFacts { capabilities: Ok(admin), ..good() };
    assert_eq!(found(&old_way, "capabilities").severity, Severity::Ok);
}

#[test]
fn locked_memory_has_to_do_for_the_frames_of_all_queues() {
    let rights = ALL_RIGHTS & !(1 << IPC_LOCK);
    let limited = |bytes: u64| MachineFacts {
        capabilities: Ok(rights),
        locked_bytes_max: Ok(Some(bytes)),
        ..good()
    };
    let finding = found(&limited(8 << 20), "memlock");
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.what, "locked memory is limited to 8 MiB, frames need 16 MiB");
    assert!(finding.why.contains("ulimit -l unlimited"), "{finding:?}");
    assert_eq!(found(&limited(16 << 20), "memlock").severity, Severity::Ok);
    let may = MachineFacts { capabilities: Ok(ALL_RIGHTS), ..limited(1) };
    assert_eq!(found(&may, "memlock").severity, Severity::Ok);
}

#[test]
fn workers_want_cores_of_their_own_and_one_for_all_else() {
    let of = |workers, worker_cores: &[usize], other_cores: &[usize]| {
        let (worker_cores, other_cores) = (worker_cores.to_vec(), other_cores.to_vec());
        cores(Some(&interface(2)), &Intended { workers, worker_cores, other_cores, ..intended() })
    };
    assert_eq!(of(4, &[], &[0, 1]).severity, Severity::Warning);
    assert_eq!(of(2, &[], &[0, 1]).severity, Severity::Advice);
    assert_eq!(of(2, &[1, 0], &[]).severity, Severity::Advice);
    assert_eq!(of(1, &[1], &[0]).severity, Severity::Ok);
}

#[test]
fn governors_and_irqbalance_have_their_commands_and_huge_pages_none() {
    let facts = MachineFacts {
        governors: Ok(BTreeMap::from([("powersave".to_owned(), 4), ("performance".to_owned(), 4)])),
        huge_pages: Ok(HugePages { reserved: 512, free: 500, page_kib: 2_048 }),
        irqbalance: Ok(true),
        ..good()
    };
    let mend = |check| found(&facts, check).mend.unwrap();
    assert_eq!(mend("governor"), "cpupower frequency-set -g performance");
    assert_eq!(found(&facts, "hugepages").mend, None, "whoever reserved them knows what for");
    assert_eq!(mend("irqbalance"), "systemctl disable --now irqbalance");
    assert!(found(&facts, "governor").what.contains("powersave on 4"), "{facts:?}");
    assert!(found(&facts, "hugepages").why.contains("1000 MiB"), "{facts:?}");
}
