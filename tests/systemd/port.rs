//! `phantomnet-nic` on a pair of virtual interfaces, in a network of the test's own: the machine's is never touched.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::{file, skipped};
use crate::support::{run_or_say, stderr};

/// The capture port, and the end that stands for the switch.
const PORT: &str = "port0";
const SWITCH: &str = "switch0";

/// A network without a connection to any other; gone with the value.
struct Network(String);

impl Network {
    /// With a pair of interfaces that can have four queues; nothing where the test may not make one.
    fn make() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("phantomnet-{}-{number}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|output| output.status.success()) {
            skipped(&format!("no network for a test, which takes root and iproute2: {made:?}"));
            return None;
        }
        let network = Self(name);
        if Command::new("ethtool").arg("--version").output().is_err() {
            skipped("ethtool is not installed: no capture port was set up");
            return None;
        }
        let queues = "numrxqueues 4 numtxqueues 4";
        network.run(&format!("ip link add {PORT} {queues} type veth peer name {SWITCH} {queues}"));
        network.run(&format!("ip link set {SWITCH} up"));
        Some(network)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]);
        command
    }

    /// Runs a line of words to its good end; returns what it printed.
    #[track_caller]
    fn run(&self, words: &str) -> String {
        let printed = run_or_say(self.command().args(words.split_whitespace()), words);
        String::from_utf8(printed).unwrap()
    }

    /// Sets up the port.
    fn set_up(&self, settings: &[(&str, &str)]) -> Output {
        let mut command = self.command();
        command.arg("sh").arg(file("phantomnet-nic")).arg(PORT);
        command.envs(settings.iter().copied()).output().unwrap()
    }

    #[track_caller]
    fn set_up_well(&self, settings: &[(&str, &str)]) -> String {
        let output = self.set_up(settings);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The port as `ip` shows it.
    fn port(&self) -> Value {
        let shown = self.run(&format!("ip -json -details -statistics address show dev {PORT}"));
        let mut shown: Value = serde_json::from_str(&shown).unwrap();
        shown[0].take()
    }

    fn queues(&self) -> usize {
        let listed = self.run(&format!("ls /sys/class/net/{PORT}/queues"));
        listed.lines().filter(|line| line.starts_with("rx-")).count()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        Command::new("ip").args(["netns", "delete", &self.0]).status().ok();
    }
}

fn flags(port: &Value) -> Vec<&str> {
    port["flags"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn a_capture_port_takes_every_frame_and_has_no_reason_to_send_one() {
    let Some(network) = Network::make() else { return };
    network.set_up_well(&[]);
    let port = network.port();
    let flags = flags(&port);
    for flag in ["UP", "PROMISC", "NOARP"] {
        assert!(flags.contains(&flag), "{flag} is not among {flags:?}");
    }
    assert!(!flags.contains(&"MULTICAST"), "{flags:?}");
    assert_eq!(port["addr_info"], Value::Array(Vec::new()), "it has an address");
    // Long enough for neighbour discovery and the join of its group, which an ordinary port would have sent by now.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(network.port()["stats64"]["tx"]["packets"], 0);
    // Nor does it take an address when somebody gives IPv6 back to it.
    let ipv6 = format!("net.ipv6.conf.{PORT}.disable_ipv6");
    assert_eq!(network.run(&format!("sysctl -n {ipv6}")), "1\n");
    network.run(&format!("sysctl -q -w {ipv6}=0"));
    assert!(network.run(&format!("ip -details link show {PORT}")).contains("addrgenmode none"));
    assert_eq!(network.port()["addr_info"], Value::Array(Vec::new()), "it has an address");
}

#[test]
fn frames_arrive_as_they_were_on_the_wire() {
    let Some(network) = Network::make() else { return };
    network.run(&format!("ethtool --features {PORT} gro on"));
    network.set_up_well(&[]);
    let features = network.run(&format!("ethtool --show-features {PORT}"));
    for off in
        ["generic-receive-offload", "large-receive-offload", "rx-vlan-offload", "rx-gro-list"]
    {
        assert!(features.contains(&format!("{off}: off")), "{off}\n{features}");
    }
}

#[test]
fn a_port_has_as_many_queues_as_it_is_told_one_by_itself() {
    let Some(network) = Network::make() else { return };
    network.set_up_well(&[]);
    assert_eq!(network.queues(), 1);
    let said = network.set_up_well(&[("QUEUES", "3"), ("MTU", "9000"), ("RSS_KEY", "symmetric")]);
    assert_eq!(network.queues(), 3);
    assert_eq!(network.port()["mtu"], 9_000);
    // These interfaces can't deal by a key: what the driver lacks is said, and no reason to give up.
    assert!(said.contains("symmetric dealing: not possible"), "{said}");
}

#[test]
fn queues_that_no_worker_would_serve_are_refused() {
    let Some(network) = Network::make() else { return };
    let output = network.set_up(&[("QUEUES", "9")]);
    assert_eq!(output.status.code(), Some(78));
    let said = stderr(&output);
    assert!(said.contains("4 receive queues and does not change to 9"), "{said}");
    assert!(!flags(&network.port()).contains(&"UP"), "it captures all the same");
}

#[test]
fn the_interface_that_the_machine_is_reached_by_is_refused_and_left_as_it_is() {
    let Some(network) = Network::make() else { return };
    network.run(&format!("ip link set {PORT} up"));
    network.run(&format!("ip address add 192.0.2.1/24 dev {PORT}"));
    let refused = |reason: &str| {
        let output = network.set_up(&[]);
        assert_eq!(output.status.code(), Some(78));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
        let port = network.port();
        assert!(!flags(&port).contains(&"NOARP"), "{port}");
        assert!(port["addr_info"].to_string().contains("192.0.2.1"), "{port}");
    };
    refused("it has an address: 192.0.2.1/24");
    network.run(&format!("ip route add default via 192.0.2.2 dev {PORT}"));
    refused("the default route goes through it");
    network.set_up_well(&[("FORCE", "yes")]);
    assert_eq!(network.port()["addr_info"], Value::Array(Vec::new()), "it was forced");
}

#[test]
fn what_is_no_setting_is_refused_with_one_that_would_do() {
    let Some(network) = Network::make() else { return };
    let cases =
        [("QUEUES", "many", "QUEUES=1"), ("RING", "-1", "RING=4096"), ("FORCE", "1", "yes or no")];
    for (key, value, instead) in cases {
        let output = network.set_up(&[(key, value)]);
        assert_eq!(output.status.code(), Some(78));
        let said = stderr(&output);
        assert!(said.contains(&format!("{key}={value}")) && said.contains(instead), "{said}");
    }
    assert!(!flags(&network.port()).contains(&"NOARP"), "nothing was changed");
}
