//! DNS: questions of clients, answers of the resolver, and what the resolver asks upstream (RFC 1035, RFC 6891).

use super::super::conversation::Side;
use super::super::dice::{Dice, MICRO, MILLI, SECOND};
use super::super::exchange::{Body, Exchange, Parties, Shot};
use super::super::network::{Family, HostId};
use super::super::stage::Stage;
use crate::address::Address;
use crate::time::Timestamp;

/// How often the resolver has to ask upstream.
const MISSES: f64 = 0.35;
const A: u16 = 1;
const AAAA: u16 = 28;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Question<'a> {
    pub(in super::super) id: u16,
    pub(in super::super) name: &'a str,
    /// The record type, as in RFC 1035, section 3.2.2.
    pub(in super::super) kind: u16,
}

/// Lets `client` ask the resolver for `name`; returns when the answer is there.
pub(in super::super) fn lookup(
    stage: &mut Stage,
    dice: &mut Dice,
    now: Timestamp,
    client: HostId,
    (name, address): (&str, Address),
) -> Timestamp {
    let servers = stage.network.servers;
    let [a, b, c, d, ..] = dice.bits().to_be_bytes();
    let kind = if address.is_v4() { A } else { AAAA };
    let question = Question { id: u16::from_be_bytes([a, b]), name, kind };
    let data = address.v4_octets().map_or(address.octets().to_vec(), |v4| v4.to_vec());
    let reply = answer(question, &data, 300);
    let mut wait = dice.about(400 * MICRO, 0.5);
    if dice.chance(MISSES) {
        let upstream = Parties {
            client: servers.resolver,
            client_port: dice.port(1_024, 65_535),
            server: stage.network.upstream,
            server_port: 53,
            family: Family::V4,
            label: None,
        };
        let away = dice.about(stage.network.delay(stage.network.upstream), 0.3);
        let question = Question { id: u16::from_be_bytes([c, d]), ..question };
        let shots = shots(query(question), answer(question, &data, 300), away);
        stage.start(
            now.plus_nanos(wait / 2),
            Exchange::new(upstream, shots, u16::from_be_bytes([a, d])),
        );
        wait += away + 300 * MICRO;
    }
    let parties = Parties {
        client,
        client_port: stage.network.ephemeral_port(client),
        server: servers.resolver,
        server_port: 53,
        family: Family::V4,
        label: None,
    };
    let ident = u16::from_be_bytes([b, c]);
    stage.start(now, Exchange::new(parties, shots(query(question), reply, wait), ident));
    now.plus_nanos(wait).plus_nanos(dice.about(MILLI, 0.8))
}

/// What a client remembers of names it has asked for: the last [`DnsCache::NAMES_MAX`].
#[derive(Clone, Debug, Default)]
pub(super) struct DnsCache(Vec<(u32, Timestamp)>);

impl DnsCache {
    const NAMES_MAX: usize = 64;

    /// Whether the site `number` is known at `now`; if not, it is taken to be asked for and kept for `keep` nanoseconds.
    pub(super) fn knows(&mut self, number: u32, now: Timestamp, keep: i64) -> bool {
        self.0.retain(|(_, until)| *until > now);
        if self.0.iter().any(|(known, _)| *known == number) {
            return true;
        }
        if self.0.len() == Self::NAMES_MAX {
            self.0.remove(0);
        }
        self.0.push((number, now.plus_nanos(keep.max(SECOND))));
        false
    }
}

fn shots(query: Vec<u8>, reply: Vec<u8>, wait: i64) -> [Shot; 2] {
    [
        Shot { after: 0, from: Side::Client, body: Body::Datagram { head: query, filler: 0 } },
        Shot { after: wait, from: Side::Server, body: Body::Datagram { head: reply, filler: 0 } },
    ]
}

/// The question as a message, recursion desired.
pub(in super::super) fn query(question: Question<'_>) -> Vec<u8> {
    message(question, [0x01, 0x00], 0)
}

/// The answer to it: one record with `data`, to be kept for `keep_secs`.
pub(in super::super) fn answer(question: Question<'_>, data: &[u8], keep_secs: u32) -> Vec<u8> {
    let mut bytes = message(question, [0x81, 0x80], 1);
    // The name as a pointer to the one in the question (RFC 1035, section 4.1.4).
    bytes.extend_from_slice(&[0xc0, 12]);
    bytes.extend_from_slice(&question.kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes.extend_from_slice(&keep_secs.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn message(question: Question<'_>, flags: [u8; 2], answers: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&question.id.to_be_bytes());
    bytes.extend_from_slice(&flags);
    bytes.extend_from_slice(&[0, 1, 0, answers, 0, 0, 0, 0]);
    for label in question.name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&question.kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes
}
