//! A sweep over addresses, as a worm does it: an infected client asks for one service everywhere. Most addresses are
//! empty and never answer.

use super::super::attack::Attack;
use super::super::conversation::Side;
use super::super::dice::{Dice, SECOND};
use super::super::exchange::{Body, Exchange, Parties, Shot};
use super::super::network::{Family, HostId};
use super::super::stage::{Actor, Next, Stage};
use super::super::wire::{ACK, Protocol, RST, SYN, TcpHeader};
use crate::address::Address;
use crate::time::Timestamp;

const SERVICE: u16 = 445;

pub(super) fn begin(now: Timestamp, stage: &mut Stage, mut dice: Dice) {
    let worm = stage.network.infected_client();
    let rate = i64::from(dice.between(20, 120));
    let [at, ..] = dice.bits().to_be_bytes();
    stage.start(now, HostSweep { worm, pace: SECOND / rate, at: u16::from(at), dice });
}

struct HostSweep {
    worm: HostId,
    pace: i64,
    /// The last two bytes of the address that is next.
    at: u16,
    dice: Dice,
}

impl HostSweep {
    /// Someone lives there: asked, and refused.
    fn ask(&mut self, now: Timestamp, host: HostId, stage: &mut Stage) {
        let [a, b, c, d, e, f, ..] = self.dice.bits().to_be_bytes();
        let sequence = u32::from_be_bytes([a, b, c, d]);
        let parties = Parties {
            client: self.worm,
            client_port: stage.network.ephemeral_port(self.worm),
            server: host,
            server_port: SERVICE,
            family: Family::V4,
            label: Some(Attack::HostSweep),
        };
        let segment = |after: i64, from: Side, flags: u8, sequence: u32, acknowledged: u32| Shot {
            after,
            from,
            body: Body::Segment { flags, sequence, acknowledged },
        };
        let shots = [
            segment(0, Side::Client, SYN, sequence, 0),
            segment(
                stage.network.delay(host),
                Side::Server,
                RST | ACK,
                0,
                sequence.wrapping_add(1),
            ),
        ];
        stage.start(now, Exchange::new(parties, shots, u16::from_be_bytes([e, f])));
    }

    /// Nobody lives there: the gateway takes the packet, and that is all.
    fn ask_in_vain(&mut self, now: Timestamp, address: Address, stage: &mut Stage) {
        let [a, b, c, d, e, f, ..] = self.dice.bits().to_be_bytes();
        let gateway = stage.network.servers.gateway;
        let ident = u16::from_be_bytes([e, f]);
        let mut hop = stage.network.hop(self.worm, gateway, Family::V4, ident);
        hop.to = address;
        let header = TcpHeader {
            from_port: stage.network.ephemeral_port(self.worm),
            to_port: SERVICE,
            sequence: u32::from_be_bytes([a, b, c, d]),
            acknowledged: 0,
            flags: SYN,
            window: 64_240,
            segment_bytes_max: 1_460,
        };
        stage.emit_ip(now, Some(Attack::HostSweep), &hop, Protocol::Tcp, |_, bytes| {
            header.write(bytes);
        });
    }
}

impl Actor for HostSweep {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        if stage.left_for(Attack::HostSweep) == 0 || !stage.may_emit() {
            return Next::Never;
        }
        let [third, fourth] = self.at.to_be_bytes();
        self.at = self.at.wrapping_add(1);
        let address = Address::v4([10, 20, third, fourth]);
        match stage.network.client_at(address).filter(|host| *host != self.worm) {
            Some(host) => self.ask(now, host, stage),
            None => self.ask_in_vain(now, address, stage),
        }
        Next::At(now.plus_nanos(self.dice.about(self.pace, 0.3)))
    }
}
