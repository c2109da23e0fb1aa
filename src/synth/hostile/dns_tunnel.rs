//! Data in DNS names: an infected client asks for ever new long names below one domain, and the answers are long too.

use super::super::attack::Attack;
use super::super::conversation::Side;
use super::super::dice::{Dice, MILLI, SECOND};
use super::super::exchange::{Body, Exchange, Parties, Shot};
use super::super::network::{Family, HostId};
use super::super::normal::{Question, answer, query};
use super::super::stage::{Actor, Next, Stage};
use crate::time::Timestamp;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// A label may have 63 bytes (RFC 1035, section 2.3.4).
const LABEL_BYTES: u32 = 60;
const NULL: u16 = 10;
const TXT: u16 = 16;

pub(super) fn begin(now: Timestamp, stage: &mut Stage, mut dice: Dice) {
    let client = stage.network.infected_client();
    let rate = i64::from(dice.between(3, 25));
    let kind = if dice.chance(0.5) { TXT } else { NULL };
    stage.start(now, Tunnel { client, kind, pace: SECOND / rate, dice });
}

struct Tunnel {
    client: HostId,
    kind: u16,
    pace: i64,
    dice: Dice,
}

impl Tunnel {
    fn name(&mut self) -> String {
        let mut name = String::with_capacity(200);
        for _ in 0..self.dice.between(1, 3) {
            for _ in 0..self.dice.between(LABEL_BYTES / 2, LABEL_BYTES) {
                name.push(char::from(self.dice.pick(BASE32)));
            }
            name.push('.');
        }
        name.push_str("t.cloudpress.example");
        name
    }
}

impl Actor for Tunnel {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        if stage.left_for(Attack::DnsTunnel) == 0 || stage.is_closing() {
            return Next::Never;
        }
        let name = self.name();
        let [a, b, c, d, ..] = self.dice.bits().to_be_bytes();
        let question = Question { id: u16::from_be_bytes([a, b]), name: &name, kind: self.kind };
        // A TXT record is made of strings of up to 255 bytes, each behind its length.
        let mut data = vec![0; self.dice.between(60, 250) as usize];
        self.dice.fill(&mut data);
        if self.kind == TXT {
            data.insert(0, u8::try_from(data.len()).unwrap_or(u8::MAX));
        }
        let wait = stage.network.delay(stage.network.upstream) + self.dice.about(3 * MILLI, 0.6);
        let datagram = |after: i64, from: Side, head: Vec<u8>| Shot {
            after,
            from,
            body: Body::Datagram { head, filler: 0 },
        };
        let shots = [
            datagram(0, Side::Client, query(question)),
            datagram(wait, Side::Server, answer(question, &data, 0)),
        ];
        let parties = Parties {
            client: self.client,
            client_port: stage.network.ephemeral_port(self.client),
            server: stage.network.servers.resolver,
            server_port: 53,
            family: Family::V4,
            label: Some(Attack::DnsTunnel),
        };
        stage.start(now, Exchange::new(parties, shots, u16::from_be_bytes([c, d])));
        Next::At(now.plus_nanos(self.dice.about(self.pace, 0.5)))
    }
}
