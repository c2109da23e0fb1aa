//! NTP: every host asks the office's clock, the clock asks one outside (RFC 5905).

use super::super::conversation::Side;
use super::super::dice::{Dice, MICRO, SECOND};
use super::super::exchange::{Body, Exchange, Parties, Shot};
use super::super::network::{Family, HostId};
use super::super::stage::{Actor, Next, Stage};
use crate::time::Timestamp;

/// Seconds from the NTP era (1900) to the epoch (1970).
const ERA_SECS: i64 = 2_208_988_800;

/// A host that keeps its clock right.
pub(super) struct Clock {
    host: HostId,
    poll: i64,
    dice: Dice,
}

impl Clock {
    pub(super) fn new(host: HostId, mut dice: Dice) -> Self {
        let poll = i64::from(dice.pick(&[64_u16, 128, 256, 512, 1_024])) * SECOND;
        Self { host, poll, dice }
    }
}

impl Actor for Clock {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let clock = stage.network.servers.clock;
        let server =
            if self.host == clock { stage.network.far_server(&mut self.dice) } else { clock };
        let parties = Parties {
            client: self.host,
            client_port: 123,
            server,
            server_port: 123,
            family: Family::V4,
            label: None,
        };
        let wait = stage.network.delay(server) + self.dice.about(80 * MICRO, 0.5);
        let shot = |after: i64, from: Side, first: u8, at: Timestamp| Shot {
            after,
            from,
            body: Body::Datagram { head: message(first, at), filler: 0 },
        };
        // Version 4, mode 3 (client) and mode 4 (server).
        let shots = [
            shot(0, Side::Client, 0x23, now),
            shot(wait, Side::Server, 0x24, now.plus_nanos(wait)),
        ];
        let [a, b, ..] = self.dice.bits().to_be_bytes();
        stage.start(now, Exchange::new(parties, shots, u16::from_be_bytes([a, b])));
        Next::At(now.plus_nanos(self.dice.about(self.poll, 0.02)))
    }
}

fn message(first: u8, at: Timestamp) -> Vec<u8> {
    let stratum = if first == 0x24 { 2 } else { 0 };
    let mut bytes = vec![first, stratum, 6, 0xe9];
    bytes.resize(40, 0);
    let secs = u32::try_from((at.as_secs() + ERA_SECS) & 0xffff_ffff).unwrap_or_default();
    bytes.extend_from_slice(&secs.to_be_bytes());
    let fraction = (at.as_nanos().rem_euclid(SECOND) << 32) / SECOND;
    bytes.extend_from_slice(&u32::try_from(fraction).unwrap_or_default().to_be_bytes());
    bytes
}
