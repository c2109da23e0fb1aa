//! Everything that is remembered of one source, and how a packet is measured against it.

use std::mem::offset_of;

use super::destinations::Destinations;
use super::deviation::Habits;
use super::rates::Rates;
use super::reputation::{PacketEvidence, Reputation};
use super::schema::DECOYS_MAX;
use super::{FeatureVector, Meter, nearest_f32};
use crate::address::Address;
use crate::handover::{Digest, Marks};
use crate::sources::{Resident, Worth};
use crate::time::Timestamp;

/// One source during one session: a fixed number of bytes, what every packet touches first.
///
/// The default is a source that has sent nothing. Ending a session after silence is for
/// [`Table`](crate::sources::Table); a state on its own goes on for ever.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SourceState {
    first: Timestamp,
    last: Timestamp,
    packets: u64,
    /// Bit `n` for decoy `n`.
    decoys: u64,
    /// Where the last packet went: most go where the one before went, and then nothing needs to be hashed.
    last_destination: Address,
    rates: Rates,
    habits: Habits,
    destinations: Destinations,
    reputation: Reputation,
}

const _: () =
    assert!(size_of::<SourceState>() <= 512, "a million sources must fit into half a gibibyte");

impl SourceState {
    /// Adds a packet of this source and measures it.
    ///
    /// Time is clamped to be monotone: a packet stamped earlier than the one before counts as simultaneous with it.
    /// Features 5, 6, 7 and 15 say what was known *before* the packet; its own `evidence` shows from the next one on.
    pub fn observe(
        &mut self,
        digest: &Digest,
        evidence: &PacketEvidence,
        meter: &mut Meter,
    ) -> FeatureVector {
        let now = self.pass_time_until(digest.time);
        let standing = self.reputation.standing();

        let earlier = self.packets;
        self.packets = self.packets.saturating_add(1);
        self.rates.count();
        self.note_destination(digest.destination, meter);
        self.note_decoy(evidence.decoy);
        self.reputation.add(evidence);

        let per_minute = self.rates.per_minute();
        let per_ten_seconds = self.rates.per_ten_seconds();
        let destinations = self.destinations.count();
        let measures = [
            f64::from(digest.length),
            meter.log_of_one_more_than(per_minute),
            meter.log_of_one_more_than(per_ten_seconds),
            meter.log_of_one_more_than(u64::from(destinations)),
        ];
        let z_score = self.habits.z_score(measures, earlier);
        self.habits.add(measures, self.packets);

        FeatureVector([
            nearest_f32(f64::from(digest.length)),
            protocol_encoding(digest.protocol),
            nearest_f32(per_minute as f64),
            destination_port_class(digest),
            nearest_f32(standing.threat_score),
            nearest_f32(standing.malicious_ratio),
            nearest_f32(standing.attack_frequency),
            f32::from(meter.day().is_night(now)),
            nearest_f32(per_ten_seconds as f64),
            nearest_f32(self.habits.length_variance(self.packets)),
            nearest_f32(f64::from(self.decoys.count_ones())),
            nearest_f32(now.secs_since(self.first)),
            nearest_f32(f64::from(destinations)),
            nearest_f32(self.rates.deviation(per_ten_seconds)),
            nearest_f32(z_score),
        ])
    }

    /// Brings everything that depends on time up to `stated`, or to the last packet if that was later: that moment.
    fn pass_time_until(&mut self, stated: Timestamp) -> Timestamp {
        if self.packets == 0 {
            self.first = stated;
            self.last = stated;
            self.rates = Rates::beginning_at(stated);
            return stated;
        }
        let now = stated.max(self.last);
        self.rates.advance(self.last, now);
        self.reputation.fade(now.nanos_since(self.last));
        self.last = now;
        now
    }

    fn note_destination(&mut self, destination: Address, meter: &Meter) {
        let is_first = self.packets == 1;
        if is_first || destination != self.last_destination {
            self.destinations.add(meter.destination_hash(destination));
            self.last_destination = destination;
        }
    }

    fn note_decoy(&mut self, decoy: u8) {
        if let Some(nth) = usize::from(decoy).checked_sub(1)
            && nth < DECOYS_MAX
        {
            self.decoys |= 1 << nth;
        }
    }
}

impl Resident for SourceState {
    /// Up to the counters of attack classes, which few sources have.
    const HOT_BYTES: usize = offset_of!(Self, reputation) + Reputation::HOT_BYTES;

    fn last_seen(&self) -> Timestamp {
        self.last
    }

    fn worth(&self) -> Worth {
        let incriminated = self.reputation.is_marked() || self.decoys != 0;
        match (incriminated, self.packets > 1) {
            (false, false) => Worth::Passing,
            (false, true) => Worth::Returned,
            (true, false) => Worth::Suspect,
            (true, true) => Worth::Known,
        }
    }
}

/// Feature 2.
fn protocol_encoding(protocol: u8) -> f32 {
    match protocol {
        TCP => 1.0,
        UDP => 2.0,
        ICMP | ICMPV6 => 3.0,
        _ => 0.0,
    }
}

/// Feature 4.
fn destination_port_class(digest: &Digest) -> f32 {
    if !digest.marks.has(Marks::PORTS) {
        return 0.0;
    }
    match digest.destination_port {
        ..REGISTERED_PORTS => 1.0,
        REGISTERED_PORTS..DYNAMIC_PORTS => 2.0,
        DYNAMIC_PORTS.. => 3.0,
    }
}

// IANA protocol numbers.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// The first registered port (RFC 6335, section 6).
const REGISTERED_PORTS: u16 = 1024;
/// The first dynamic port (RFC 6335, section 6).
const DYNAMIC_PORTS: u16 = 49_152;
