//! Packets to and fro without a connection: datagrams, echoes, and TCP segments that never become a conversation.

use super::attack::Attack;
use super::conversation::Side;
use super::network::{Family, HostId};
use super::stage::{Actor, Next, Stage};
use super::wire::{Protocol, TcpHeader};
use super::words::Texture;
use crate::time::Timestamp;

/// One packet of an exchange.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    /// Since the packet before, nanoseconds.
    pub(super) after: i64,
    pub(super) from: Side,
    pub(super) body: Body,
}

/// What an exchange's packet carries.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// A datagram with these bytes, then so many that look random.
    Datagram { head: Vec<u8>, filler: u32 },
    /// A TCP segment without payload.
    Segment { flags: u8, sequence: u32, acknowledged: u32 },
    /// An ICMP or ICMPv6 message: type, code, and what follows the checksum.
    Message { kind: u8, code: u8, rest: Vec<u8> },
}

/// Between whom an exchange takes place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parties {
    pub(super) client: HostId,
    pub(super) client_port: u16,
    pub(super) server: HostId,
    pub(super) server_port: u16,
    pub(super) family: Family,
    /// The attack that the client's packets are part of.
    pub(super) label: Option<Attack>,
}

/// An exchange under way. It stops without ado when the plan has no packets left for it.
pub(super) struct Exchange<I> {
    parties: Parties,
    shots: I,
    next: Option<Shot>,
    ident: u16,
}

impl<I: Iterator<Item = Shot> + Send> Exchange<I> {
    /// The first packet passes when the exchange first acts; its `after` has no effect.
    pub(super) fn new(
        parties: Parties,
        shots: impl IntoIterator<IntoIter = I>,
        ident: u16,
    ) -> Self {
        let mut shots = shots.into_iter();
        let next = shots.next();
        Self { parties, shots, next, ident }
    }

    fn emit(&mut self, now: Timestamp, shot: &Shot, stage: &mut Stage) {
        self.ident = self.ident.wrapping_add(1);
        let p = self.parties;
        let (from, from_port, to, to_port) = match shot.from {
            Side::Client => (p.client, p.client_port, p.server, p.server_port),
            Side::Server => (p.server, p.server_port, p.client, p.client_port),
        };
        let mut hop = stage.network.hop(from, to, p.family, self.ident);
        if p.family == Family::V6 && matches!(shot.body, Body::Message { kind: 133..=137, .. }) {
            // Neighbour discovery is taken from the own link alone (RFC 4861, section 7.1.1).
            hop.ttl = 255;
        }
        let label = p.label.filter(|_| shot.from == Side::Client);
        let filler_at = u32::from(self.ident).wrapping_mul(1_613);
        let protocol = match (&shot.body, p.family) {
            (Body::Datagram { .. }, _) => Protocol::Udp,
            (Body::Segment { .. }, _) => Protocol::Tcp,
            (Body::Message { .. }, Family::V4) => Protocol::Icmp,
            (Body::Message { .. }, Family::V6) => Protocol::Icmpv6,
        };
        stage.emit_ip(now, label, &hop, protocol, |filler, bytes| match &shot.body {
            Body::Datagram { head, filler: length } => {
                bytes.extend_from_slice(&from_port.to_be_bytes());
                bytes.extend_from_slice(&to_port.to_be_bytes());
                bytes.extend_from_slice(&[0; 4]);
                bytes.extend_from_slice(head);
                filler.write(Texture::Cipher, filler_at, *length, bytes);
            }
            &Body::Segment { flags, sequence, acknowledged } => TcpHeader {
                from_port,
                to_port,
                sequence,
                acknowledged,
                flags,
                window: 1_024,
                segment_bytes_max: 1_460,
            }
            .write(bytes),
            Body::Message { kind, code, rest } => {
                bytes.extend_from_slice(&[*kind, *code, 0, 0]);
                bytes.extend_from_slice(rest);
            }
        });
    }
}

impl<I: Iterator<Item = Shot> + Send> Actor for Exchange<I> {
    fn act(&mut self, now: Timestamp, stage: &mut Stage) -> Next {
        let Some(shot) = self.next.take().filter(|_| stage.may_emit()) else { return Next::Never };
        self.emit(now, &shot, stage);
        self.next = self.shots.next();
        self.next.as_ref().map_or(Next::Never, |shot| Next::At(now.plus_nanos(shot.after)))
    }
}
