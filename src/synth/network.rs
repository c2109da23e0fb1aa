//! The office, its servers, and the world outside, as a sensor on the office switch sees them.

use super::dice::{Dice, MICRO, MILLI};
use super::wire::{Hop, Mac};
use super::words::site_name;
use crate::address::Address;

/// How many sites the world outside has.
const SITES: u16 = 300;
/// How many people outside come to look at what the office offers.
const VISITORS: u16 = 500;
/// Clients that share one IPv6 network of 64 bits: a floor.
const CLIENTS_PER_FLOOR: u32 = 32;
const CLIENTS_PER_THIRD_BYTE: u32 = 200;
/// Where ephemeral ports begin and end (RFC 6335, section 6, narrowed to Linux's default start).
const EPHEMERAL_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// A host's place in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostId(u32);

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

#[derive(Clone, Debug)]
struct Host {
    mac: Mac,
    v4: Address,
    v6: Option<Address>,
    /// From the sensor to the host and back, with the host's own time, nanoseconds.
    delay: i64,
    /// Between two full segments that the host sends back to back, nanoseconds.
    gap: i64,
    /// Time to live as it stands in the host's packets at the sensor.
    ttl: u8,
    next_port: u16,
}

/// One site of the world outside.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) host: HostId,
    pub(super) name: String,
    pub(super) is_dual_stack: bool,
    /// How long an answer about it may be kept, nanoseconds.
    pub(super) keep: i64,
}

/// The servers of the office.
#[derive(Clone, Copy, Debug)]
pub(super) struct Servers {
    pub(super) gateway: HostId,
    pub(super) resolver: HostId,
    pub(super) mail: HostId,
    pub(super) web: HostId,
    pub(super) files: HostId,
    pub(super) backup: HostId,
    pub(super) ssh: HostId,
    pub(super) ftp: HostId,
    pub(super) clock: HostId,
    pub(super) monitor: HostId,
}

impl Servers {
    pub(super) const fn all(&self) -> [HostId; 10] {
        let Self { gateway, resolver, mail, web, files, backup, ssh, ftp, clock, monitor } = *self;
        [gateway, resolver, mail, web, files, backup, ssh, ftp, clock, monitor]
    }
}

/// All hosts there are.
#[derive(Clone, Debug)]
pub(super) struct Network {
    hosts: Vec<Host>,
    pub(super) servers: Servers,
    pub(super) clients: Vec<HostId>,
    pub(super) sites: Vec<Site>,
    /// A name server of the world outside, which the resolver asks.
    pub(super) upstream: HostId,
    visitors: Vec<HostId>,
    infected: u32,
    strangers: u8,
    bots: u8,
}

impl Network {
    pub(super) fn new(clients: u32, dice: &mut Dice) -> Self {
        let mut hosts = Vec::new();
        let mut server = |last: u8| {
            let v6 = v6(0x20, u32::from(last));
            join(&mut hosts, inside([10, 20, 0, last], Some(v6), 64, dice))
        };
        let servers = Servers {
            gateway: server(1),
            resolver: server(53),
            mail: server(25),
            web: server(80),
            files: server(45),
            backup: server(46),
            ssh: server(22),
            ftp: server(21),
            clock: server(123),
            monitor: server(9),
        };
        let clients = (0..clients)
            .map(|nth| {
                let [.., third] = (nth / CLIENTS_PER_THIRD_BYTE + 4).to_be_bytes();
                let [.., fourth] = (nth % CLIENTS_PER_THIRD_BYTE + 20).to_be_bytes();
                let v6 = v6(0x21 + nth / CLIENTS_PER_FLOOR, nth + 0x100);
                let ttl = if dice.chance(0.7) { 128 } else { 64 };
                join(&mut hosts, inside([10, 20, third, fourth], Some(v6), ttl, dice))
            })
            .collect();
        let sites = (0..SITES)
            .map(|nth| {
                let [high, low] = (nth + 0x0110).to_be_bytes();
                let is_dual_stack = dice.chance(0.4);
                let v6 = is_dual_stack.then(|| v6(0x1000 + u32::from(nth), 0x80));
                let host = join(&mut hosts, outside([198, 18, high, low], v6, dice));
                let keep = i64::from(dice.pick(&[30_u16, 60, 300, 300, 900, 3_600]));
                Site { host, name: site_name(nth), is_dual_stack, keep: keep * 1_000 * MILLI }
            })
            .collect();
        let visitors = (0..VISITORS)
            .map(|nth| {
                let [high, low] = (nth + 0x4010).to_be_bytes();
                join(&mut hosts, outside([198, 19, high, low], None, dice))
            })
            .collect();
        let upstream = join(&mut hosts, outside([198, 19, 0, 53], None, dice));
        Self {
            hosts,
            servers,
            clients,
            sites,
            upstream,
            visitors,
            infected: dice.below(97),
            strangers: 0,
            bots: 0,
        }
    }

    /// The next stranger who attacks on his own.
    pub(super) fn stranger(&mut self, dice: &mut Dice) -> HostId {
        self.strangers = self.strangers.wrapping_add(1);
        join(&mut self.hosts, outside([203, 0, 113, self.strangers], None, dice))
    }

    /// The next machine that takes part in a flood.
    pub(super) fn bot(&mut self, dice: &mut Dice) -> HostId {
        self.bots = self.bots.wrapping_add(1);
        join(&mut self.hosts, outside([192, 0, 2, self.bots], None, dice))
    }

    /// The next server of the world outside that an infected client talks to.
    pub(super) fn drop_point(&mut self, dice: &mut Dice) -> HostId {
        self.strangers = self.strangers.wrapping_add(1);
        join(&mut self.hosts, outside([198, 51, 100, self.strangers], None, dice))
    }

    /// The next client that obeys someone else; another one each time until all have had their turn.
    pub(super) fn infected_client(&mut self) -> HostId {
        let count = u32::try_from(self.clients.len()).unwrap_or(u32::MAX).max(1);
        let place = self.infected % count;
        self.infected = self.infected.wrapping_add(7);
        self.clients.get(place as usize).copied().unwrap_or(self.servers.files)
    }

    /// The client that has this IPv4 address.
    pub(super) fn client_at(&self, address: Address) -> Option<HostId> {
        self.clients.iter().copied().find(|&client| self.host(client).v4 == address)
    }

    /// Someone from outside who comes to the office's servers.
    pub(super) fn visitor(&self, dice: &mut Dice) -> HostId {
        dice.pick(&self.visitors)
    }

    /// A server outside that is not a site of its own: of mail, time or calls.
    pub(super) fn far_server(&self, dice: &mut Dice) -> HostId {
        let place = dice.below(u32::from(SITES)) as usize;
        self.sites.get(place).map_or(self.upstream, |site| site.host)
    }

    pub(super) fn address(&self, host: HostId, family: Family) -> Address {
        let host = self.host(host);
        match (family, host.v6) {
            (Family::V6, Some(v6)) => v6,
            _ => host.v4,
        }
    }

    pub(super) fn mac(&self, host: HostId) -> Mac {
        self.host(host).mac
    }

    /// Nanoseconds from the sensor to the host and back.
    pub(super) fn delay(&self, host: HostId) -> i64 {
        self.host(host).delay
    }

    /// Nanoseconds between two full segments on the way between two hosts: the slower one's.
    pub(super) fn gap(&self, a: HostId, b: HostId) -> i64 {
        self.host(a).gap.max(self.host(b).gap)
    }

    pub(super) fn hop(&self, from: HostId, to: HostId, family: Family, ident: u16) -> Hop {
        Hop {
            from_mac: self.mac(from),
            to_mac: self.mac(to),
            from: self.address(from, family),
            to: self.address(to, family),
            ttl: self.host(from).ttl,
            ident,
        }
    }

    /// The next port that `host` calls from. One after the other, so that no two of its open calls share one.
    pub(super) fn ephemeral_port(&mut self, host: HostId) -> u16 {
        let Some(host) = self.hosts.get_mut(host.0 as usize) else {
            return *EPHEMERAL_PORTS.start();
        };
        let port = host.next_port;
        host.next_port =
            if port >= *EPHEMERAL_PORTS.end() { *EPHEMERAL_PORTS.start() } else { port + 1 };
        port
    }

    fn host(&self, id: HostId) -> &Host {
        self.hosts
            .get(id.0 as usize)
            .expect("a HostId is made where its host joins, and hosts never leave")
    }
}

fn join(hosts: &mut Vec<Host>, host: Host) -> HostId {
    hosts.push(host);
    HostId(u32::try_from(hosts.len() - 1).expect("far fewer hosts than 2^32"))
}

fn inside(v4: [u8; 4], v6: Option<Address>, ttl: u8, dice: &mut Dice) -> Host {
    let [_, b, c, d] = v4;
    Host {
        mac: [0x02, 0x00, 0x00, b, c, d],
        v4: Address::v4(v4),
        v6,
        delay: dice.about(250 * MICRO, 0.6),
        gap: dice.about(15 * MICRO, 0.2),
        ttl,
        next_port: dice.port(*EPHEMERAL_PORTS.start(), *EPHEMERAL_PORTS.end()),
    }
}

/// A host outside: its frames carry the gateway's address.
fn outside(v4: [u8; 4], v6: Option<Address>, dice: &mut Dice) -> Host {
    let hops = dice.below(14) + 6;
    let [.., hops] = hops.to_be_bytes();
    Host {
        mac: [0x02, 0x00, 0x00, 20, 0, 1],
        v4: Address::v4(v4),
        v6,
        delay: dice.pause(25 * MILLI, 0.7).clamp(2 * MILLI, 300 * MILLI),
        gap: dice.about(250 * MICRO, 0.7),
        ttl: if dice.chance(0.8) { 64 - hops } else { 128 - hops },
        next_port: dice.port(*EPHEMERAL_PORTS.start(), *EPHEMERAL_PORTS.end()),
    }
}

/// Host `number` in network `network` of the documentation prefix 2001:db8::/32 (RFC 3849).
fn v6(network: u32, number: u32) -> Address {
    let prefix = 0x2001_0db8_u128 << 96;
    Address::v6((prefix | u128::from(network) << 64 | u128::from(number)).to_be_bytes())
}
