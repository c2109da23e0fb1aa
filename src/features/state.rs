//! Everything that is remembered of one source, and how a packet is measured against it.

use std::mem::offset_of;
use std::num::NonZeroU16;

use super::destinations::Destinations;
use super::deviation::Habits;
use super::rates::Rates;
use super::reputation::{PacketEvidence, Record, Reputation, Standing};
use super::{FeatureVector, Meter, nearest_f32, real};
use crate::address::Address;
use crate::handover::{Digest, Marks};
use crate::sources::{Resident, Worth};
use crate::time::Timestamp;

/// One source during one session: a fixed number of bytes, what every packet touches first.
///
/// The default is a source that has sent nothing. Ending a session after silence is for
/// [`Table`](crate::sources::Table); a state on its own goes on for ever.
///
/// Most sources of a flood from forged addresses send a single packet. Of one without evidence only what the first fields hold is noted;
/// all that follows from it is worked out when there is a second packet.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SourceState {
    first: Timestamp,
    last: Timestamp,
    packets: u64,
    /// Where the last packet went: most go where the one before went, and then nothing needs to be hashed.
    last_destination: Address,
    /// Where the first packet is only noted: its length. Nothing below holds anything then.
    noted: Option<NonZeroU16>,
    /// How many different destinations there are.
    distinct: u32,
    /// Bit `n` for decoy `n`.
    decoys: u64,
    rates: Rates,
    habits: Habits,
    reputation: Reputation,
    destinations: Destinations,
    record: Record,
}

const _: () = assert!(
    size_of::<SourceState>() <= 9 * 64 - 24,
    "with its key a source fills nine cache lines: a million in 550 MiB"
);

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
        if self.packets == 0 {
            return self.begin(digest, evidence, meter);
        }
        if let Some(length) = self.noted.take() {
            self.remember_first(u32::from(length.get()), &PacketEvidence::default(), meter);
        }
        let now = self.pass_time_until(digest.time);
        let standing = self.reputation.standing(&self.record);

        let earlier = self.packets;
        self.packets = self.packets.saturating_add(1);
        self.rates.count();
        self.note_destination(digest.destination, meter);
        self.note_decoy(evidence);
        self.reputation.add(&mut self.record, evidence);

        let per_minute = self.rates.per_minute();
        let per_ten_seconds = self.rates.per_ten_seconds();
        let measures = [
            f64::from(digest.length),
            meter.log_of_one_more_than(per_minute),
            meter.log_of_one_more_than(per_ten_seconds),
            meter.log_of_one_more_than(u64::from(self.distinct)),
        ];
        let z_score = self.habits.z_score(measures, earlier);
        self.habits.add(measures, self.packets);

        FeatureVector([
            nearest_f32(f64::from(digest.length)),
            protocol_encoding(digest.protocol),
            nearest_f32(real(per_minute)),
            destination_port_class(digest),
            nearest_f32(standing.threat_score),
            nearest_f32(standing.malicious_ratio),
            nearest_f32(standing.attack_frequency),
            f32::from(meter.day().is_night(now)),
            nearest_f32(real(per_ten_seconds)),
            nearest_f32(self.habits.length_variance(self.packets)),
            nearest_f32(f64::from(self.decoys.count_ones())),
            nearest_f32(now.secs_since(self.first)),
            nearest_f32(f64::from(self.distinct)),
            nearest_f32(self.rates.deviation(per_ten_seconds)),
            nearest_f32(z_score),
        ])
    }

    /// Adds the first packet and measures it: one in a minute and in ten seconds, to one destination, and nothing to compare it with.
    fn begin(
        &mut self,
        digest: &Digest,
        evidence: &PacketEvidence,
        meter: &mut Meter,
    ) -> FeatureVector {
        self.first = digest.time;
        self.last = digest.time;
        self.packets = 1;
        self.last_destination = digest.destination;
        let length = u16::try_from(digest.length).ok().and_then(NonZeroU16::new);
        self.noted = length.filter(|_| evidence.worth_if_first() == Worth::Passing);
        if self.noted.is_none() {
            self.remember_first(digest.length, evidence, meter);
        }
        FeatureVector([
            nearest_f32(f64::from(digest.length)),
            protocol_encoding(digest.protocol),
            1.0,
            destination_port_class(digest),
            nearest_f32(Standing::CLEAN.threat_score),
            nearest_f32(Standing::CLEAN.malicious_ratio),
            nearest_f32(Standing::CLEAN.attack_frequency),
            f32::from(meter.day().is_night(digest.time)),
            1.0,
            0.0,
            if evidence.touched_decoy().is_some() { 1.0 } else { 0.0 },
            0.0,
            1.0,
            0.0,
            0.0,
        ])
    }

    /// Sets everything that follows from the first packet, whose length was `length`.
    fn remember_first(&mut self, length: u32, evidence: &PacketEvidence, meter: &Meter) {
        self.distinct = self.destinations.add(0, meter.destination_hash(self.last_destination));
        self.decoys = 0;
        self.note_decoy(evidence);
        self.rates = Rates::beginning_at(self.first);
        self.rates.count();
        self.reputation = Reputation::default();
        self.reputation.add(&mut self.record, evidence);
        let one = meter.log_of_one_more_than(1);
        self.habits = Habits::default();
        self.habits.add([f64::from(length), one, one, one], 1);
    }

    /// Brings everything that depends on time up to `stated`, or to the last packet if that was later: that moment.
    fn pass_time_until(&mut self, stated: Timestamp) -> Timestamp {
        let now = stated.max(self.last);
        self.rates.advance(self.last, now);
        self.reputation.fade(&mut self.record, now.nanos_since(self.last));
        self.last = now;
        now
    }

    fn note_destination(&mut self, destination: Address, meter: &Meter) {
        if destination != self.last_destination {
            let hash = meter.destination_hash(destination);
            self.distinct = self.destinations.add(self.distinct, hash);
            self.last_destination = destination;
        }
    }

    fn note_decoy(&mut self, evidence: &PacketEvidence) {
        if let Some(nth) = evidence.touched_decoy() {
            self.decoys |= 1 << nth;
        }
    }
}

impl Resident for SourceState {
    /// Up to the destinations, the first of them included: few packets go elsewhere than the one before, fewer have a record.
    const HOT_BYTES: usize = offset_of!(Self, destinations) + 24;

    const FIRST_BYTES: usize = offset_of!(Self, distinct);

    fn last_seen(&self) -> Timestamp {
        self.last
    }

    fn worth(&self) -> Worth {
        let is_noted = self.noted.is_some();
        let incriminated = !is_noted && (self.reputation.is_marked() || self.decoys != 0);
        match (incriminated, self.packets > 1) {
            (false, false) => Worth::Passing,
            (false, true) => Worth::Returned,
            (true, false) => Worth::Suspect,
            (true, true) => Worth::Known,
        }
    }

    /// A first packet sets whatever is read after it.
    fn forget(&mut self) {
        self.packets = 0;
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
