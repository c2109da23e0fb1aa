//! Batches to feed stores with: [`Stream`] makes large ones from a seed, [`streams`] any that a collector could make.

#![cfg(test)]

mod strategies;

use phantomnet::address::Address;
use phantomnet::event::{
    Batch, DetectionRecord, Epoch, Event, Incident, Marker, MarkerKind, Merged, ProfileChange,
    Session, SessionState, Side, StageSum, Totals,
};
use phantomnet::features::FeatureVector;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Floor, Level};

pub(crate) use strategies::streams;

/// When the first packet of every stream passes: 2026-09-21T14:13:20Z.
pub(crate) const BEGIN: Timestamp = Timestamp::from_secs(1_790_000_000);

/// Microseconds of a whole stream's packets lie this far apart on average.
const STEP_MICROS: u64 = 50;

/// For how many packets each one stands that a SAFE event counts.
const SAFE_WEIGHT: u64 = 1_000;

/// One epoch of a sensor, batch by batch, from a seed: equal seeds, equal batches. Sources, ports and verdicts are spread as a busy
/// network's are: many packets of few sources, one event in ten notable.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    random: u64,
    pub(crate) epoch: Epoch,
    micros: u64,
    batches: u64,
    markers: u64,
    totals: Totals,
}

impl Stream {
    pub(crate) fn new(seed: u64) -> Self {
        let random = u32::try_from(seed % (1 << 20)).expect("20 bits");
        Self {
            random: seed,
            epoch: Epoch::new(BEGIN, random),
            micros: 0,
            batches: 0,
            markers: 0,
            totals: Totals::default(),
        }
    }

    /// The next batch, of so many events, with a marker at its end.
    pub(crate) fn batch(&mut self, events: usize) -> Batch {
        let kind = if self.batches == 0 { MarkerKind::Start } else { MarkerKind::Running };
        self.batch_ending(events, kind)
    }

    /// The last batch, of so many events, with the marker of an orderly end.
    pub(crate) fn end(&mut self, events: usize) -> Batch {
        self.batch_ending(events, MarkerKind::End)
    }

    fn batch_ending(&mut self, events: usize, kind: MarkerKind) -> Batch {
        self.batches += 1;
        let events: Vec<Event> = (0..events).map(|_| self.event()).collect();
        let detections = (self.batches == 1).then(detection).into_iter().collect();
        let sessions = events.iter().step_by(50).map(session).collect();
        let notable = events.iter().filter(|event| event.level > Level::Safe);
        let incidents = notable.step_by(20).map(|event| incident(event, event.number)).collect();
        let profiles = events.iter().step_by(50).filter_map(profile).collect();
        let begun = self.now();
        let marker = Marker {
            number: self.markers,
            at: begun,
            kind,
            totals: self.totals,
            stages: vec![StageSum { stage: "judge".into(), came: 7, accounted: 7 }],
        };
        self.markers += 1;
        Batch {
            sensor: "test".into(),
            epoch: self.epoch,
            number: self.batches,
            begun,
            detections,
            events,
            sessions,
            incidents,
            profiles,
            markers: vec![marker],
            leftovers: Vec::new(),
            refused: None,
        }
    }

    /// The moment that the stream has reached.
    pub(crate) fn now(&self) -> Timestamp {
        let nanos = i64::try_from(self.micros * 1000).expect("a short stream");
        BEGIN.plus_nanos(nanos)
    }

    fn event(&mut self) -> Event {
        self.micros += self.below(2 * STEP_MICROS);
        let first = self.now();
        let of_victim = self.below(200) == 0;
        let level = match self.below(100) {
            0..90 => Level::Safe,
            90..95 => Level::Warning,
            95..99 => Level::High,
            _ => Level::Critical,
        };
        let level = if of_victim { Level::High } else { level };
        let (count, alerts) =
            if of_victim { (0, 1 + self.below(3)) } else { (1 + self.below(9), 0) };
        let notable = level > Level::Safe;
        let weight = if notable { count } else { count * SAFE_WEIGHT };
        self.count(count, alerts);
        let rules = if notable { vec![1_000_001 + self.small(20)] } else { Vec::new() };
        Event {
            number: self.totals.events,
            first,
            last: first.plus_nanos(i64::from(self.small(900_000)) * 1000),
            source: (!of_victim).then(|| self.host(10)),
            destination: Some(self.host(192)),
            source_port: Some(self.port()),
            destination_port: Some(self.port() % 1024),
            icmp: None,
            protocol: if self.below(3) == 0 { 17 } else { 6 },
            vlan: 0,
            level,
            count,
            alerts,
            weight,
            bytes: count * 700,
            length: 60 + self.small(1400),
            sources: if of_victim { 40 } else { 0 },
            merged: if of_victim { Merged::Source } else { Merged::Nothing },
            total: self.share() * 100.0,
            anomaly_score: (!of_victim).then(|| self.share()),
            quantile: (!of_victim).then(|| self.share()),
            in_training_range: (!of_victim).then_some(notable),
            model_risk: self.share() * 100.0,
            rule_risk: if notable { 80.0 } else { 0.0 },
            intel_risk: 0.0,
            floor: if notable { Floor::StrongRule } else { Floor::None },
            features: (!of_victim).then(|| self.features()),
            rules,
            rules_left_out: 0,
            intel: (level == Level::Critical).then(|| ("botnet controller".into(), Side::Source)),
            decoy: None,
            reason: if notable { "rule 1000001: many ports in a short time" } else { "" }.into(),
            detection: 0x1234_5678,
            packet: self.totals.packets,
            community_id: Some(format!("1:{:027}=", self.below(1 << 40)).into()),
        }
    }

    fn count(&mut self, packets: u64, alerts: u64) {
        let totals = &mut self.totals;
        totals.events += 1;
        totals.event_packets += packets;
        totals.event_alerts += alerts;
        totals.packets += packets;
        totals.victims += alerts;
        totals.dequeued += packets + alerts;
    }

    /// Nine in ten packets are of 200 hosts, the others of 60,000.
    fn host(&mut self, net: u8) -> Address {
        let many = if self.below(10) == 0 { 60_000 } else { 200 };
        let host = u16::try_from(self.below(many)).expect("it is below 60,000");
        let [high, low] = host.to_be_bytes();
        Address::v4([net, 0, high, low])
    }

    fn features(&mut self) -> FeatureVector {
        let mut features = FeatureVector::default();
        for value in &mut features.0 {
            *value = self.share() * 1000.0;
        }
        features
    }

    fn port(&mut self) -> u16 {
        u16::try_from(self.below(1 << 16)).expect("16 bits")
    }

    fn small(&mut self, below: u32) -> u32 {
        u32::try_from(self.below(below.into())).expect("it is below a u32")
    }

    /// From 0 to 1.
    fn share(&mut self) -> f32 {
        f32::from(self.port()) / 65_535.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

pub(crate) fn detection() -> DetectionRecord {
    DetectionRecord {
        version: 0x1234_5678,
        model: "default".into(),
        sha256: "ab".repeat(32).into(),
        schema: 1,
        fingerprint: "0123456789abcdef".into(),
        offset: -0.45,
        contamination: 0.01,
        calibration_rows: 100_000,
        rules: 57,
        intel: 3,
        decoys: 1,
    }
}

/// A session that says of its source what `event` says.
pub(crate) fn session(event: &Event) -> Session {
    Session {
        number: event.number,
        source: event.source.unwrap_or(Address::v4([192, 0, 2, 1])),
        tenant: event.vlan,
        first: event.first,
        last: event.last,
        packets: event.count,
        bytes: event.bytes,
        levels: [event.count, 0, 0, 0],
        worst: event.level,
        rules: event.rules.clone(),
        state: SessionState::Open,
    }
}

/// An incident of one event.
pub(crate) fn incident(event: &Event, number: u64) -> Incident {
    Incident {
        number,
        subject: event.source,
        side: Side::Source,
        kind: "scan".into(),
        title: event.reason.clone(),
        first: event.first,
        last: event.last,
        count: event.count + event.alerts,
        events: 1,
        worst: event.level,
        worst_event: event.number,
        rules: event.rules.clone(),
    }
}

/// What an event adds to the profile of its source.
pub(crate) fn profile(event: &Event) -> Option<ProfileChange> {
    Some(ProfileChange {
        source: event.source?,
        tenant: event.vlan,
        first: event.first,
        last: event.last,
        sessions: 1,
        packets: event.count,
        bytes: event.bytes,
        levels: [event.count, 0, 0, 0],
    })
}
