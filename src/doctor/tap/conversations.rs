//! TCP connections, and whether both of their directions come.

use std::collections::HashMap;

use serde::Serialize;

use crate::address::Address;
use crate::decode::{Packet, Transport};

/// The most connections that are followed; later ones are counted as such.
const FOLLOWED_MAX: usize = 1 << 16;

/// From how many packets on a connection counts: the last words of one that ended as listening began are not it.
const PACKETS_MIN: u8 = 3;

/// What of TCP was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Directions {
    /// Connections of at least three packets that acknowledge something, so both ends have spoken.
    pub connections: u64,
    /// Those of which one direction alone was heard.
    pub one_way: u64,
    /// Packets of connections that came when no more could be followed.
    pub not_followed: u64,
}

/// Both ends of a connection, the smaller one first.
type Ends = [(Address, u16); 2];

/// What is known of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    packets: u8,
    from_smaller: bool,
    from_larger: bool,
}

/// The connections heard. The table's hash has a random key: nobody can aim at it.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    followed: HashMap<Ends, Connection>,
    directions: Directions,
}

impl Conversations {
    pub(super) fn take(&mut self, packet: &Packet<'_>) {
        let Transport::Tcp { source_port, destination_port, flags } = packet.transport else {
            return;
        };
        // Only a packet that answers one proves that there was one: a scan without an answer is no one-way mirror. A reset can be
        // the answer to a forged packet.
        if flags & ACK == 0 || flags & RST != 0 {
            return;
        }
        let (from, to) = ((packet.source, source_port), (packet.destination, destination_port));
        let is_from_smaller = from <= to;
        let ends = if is_from_smaller { [from, to] } else { [to, from] };
        if self.followed.len() >= FOLLOWED_MAX && !self.followed.contains_key(&ends) {
            self.directions.not_followed += 1;
            return;
        }
        let connection = self.followed.entry(ends).or_default();
        connection.take(is_from_smaller, &mut self.directions);
    }

    pub(super) const fn directions(&self) -> Directions {
        self.directions
    }
}

impl Connection {
    fn take(&mut self, is_from_smaller: bool, directions: &mut Directions) {
        let was_one_way = self.packets >= PACKETS_MIN && !self.is_heard_both_ways();
        if is_from_smaller {
            self.from_smaller = true;
        } else {
            self.from_larger = true;
        }
        self.packets = self.packets.saturating_add(1);
        if self.packets == PACKETS_MIN {
            directions.connections += 1;
            directions.one_way += u64::from(!self.is_heard_both_ways());
        } else if was_one_way && self.is_heard_both_ways() {
            directions.one_way -= 1;
        }
    }

    const fn is_heard_both_ways(self) -> bool {
        self.from_smaller && self.from_larger
    }
}

const RST: u8 = 4;
const ACK: u8 = 16;
