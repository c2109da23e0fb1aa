//! What a rule asks of a packet's headers.

use super::intervals::Intervals;
use super::number::NumberTest;
use crate::decode::{Packet, Transport};

/// All that a rule asks of the headers and of the payload's length.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) protocol: Protocol,
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    /// `<>`: source and destination may change places.
    pub(super) both_ways: bool,
    pub(super) flags: Option<FlagsTest>,
    pub(super) payload_length: Option<NumberTest>,
    pub(super) ttl: Option<NumberTest>,
    pub(super) icmp_type: Option<NumberTest>,
    pub(super) icmp_code: Option<NumberTest>,
    pub(super) flow: FlowTest,
}

impl Condition {
    /// Whether all of it holds.
    #[cfg(test)]
    pub(super) fn holds(&self, packet: &Packet<'_>) -> bool {
        self.rest_holds(packet, Settled::NOTHING)
    }

    /// Whether what is not settled holds.
    pub(super) fn rest_holds(&self, packet: &Packet<'_>, settled: Settled) -> bool {
        (settled.transport || (self.protocol.holds(packet) && self.transport_holds(packet)))
            && (settled.endpoints || self.endpoints_hold(packet))
            && (settled.lengths || self.lengths_hold(packet))
            && self.flow.holds(packet)
    }

    /// What every packet fulfils that this is tried on: it came by a lane that takes this transport and asks for these ports, and, where
    /// the rule has no content to look for, for these TCP flags.
    pub(super) fn settled(&self, is_searched: bool) -> Settled {
        // A packet of the lanes of TCP and UDP has ports; one of the others is taken for one of port 0.
        let lane_settles = matches!(self.protocol, Protocol::Tcp | Protocol::Udp);
        let flags_settled =
            self.flags.is_none() || (!is_searched && self.protocol == Protocol::Tcp);
        let (source, destination) = (&self.source, &self.destination);
        let names = [source.ports.is_some(), destination.ports.is_some()];
        // One search may have to do for the contents of all ports.
        let ports_settled = if is_searched { names == [false; 2] } else { names != [true; 2] };
        Settled {
            transport: lane_settles
                && flags_settled
                && self.icmp_type.is_none()
                && self.icmp_code.is_none(),
            endpoints: lane_settles
                && !self.both_ways
                && ports_settled
                && source.addresses.is_none()
                && destination.addresses.is_none(),
            lengths: self.ttl.is_none() && self.payload_length.is_none(),
        }
    }

    fn lengths_hold(&self, packet: &Packet<'_>) -> bool {
        self.ttl.is_none_or(|test| test.holds(packet.ttl.into()))
            && self.payload_length.is_none_or(|test| {
                test.holds(u32::try_from(packet.payload.len()).unwrap_or(u32::MAX))
            })
    }

    fn transport_holds(&self, packet: &Packet<'_>) -> bool {
        let flags_hold = match (&self.flags, packet.transport) {
            (None, _) => true,
            (Some(test), Transport::Tcp { flags, .. }) => test.holds(flags),
            (Some(_), _) => false,
        };
        let icmp_holds = |test: Option<NumberTest>, pick: fn(u8, u8) -> u8| match packet.transport {
            Transport::Icmp { kind, code } => test.is_none_or(|t| t.holds(pick(kind, code).into())),
            _ => test.is_none(),
        };
        flags_hold
            && icmp_holds(self.icmp_type, |kind, _| kind)
            && icmp_holds(self.icmp_code, |_, code| code)
    }

    fn endpoints_hold(&self, packet: &Packet<'_>) -> bool {
        let (from, to) = match packet.transport.ports() {
            Some((from, to)) => (Some(from), Some(to)),
            None => (None, None),
        };
        let source = (packet.source.as_u128(), from);
        let destination = (packet.destination.as_u128(), to);
        let forward = self.source.holds(source) && self.destination.holds(destination);
        forward
            || (self.both_ways && self.source.holds(destination) && self.destination.holds(source))
    }
}

/// What of a condition needs no look any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    transport: bool,
    endpoints: bool,
    lengths: bool,
}

impl Settled {
    #[cfg(test)]
    const NOTHING: Self = Self { transport: false, endpoints: false, lengths: false };
}

/// The protocol that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Ip,
    Ipv4,
    Ipv6,
    Tcp,
    Udp,
    Icmp,
    Icmpv4,
    Icmpv6,
}

impl Protocol {
    /// The protocol as rules write it; `None` for one that is not matched by packet and header.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ip" => Self::Ip,
            "ip4" | "ipv4" => Self::Ipv4,
            "ip6" | "ipv6" => Self::Ipv6,
            "tcp" | "tcp-pkt" => Self::Tcp,
            "udp" => Self::Udp,
            "icmp" => Self::Icmp,
            "icmpv4" => Self::Icmpv4,
            "icmpv6" => Self::Icmpv6,
            _ => return None,
        })
    }

    pub(super) const fn is_icmp(self) -> bool {
        matches!(self, Self::Icmp | Self::Icmpv4 | Self::Icmpv6)
    }

    fn holds(self, packet: &Packet<'_>) -> bool {
        match self {
            Self::Ip => true,
            Self::Ipv4 => packet.source.is_v4(),
            Self::Ipv6 => !packet.source.is_v4(),
            Self::Tcp => matches!(packet.transport, Transport::Tcp { .. }),
            Self::Udp => matches!(packet.transport, Transport::Udp { .. }),
            Self::Icmp => matches!(packet.transport, Transport::Icmp { .. }),
            Self::Icmpv4 => {
                matches!(packet.transport, Transport::Icmp { .. }) && packet.protocol == ICMP
            }
            Self::Icmpv6 => {
                matches!(packet.transport, Transport::Icmp { .. }) && packet.protocol == ICMPV6
            }
        }
    }
}

/// IANA protocol numbers.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Addresses and ports of one side; `None` stands for any.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    pub(super) addresses: Option<Intervals<u128>>,
    pub(super) ports: Option<Intervals<u16>>,
}

impl Endpoint {
    /// A packet without ports is at no port: it passes only where any port does.
    fn holds(&self, (address, port): (u128, Option<u16>)) -> bool {
        let port_holds = match (&self.ports, port) {
            (None, _) => true,
            (Some(ports), Some(port)) => ports.contains(port),
            (Some(_), None) => false,
        };
        port_holds && self.addresses.as_ref().is_none_or(|set| set.contains(address))
    }
}

/// A test of the eight TCP flags, as the set of flag bytes that pass it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FlagsTest([u128; 2]);

impl std::fmt::Debug for FlagsTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FlagsTest({:032x}{:032x})", self.0[0], self.0[1])
    }
}

impl FlagsTest {
    /// The flag bytes for which `passes` holds.
    fn of(passes: impl Fn(u8) -> bool) -> Self {
        let half = |from: u8| {
            (0..128).filter(|at| passes(from + at)).fold(0_u128, |bits, at| bits | (1 << at))
        };
        Self([half(0), half(128)])
    }

    pub(super) const fn holds(self, flags: u8) -> bool {
        let [low, high] = self.0;
        let half = if flags < 128 { low } else { high };
        half >> (flags & 127) & 1 == 1
    }

    /// Reads Suricata's `flags`: an optional modifier (`+` these and any others, `*` any of these, `!` not all of these), the
    /// flags (`FSRPAUCE12`, or `0` for none), and behind a comma the flags that are ignored.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (wanted, ignored) = text.split_once(',').unwrap_or((text, ""));
        let wanted = wanted.trim();
        let (modifier, letters) = match wanted.strip_prefix(['+', '*', '!']) {
            Some(rest) => (wanted.chars().next(), rest.trim()),
            None => match wanted.strip_suffix(['+', '*', '!']) {
                Some(rest) => (wanted.chars().next_back(), rest.trim()),
                None => (None, wanted),
            },
        };
        let wanted = if letters == "0" { 0 } else { flag_bits(letters)? };
        let seen = if text.contains(',') { !flag_bits(ignored.trim())? } else { u8::MAX };
        if wanted == 0 {
            // Unlike Suricata, which forgets the ignored flags where none is wanted, `0,12` leaves ECN bits out of it.
            let none_set = modifier != Some('!');
            return Ok(Self::of(|flags| (flags & seen == 0) == none_set));
        }
        Ok(Self::of(|flags| {
            let flags = flags & seen;
            match modifier {
                Some('+') => flags & wanted == wanted,
                Some('*') => flags & wanted != 0,
                Some('!') => flags & wanted != wanted,
                _ => flags == wanted,
            }
        }))
    }
}

fn flag_bits(letters: &str) -> Result<u8, String> {
    if letters.is_empty() {
        return Err("it names no flag; write some of F S R P A U C E, or 0 for none".to_owned());
    }
    letters.chars().try_fold(0, |bits, letter| {
        let bit = match letter.to_ascii_uppercase() {
            'F' => 1,
            'S' => 2,
            'R' => 4,
            'P' => 8,
            'A' => 16,
            'U' => 32,
            'E' | '2' => 64,
            'C' | '1' => 128,
            _ => return Err(format!("\"{letter}\" is no flag; write some of F S R P A U C E")),
        };
        Ok(bits | bit)
    })
}

/// What a rule asks of the flow, as far as one packet shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FlowTest {
    pub(super) direction: Option<Direction>,
    pub(super) established: Option<bool>,
}

impl FlowTest {
    fn holds(self, packet: &Packet<'_>) -> bool {
        self.direction.is_none_or(|wanted| Direction::of(packet).is_none_or(|is| is == wanted))
            && self.established.is_none_or(|wanted| wanted == looks_established(packet))
    }
}

/// A segment of a running TCP connection has ACK and neither SYN nor RST; other protocols have no handshake to wait for.
fn looks_established(packet: &Packet<'_>) -> bool {
    match packet.transport {
        Transport::Tcp { flags, .. } => flags & (SYN | RST | ACK) == ACK,
        _ => true,
    }
}

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Which side of a conversation sent a packet, judged by the packet alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The client sent it (`to_server`, `from_client`).
    ToServer,
    /// The server sent it (`to_client`, `from_server`).
    ToClient,
}

impl Direction {
    /// Who sent the packet. SYN without ACK comes from the client, SYN with ACK from the server. Otherwise the server is at
    /// the port of a service: below 1024, or one of a short list of well-known higher ones. If that is so of both or neither,
    /// it is at the lower port. `None` where nothing tells: without ports, or with equal ones.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        if let Transport::Tcp { flags, .. } = packet.transport
            && flags & SYN != 0
        {
            return Some(if flags & ACK == 0 { Self::ToServer } else { Self::ToClient });
        }
        let (from, to) = packet.transport.ports()?;
        match (is_service(from), is_service(to)) {
            (true, false) => Some(Self::ToClient),
            (false, true) => Some(Self::ToServer),
            _ if from == to => None,
            _ => Some(if to < from { Self::ToServer } else { Self::ToClient }),
        }
    }
}

fn is_service(port: u16) -> bool {
    port < 1024 || SERVICES.binary_search(&port).is_ok()
}

/// Services above 1023 that older systems' clients, whose ports begin at 1025, would otherwise be taken for.
const SERVICES: [u16; 33] = [
    1433, 1521, 1883, 1900, 2049, 2121, 2222, 2525, 3128, 3306, 3389, 5060, 5353, 5432, 5900, 5985,
    6379, 6667, 8000, 8008, 8080, 8081, 8443, 8883, 8888, 9090, 9100, 9200, 11211, 20000, 27017,
    44818, 47808,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::packet;

    #[test]
    fn flags_are_read_as_suricata_reads_them() {
        let table: [(&str, &[u8], &[u8]); 10] = [
            ("S", &[2], &[0, 18, 66]),
            ("S,12", &[2, 66, 130, 194], &[18, 6]),
            ("S,CE", &[2, 194], &[18]),
            ("SA", &[18], &[2, 16]),
            ("SF+", &[3, 19, 255], &[1, 2]),
            ("+SF", &[3, 19], &[1, 2]),
            ("*SF", &[1, 2, 19], &[16, 0]),
            ("!SF", &[0, 1, 2], &[3, 255]),
            ("0", &[0], &[1, 64]),
            ("FPU,12", &[41, 105], &[40, 57]),
        ];
        for (text, inside, outside) in table {
            let test = FlagsTest::read(text).unwrap();
            assert!(inside.iter().all(|&flags| test.holds(flags)), "{text}");
            assert!(!outside.iter().any(|&flags| test.holds(flags)), "{text}");
        }
        for text in ["", "X", "+", "S,", "S,X", "++S", ",S"] {
            assert!(FlagsTest::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_server_is_at_the_port_of_the_service() {
        let tcp = |source_port, destination_port, flags| Transport::Tcp {
            source_port,
            destination_port,
            flags,
        };
        let table = [
            (tcp(1050, 8080, 24), Some(Direction::ToServer)),
            (tcp(8080, 1050, 24), Some(Direction::ToClient)),
            (tcp(80, 40000, 24), Some(Direction::ToClient)),
            (tcp(40000, 50000, 24), Some(Direction::ToClient)),
            (tcp(40000, 50000, 2), Some(Direction::ToServer)),
            (tcp(40000, 50000, 18), Some(Direction::ToClient)),
            (tcp(53, 22, 24), Some(Direction::ToServer)),
            (Transport::Udp { source_port: 123, destination_port: 123 }, None),
            (Transport::LaterFragment, None),
        ];
        for (transport, direction) in table {
            assert_eq!(Direction::of(&packet(transport, b"")), direction, "{transport:?}");
        }
        assert!(SERVICES.is_sorted());
    }
}
