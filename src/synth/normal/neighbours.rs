//! Neighbours: ARP (RFC 826), neighbour discovery (RFC 4861), and the monitor's pings (RFC 792, RFC 4443).

use super::super::conversation::Side;
use super::super::dice::{Dice, MICRO, MINUTE, SECOND};
use super::super::exchange::{Body, Exchange, Parties, Shot};
use super::super::network::{Family, HostId};
use super::super::stage::{Actor, Next, Stage};
use super::super::wire::Arp;
use crate::time::Timestamp;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// A host that makes sure of its neighbours: the gateway and the resolver.
pub(super) struct Neighbours {
    host: HostId,
    dice: Dice,
}

impl Neighbours {
    pub(super) const fn new(host: HostId, dice: Dice) -> Self {
        Self { host, dice }
    }

    fn solicit(&mut self, now: Timestamp, target: HostId, stage: &mut Stage) {
        let address = stage.network.address(target, Family::V6).octets();
        let message = |after: i64, from: Side, kind: u8, flags: u8, option: u8, mac: [u8; 6]| {
            let mut rest = vec![flags, 0, 0, 0];
            rest.extend_from_slice(&address);
            rest.extend_from_slice(&[option, 1]);
            rest.extend_from_slice(&mac);
            Shot { after, from, body: Body::Message { kind, code: 0, rest } }
        };
        let (own_mac, target_mac) = (stage.network.mac(self.host), stage.network.mac(target));
        let wait = self.dice.about(300 * MICRO, 0.5);
        let shots = [
            message(0, Side::Client, SOLICITATION, 0, 1, own_mac),
            message(wait, Side::Server, ADVERTISEMENT, 0x60, 2, target_mac),
        ];
        let parties = Parties {
            client: self.host,
            client_port: 0,
            server: target,
            server_port: 0,
            family: Family::V6,
            label: None,
        };
        stage.start(now, Exchange::new(parties, shots, 0));
    }
}

impl Actor for Neighbours {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let servers = stage.network.servers;
        let target = self.dice.pick(&[servers.gateway, servers.gateway, servers.resolver]);
        if target != self.host {
            if self.dice.chance(0.3) {
                self.solicit(now, target, stage);
            } else {
                let question = ArpQuestion { asker: self.host, target, is_answered: false };
                stage.start(now, question);
            }
        }
        Next::At(now.plus_nanos(self.dice.about(MINUTE, 0.5)))
    }
}

/// Who has this address? And the answer.
struct ArpQuestion {
    asker: HostId,
    target: HostId,
    is_answered: bool,
}

impl Actor for ArpQuestion {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let is_reply = self.is_answered;
        let (sender, target) =
            if is_reply { (self.target, self.asker) } else { (self.asker, self.target) };
        let v4 = |host| stage.network.address(host, Family::V4).v4_octets().unwrap_or_default();
        let message = Arp {
            is_reply,
            sender_mac: stage.network.mac(sender),
            sender: v4(sender),
            target_mac: stage.network.mac(target),
            target: v4(target),
        };
        if !stage.may_emit() {
            return Next::Never;
        }
        stage.emit_arp(now, &message);
        self.is_answered = true;
        if is_reply {
            Next::Never
        } else {
            Next::At(now.plus_nanos(stage.network.delay(self.target)))
        }
    }
}

/// The monitor's pings of one server.
pub(super) struct Pings {
    server: HostId,
    nth: u16,
    dice: Dice,
}

impl Pings {
    pub(super) const fn new(server: HostId, dice: Dice) -> Self {
        Self { server, nth: 0, dice }
    }
}

impl Actor for Pings {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let monitor = stage.network.servers.monitor;
        if self.server != monitor {
            self.nth = self.nth.wrapping_add(1);
            let family = if self.dice.chance(0.2) { Family::V6 } else { Family::V4 };
            let wait = stage.network.delay(self.server);
            let (request, reply) = if family == Family::V4 { (8, 0) } else { (128, 129) };
            let echo = |after: i64, from: Side, kind: u8| {
                let mut rest = vec![0x4d, 0x31];
                rest.extend_from_slice(&self.nth.to_be_bytes());
                rest.extend((0x10..0x48).collect::<Vec<u8>>());
                Shot { after, from, body: Body::Message { kind, code: 0, rest } }
            };
            let shots = [echo(0, Side::Client, request), echo(wait, Side::Server, reply)];
            let parties = Parties {
                client: monitor,
                client_port: 0,
                server: self.server,
                server_port: 0,
                family,
                label: None,
            };
            stage.start(now, Exchange::new(parties, shots, self.nth));
        }
        Next::At(now.plus_nanos(self.dice.about(20 * SECOND, 0.01)))
    }
}
