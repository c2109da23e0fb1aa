//! A scan of many ports: SYN, and RST to whatever answers (nmap's half-open scan). A few servers, ports in mixed order.

use super::super::attack::Attack;
use super::super::conversation::Side;
use super::super::dice::{Dice, MICRO, SECOND};
use super::super::exchange::{Body, Exchange, Parties, Shot};
use super::super::network::{Family, HostId};
use super::super::stage::{Actor, Next, Stage};
use super::super::wire::{ACK, RST, SYN};
use crate::time::Timestamp;

const PORTS: u32 = 10_000;
/// Has no common divisor with [`PORTS`], so that stepping by it visits every port once.
const PORT_STEP: u32 = 7_919;
const OPEN_PORTS: [u16; 8] = [21, 22, 25, 53, 80, 143, 443, 445];

pub(super) fn begin(now: Timestamp, stage: &mut Stage, mut dice: Dice) {
    let scanner = stage.network.stranger(&mut dice);
    let rate = i64::from(dice.between(40, 400));
    let first = dice.below(PORTS);
    stage.start(now, PortScan { scanner, pace: SECOND / rate, at: first, probes: 0, dice });
}

struct PortScan {
    scanner: HostId,
    pace: i64,
    at: u32,
    probes: u32,
    dice: Dice,
}

impl Actor for PortScan {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        if stage.left_for(Attack::PortScan) == 0 || stage.is_closing() {
            return Next::Never;
        }
        let servers = stage.network.servers;
        let targets = [servers.web, servers.mail, servers.ssh, servers.ftp];
        let target = targets.get((self.probes / PORTS) as usize % targets.len()).copied();
        let target = target.unwrap_or(servers.web);
        let port = u16::try_from(self.at + 1).unwrap_or(1);
        self.at = (self.at + PORT_STEP) % PORTS;
        self.probes += 1;
        let parties = Parties {
            client: self.scanner,
            client_port: self.dice.port(40_000, 65_000),
            server: target,
            server_port: port,
            family: Family::V4,
            label: Some(Attack::PortScan),
        };
        let [a, b, c, d, e, f, g, h] = self.dice.bits().to_be_bytes();
        let sequence = u32::from_be_bytes([a, b, c, d]);
        let theirs = u32::from_be_bytes([e, f, g, h]);
        let segment = |after: i64, from: Side, flags: u8, sequence: u32, acknowledged: u32| Shot {
            after,
            from,
            body: Body::Segment { flags, sequence, acknowledged },
        };
        let wait = stage.network.delay(target) + self.dice.about(30 * MICRO, 0.5);
        let back = stage.network.delay(self.scanner);
        let next = sequence.wrapping_add(1);
        let mut shots = vec![segment(0, Side::Client, SYN, sequence, 0)];
        if OPEN_PORTS.contains(&port) {
            shots.push(segment(wait, Side::Server, SYN | ACK, theirs, next));
            shots.push(segment(back, Side::Client, RST, next, 0));
        } else {
            shots.push(segment(wait, Side::Server, RST | ACK, 0, next));
        }
        stage.start(now, Exchange::new(parties, shots, u16::from_be_bytes([a, h])));
        Next::At(now.plus_nanos(self.dice.about(self.pace, 0.6)))
    }
}
