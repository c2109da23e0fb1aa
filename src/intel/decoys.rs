//! Decoys: addresses that nobody has a reason to talk to, so that whoever does is of interest.

use crate::address::Address;
use crate::decode::Packet;

/// How many decoys there can be: a source's visits are kept as one bit each.
pub const DECOYS_MAX: usize = 64;

/// One decoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoy {
    /// Its address.
    pub address: Address,
    /// The one port that is a decoy; every port when there is none.
    pub port: Option<u16>,
    /// What the operator calls it.
    pub name: String,
}

/// The decoys of one detection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoys {
    decoys: Vec<Decoy>,
    /// One bit for each value that the last six bits of a decoy's address take: nearly every packet is told apart by it.
    last_bits: u64,
}

impl Decoys {
    /// The first [`DECOYS_MAX`] of `decoys`; the configuration refuses more.
    #[must_use]
    pub fn new(mut decoys: Vec<Decoy>) -> Self {
        decoys.truncate(DECOYS_MAX);
        let last_bits = decoys.iter().fold(0, |bits, decoy| bits | last_bits(decoy.address));
        Self { decoys, last_bits }
    }

    /// The decoy that `packet` is sent to, as an index + 1; 0 for none. The first that fits counts.
    #[must_use]
    pub fn touched_by(&self, packet: &Packet<'_>) -> u8 {
        if self.last_bits & last_bits(packet.destination) == 0 {
            return 0;
        }
        let port = packet.transport.ports().map(|(_, destination)| destination);
        let touched = |decoy: &Decoy| {
            decoy.address == packet.destination && (decoy.port.is_none() || decoy.port == port)
        };
        self.decoys
            .iter()
            .position(touched)
            .and_then(|index| u8::try_from(index + 1).ok())
            .unwrap_or(0)
    }

    /// The decoy that `address` is on every port, as an index + 1; 0 for none. For addresses whose port is not known.
    #[must_use]
    pub fn named(&self, address: Address) -> u8 {
        let is_it = |decoy: &Decoy| decoy.port.is_none() && decoy.address == address;
        self.decoys
            .iter()
            .position(is_it)
            .and_then(|index| u8::try_from(index + 1).ok())
            .unwrap_or(0)
    }

    /// All decoys, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[Decoy] {
        &self.decoys
    }
}

const fn last_bits(address: Address) -> u64 {
    1 << (address.octets()[15] & 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Transport;
    use crate::time::Timestamp;

    fn decoy(last: u8, port: Option<u16>) -> Decoy {
        Decoy { address: Address::v4([192, 0, 2, last]), port, name: format!("decoy {last}") }
    }

    fn touched(decoys: &Decoys, last: u8, port: u16) -> u8 {
        decoys.touched_by(&Packet {
            sequence: 1,
            time: Timestamp::EPOCH,
            source: Address::v4([198, 51, 100, 1]),
            destination: Address::v4([192, 0, 2, last]),
            protocol: 17,
            ttl: 64,
            length: 28,
            wire_length: 42,
            vlan: None,
            tunnels: 0,
            carriers: [None; 2],
            transport: Transport::Udp { source_port: 1, destination_port: port },
            payload: &[],
        })
    }

    #[test]
    fn a_decoy_with_a_port_is_touched_on_that_port_alone() {
        let decoys = Decoys::new(vec![decoy(1, Some(22)), decoy(2, None)]);
        assert_eq!(touched(&decoys, 1, 22), 1);
        assert_eq!(touched(&decoys, 1, 23), 0);
        assert_eq!(touched(&decoys, 2, 23), 2);
        assert_eq!(touched(&decoys, 66, 23), 0, "the same last six bits, another address");
    }

    #[test]
    fn without_decoys_nothing_is_touched() {
        assert_eq!(touched(&Decoys::default(), 1, 22), 0);
    }

    #[test]
    fn there_are_never_more_than_the_bits_of_a_source() {
        let decoys = Decoys::new((0..100).map(|last| decoy(last, None)).collect());
        assert_eq!(decoys.all().len(), DECOYS_MAX);
        assert_eq!(touched(&decoys, 63, 1), 64);
        assert_eq!(touched(&decoys, 64, 1), 0);
    }
}
