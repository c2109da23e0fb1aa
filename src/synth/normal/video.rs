//! Moving pictures: calls as a steady stream of datagrams both ways (RTP, RFC 3550), films in pieces over TLS.

use super::super::conversation::{Call, Conversation, Dialogue, Say, Side};
use super::super::dice::{Dice, MILLI, MINUTE, SECOND, as_float, nanos};
use super::super::exchange::{Body, Exchange, Parties, Shot};
use super::super::network::{Family, HostId};
use super::super::stage::{Actor, Next, Stage};
use super::super::words::Texture;
use super::hours::activity;
use super::tls::Tls;
use crate::time::Timestamp;

/// A client whose user makes a call or watches a film now and then.
pub(super) struct Watching {
    client: HostId,
    dice: Dice,
}

impl Watching {
    pub(super) const fn new(client: HostId, dice: Dice) -> Self {
        Self { client, dice }
    }
}

impl Actor for Watching {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let dice = &mut self.dice;
        let server = stage.network.far_server(dice);
        let mut own = dice.fork();
        if dice.chance(0.6) {
            let parties = Parties {
                client: self.client,
                client_port: stage.network.ephemeral_port(self.client),
                server,
                server_port: 3_478,
                family: Family::V4,
                label: None,
            };
            let [a, b, ..] = own.bits().to_be_bytes();
            let shots = call_shots(own.between(60, 420), own);
            stage.start(now, Exchange::new(parties, shots, u16::from_be_bytes([a, b])));
        } else {
            let film = Film { pieces_left: dice.between(10, 60), is_asked: false };
            let tls = Tls::new("video.summermaps.example".to_owned(), film);
            let call = Call::new(self.client, server, 443);
            let conversation = Conversation::new(call, tls, own, stage);
            stage.start(now, conversation);
        }
        Next::At(now.plus_nanos(nanos(as_float(self.dice.wait(40 * MINUTE)) / activity(now))))
    }
}

/// A call of some seconds: each side sends a packet every 40 ms, speech or a piece of picture.
fn call_shots(secs: u32, mut dice: Dice) -> impl Iterator<Item = Shot> + Send {
    const PACKETS_PER_SECOND: u32 = 50;
    const PAYLOAD_TYPES: [u8; 2] = [111, 96];
    let source = dice.bits().to_be_bytes();
    (0..secs * PACKETS_PER_SECOND).map(move |nth| {
        let is_picture = nth % 4 < 2;
        let kind = PAYLOAD_TYPES.get(usize::from(is_picture)).copied().unwrap_or_default();
        let filler = if is_picture { dice.between(700, 1_100) } else { dice.between(90, 160) };
        let [.., high, low] = (nth / 2).to_be_bytes();
        let [a, b, c, d] = (nth * 480).to_be_bytes();
        let [e, f, g, h, ..] = source;
        Shot {
            after: dice.about(20 * MILLI, 0.15),
            from: if nth % 2 == 0 { Side::Client } else { Side::Server },
            body: Body::Datagram {
                head: vec![0x80, kind, high, low, a, b, c, d, e, f, g, h],
                filler,
            },
        }
    })
}

/// A film, piece by piece: a request, and some hundred kilobytes in answer.
struct Film {
    pieces_left: u32,
    is_asked: bool,
}

impl Dialogue for Film {
    fn next(&mut self, dice: &mut Dice) -> Option<Say> {
        self.is_asked = !self.is_asked;
        if self.is_asked {
            self.pieces_left = self.pieces_left.checked_sub(1)?;
            let pause = dice.about(4 * SECOND, 0.1);
            return Some(Say::client(pause, []).and(430, Texture::Cipher));
        }
        let length = dice.size(180_000, 0.3, 500_000);
        Some(Say::server(dice.pause(15 * MILLI, 0.5), []).and(length, Texture::Cipher))
    }
}
