//! Floods: a dozen bots against one server, with SYNs that never become conversations, or with large datagrams.

use super::super::attack::Attack;
use super::super::conversation::Side;
use super::super::dice::{Dice, MILLI, SECOND};
use super::super::exchange::{Body, Exchange, Parties, Shot};
use super::super::network::{Family, HostId};
use super::super::stage::{Actor, Next, Stage};
use super::super::wire::{self, ACK, Protocol, SYN};
use crate::time::Timestamp;

const BOTS: u32 = 12;
/// How many SYNs the server answers before it is overwhelmed, as a share.
const ANSWERED: f64 = 0.3;
/// The server tells of closed ports at most now and then (RFC 4443, section 2.4 f).
const UNREACHABLE: f64 = 0.01;
const DESTINATION_UNREACHABLE: u8 = 3;
const PORT_UNREACHABLE: u8 = 3;

pub(super) fn begin(attack: Attack, now: Timestamp, stage: &mut Stage, mut dice: Dice) {
    let target = match attack {
        Attack::UdpFlood => stage.network.servers.resolver,
        _ => stage.network.servers.web,
    };
    // Together 1,200 to 4,000 packets a second.
    let rate = i64::from(dice.between(100, 333));
    for _ in 0..BOTS {
        let bot = stage.network.bot(&mut dice);
        let own = dice.fork();
        let at = now.plus_nanos(dice.wait(300 * MILLI));
        stage.start(at, Bot { attack, bot, target, pace: SECOND / rate, dice: own });
    }
}

struct Bot {
    attack: Attack,
    bot: HostId,
    target: HostId,
    pace: i64,
    dice: Dice,
}

impl Bot {
    fn syn(&mut self, wait: i64) -> (u16, Vec<Shot>) {
        let [a, b, c, d, e, f, g, h] = self.dice.bits().to_be_bytes();
        let sequence = u32::from_be_bytes([a, b, c, d]);
        let body = Body::Segment { flags: SYN, sequence, acknowledged: 0 };
        let mut shots = vec![Shot { after: 0, from: Side::Client, body }];
        if self.dice.chance(ANSWERED) {
            let sequence_of_server = u32::from_be_bytes([e, f, g, h]);
            let body = Body::Segment {
                flags: SYN | ACK,
                sequence: sequence_of_server,
                acknowledged: sequence.wrapping_add(1),
            };
            shots.push(Shot { after: wait, from: Side::Server, body });
        }
        (if self.dice.chance(0.5) { 443 } else { 80 }, shots)
    }

    fn datagram(&mut self) -> (u16, Vec<Shot>) {
        let body = Body::Datagram { head: Vec::new(), filler: self.dice.between(400, 1_400) };
        (self.dice.port(1_024, 65_535), vec![Shot { after: 0, from: Side::Client, body }])
    }

    /// The server's complaint, which quotes the headers of what it complains about (RFC 792).
    fn complain(&self, now: Timestamp, parties: Parties, stage: &mut Stage) {
        const ETHERNET_BYTES: usize = 14;
        const QUOTED_BYTES: usize = 28;
        let mut frame = Vec::new();
        let hop = stage.network.hop(self.bot, self.target, Family::V4, 0);
        wire::ip(&mut frame, &hop, Protocol::Udp, |bytes| {
            bytes.extend_from_slice(&parties.client_port.to_be_bytes());
            bytes.extend_from_slice(&parties.server_port.to_be_bytes());
            bytes.extend_from_slice(&[0; 4]);
        });
        let mut rest = vec![0; 4];
        rest.extend(frame.iter().skip(ETHERNET_BYTES).take(QUOTED_BYTES));
        let body = Body::Message { kind: DESTINATION_UNREACHABLE, code: PORT_UNREACHABLE, rest };
        let at = now.plus_nanos(stage.network.delay(self.target));
        let shot = Shot { after: 0, from: Side::Server, body };
        stage.start(at, Exchange::new(parties, [shot], 0));
    }

    const fn parties(&self, client_port: u16, server_port: u16) -> Parties {
        Parties {
            client: self.bot,
            client_port,
            server: self.target,
            server_port,
            family: Family::V4,
            label: Some(self.attack),
        }
    }
}

impl Actor for Bot {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        if stage.left_for(self.attack) == 0 || stage.is_closing() {
            return Next::Never;
        }
        let wait = stage.network.delay(self.target);
        let (server_port, shots) = match self.attack {
            Attack::UdpFlood => self.datagram(),
            _ => self.syn(wait),
        };
        let client_port = self.dice.port(1_024, 65_535);
        let parties = self.parties(client_port, server_port);
        if self.attack == Attack::UdpFlood && self.dice.chance(UNREACHABLE) {
            self.complain(now, parties, stage);
        }
        let [.., a, b] = self.dice.bits().to_be_bytes();
        stage.start(now, Exchange::new(parties, shots, u16::from_be_bytes([a, b])));
        Next::At(now.plus_nanos(self.dice.about(self.pace, 0.4)))
    }
}
