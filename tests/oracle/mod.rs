//! The 15 features, measured the slow and obvious way: every packet is measured by looking at all earlier packets of its
//! session again. No buckets, no running sums, no sketches, and no code of the product but the types that flow.
//!
//! Costs time in proportion to the square of a session's packets.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::cast_possible_truncation, reason = "features are f32")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use phantomnet::address::Address;
use phantomnet::features::{Feature, FeatureVector, PacketEvidence, SCHEMA, index};
use phantomnet::handover::{Digest, Marks};

/// What an operator may choose.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    /// Leading bits of an IPv6 address that make a source.
    pub(crate) v6_prefix: u32,
    /// Whether VLANs are tenants.
    pub(crate) by_tenant: bool,
    /// Where the night of feature 8 is.
    pub(crate) zone: TimeZone,
}

/// What one packet's features have to be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The features; feature 13 is the exact count.
    pub(crate) vector: FeatureVector,
    /// The four z-scores of which feature 15 is the one of largest magnitude; empty while it is 0 by definition.
    pub(crate) rivals: Vec<f64>,
}

impl Oracle {
    /// Measures `packets` in their order. Never ends a session but by silence: the table has to be large enough.
    ///
    /// Feature 15 rests on feature 13, which is estimated above eight: `estimates` gives what the product said, one for
    /// each packet; without it the exact count is used, and feature 15 then differs a little for busy sources.
    pub(crate) fn measure(
        &self,
        packets: &[(Digest, PacketEvidence)],
        estimates: Option<&[f32]>,
    ) -> Vec<Expected> {
        let mut sessions: BTreeMap<(u128, u16), Session> = BTreeMap::new();
        let mut expected = Vec::with_capacity(packets.len());
        for (nth, (digest, evidence)) in packets.iter().enumerate() {
            let session = sessions.entry(self.source_of(digest)).or_default();
            let estimate = estimates.map(|estimates| f64::from(estimates[nth]));
            expected.push(session.measure(digest, evidence, estimate, &self.zone));
        }
        expected
    }

    fn source_of(&self, digest: &Digest) -> (u128, u16) {
        let address = digest.source.as_u128();
        let dropped = 128 - self.v6_prefix;
        let network = if digest.source.is_v4() {
            address
        } else {
            address.checked_shr(dropped).unwrap_or(0).checked_shl(dropped).unwrap_or(0)
        };
        (network, if self.by_tenant { digest.vlan } else { 0 })
    }
}

impl Expected {
    /// Whether `actual` is right: exact where features are whole numbers, to 1e-5 elsewhere, and for feature 13 exact up to
    /// eight and within 35 % above, which is more than five standard errors.
    pub(crate) fn check(&self, actual: &FeatureVector) -> Result<(), String> {
        let FeatureVector(expected) = self.vector;
        for (nth, (actual, expected)) in actual.0.into_iter().zip(expected).enumerate() {
            if !self.is_right(nth, actual, expected) {
                let Feature { name, .. } = SCHEMA[nth];
                return Err(format!(
                    "{name}: measured {actual}, should be {expected}, rivals {:?}",
                    self.rivals
                ));
            }
        }
        Ok(())
    }

    fn is_right(&self, feature: usize, actual: f32, expected: f32) -> bool {
        let is_close = |expected: f64| {
            let difference = (f64::from(actual) - expected).abs();
            difference <= 1e-5 * expected.abs() + 1e-9
        };
        match feature {
            index::THREAT_SCORE
            | index::MALICIOUS_FLAG_RATIO
            | index::ATTACK_TYPE_FREQUENCY
            | index::SESSION_DURATION_ESTIMATE => is_close(f64::from(expected)),
            index::PACKET_SIZE_VARIANCE | index::ROLLING_AVERAGE_DEVIATION => {
                is_close(f64::from(expected)) || (actual - expected).abs() <= 1e-6
            }
            index::UNIQUE_DESTINATION_COUNT if expected > 8.0 => {
                actual >= 9.0 && (actual / expected - 1.0).abs() <= 0.35
            }
            index::Z_SCORE_ANOMALY => {
                // Of two rivals of the same magnitude and opposite sign, rounding decides.
                let largest = self.rivals.iter().fold(0.0_f64, |z, rival| z.max(rival.abs()));
                let contenders = self.rivals.iter().filter(|rival| rival.abs() >= largest - 1e-5);
                contenders.chain(&[f64::from(expected)]).any(|z| {
                    let z = z.clamp(-10.0, 10.0);
                    is_close(z) || (f64::from(actual) - z).abs() <= 1e-5
                })
            }
            _ => actual.to_bits() == expected.to_bits(),
        }
    }
}

/// One earlier packet.
#[derive(Clone, Debug)]
struct Seen {
    nanos: i64,
    evidence: PacketEvidence,
    /// Length, and ln(1 + f) of features 3, 9 and 13.
    measures: [f64; 4],
}

/// All packets since the source was last silent for more than 300 seconds.
#[derive(Clone, Debug, Default)]
struct Session {
    seen: Vec<Seen>,
    destinations: BTreeSet<Address>,
    decoys: BTreeSet<u8>,
}

const SECOND: i64 = 1_000_000_000;

impl Session {
    fn measure(
        &mut self,
        digest: &Digest,
        evidence: &PacketEvidence,
        estimate: Option<f64>,
        zone: &TimeZone,
    ) -> Expected {
        let stated = digest.time.as_nanos();
        let last = self.seen.last().map_or(stated, |seen| seen.nanos);
        if i128::from(stated) - i128::from(last) > 300 * i128::from(SECOND) {
            *self = Self::default();
        }
        let now = stated.max(self.seen.last().map_or(i64::MIN, |seen| seen.nanos));
        self.destinations.insert(digest.destination);
        if (1..=64).contains(&evidence.decoy) {
            self.decoys.insert(evidence.decoy);
        }

        let per_minute = 1 + self.packets_in_buckets(now, 5, 12);
        let per_ten_seconds = 1 + self.packets_in_buckets(now, 1, 10);
        let distinct = self.destinations.len();
        let ln_1p = |count: f64| (1.0 + count).ln();
        let measures = [
            f64::from(digest.length),
            ln_1p(per_minute as f64),
            ln_1p(per_ten_seconds as f64),
            ln_1p(estimate.unwrap_or(distinct as f64)),
        ];
        let rivals = self.z_scores(measures);
        let z = rivals.iter().copied().fold(0.0_f64, |a, b| if b.abs() > a.abs() { b } else { a });
        let first = self.seen.first().map_or(now, |seen| seen.nanos);

        let threat = self.threat(now);
        let ratio = self.malicious_ratio(now);
        let frequency = self.attack_frequency(now);
        let deviation = self.deviation(now, per_ten_seconds);
        let vector = FeatureVector([
            digest.length as f32,
            match digest.protocol {
                6 => 1.0,
                17 => 2.0,
                1 | 58 => 3.0,
                _ => 0.0,
            },
            per_minute as f32,
            match (digest.marks.has(Marks::PORTS), digest.destination_port) {
                (false, _) => 0.0,
                (true, 0..1024) => 1.0,
                (true, 1024..49152) => 2.0,
                (true, 49152..) => 3.0,
            },
            threat as f32,
            ratio as f32,
            frequency as f32,
            if (6..=22).contains(&hour(now, zone)) { 0.0 } else { 1.0 },
            per_ten_seconds as f32,
            self.length_variance(digest.length) as f32,
            self.decoys.len() as f32,
            ((i128::from(now) - i128::from(first)) as f64 / SECOND as f64) as f32,
            distinct as f32,
            deviation as f32,
            z.clamp(-10.0, 10.0) as f32,
        ]);
        self.seen.push(Seen { nanos: now, evidence: *evidence, measures });
        Expected { vector, rivals }
    }

    /// Earlier packets in the bucket of `now` and those before it, `buckets` in all.
    fn packets_in_buckets(&self, now: i64, bucket_secs: i64, buckets: i64) -> usize {
        let bucket = |nanos: i64| nanos.div_euclid(bucket_secs * SECOND);
        self.seen.iter().filter(|seen| bucket(seen.nanos) > bucket(now) - buckets).count()
    }

    /// `R`: what is left of each packet's evidence, the largest.
    fn threat(&self, now: i64) -> f64 {
        let left = self.seen.iter().map(|seen| {
            let rule = clean(seen.evidence.rule_risk);
            let intel = clean(seen.evidence.intel_risk);
            (0.3 * rule + 0.5 * intel) / 0.8 * half_lives(now, seen.nanos, 60.0)
        });
        left.fold(0.0, f64::max)
    }

    /// `M / (N + 8)`.
    fn malicious_ratio(&self, now: i64) -> f64 {
        let weigh = |counts: &dyn Fn(&PacketEvidence) -> bool| -> f64 {
            let counted = self.seen.iter().filter(|seen| counts(&seen.evidence));
            counted.map(|seen| half_lives(now, seen.nanos, 600.0)).sum()
        };
        weigh(&|e| e.rule_risk >= 60.0 || e.intel_risk > 0.0) / (weigh(&|_| true) + 8.0)
    }

    fn attack_frequency(&self, now: i64) -> f64 {
        let of_class = |class: u16| -> f64 {
            let hits = self.seen.iter().filter(|seen| seen.evidence.classes & (1 << class) != 0);
            hits.map(|seen| half_lives(now, seen.nanos, 600.0)).sum()
        };
        (0..16).map(of_class).fold(0.0, f64::max)
    }

    /// `6 * burst - mu`, where the newest finished bucket weighs 1 and each before it 2^(-1/360) less.
    fn deviation(&self, now: i64, per_ten_seconds: usize) -> f64 {
        let bucket = |nanos: i64| nanos.div_euclid(10 * SECOND);
        let first = self.seen.first().map_or(now, |seen| seen.nanos);
        if bucket(first) == bucket(now) {
            return 0.0;
        }
        let weight = |age: i64| 2.0_f64.powf(-((bucket(now) - 1 - age) as f64) * 10.0 / 3600.0);
        let total: f64 = (bucket(first)..bucket(now)).map(weight).sum();
        let rates: f64 = self
            .seen
            .iter()
            .filter(|seen| bucket(seen.nanos) < bucket(now))
            .map(|seen| 6.0 * weight(bucket(seen.nanos)))
            .sum();
        6.0 * per_ten_seconds as f64 - rates / total
    }

    fn length_variance(&self, length: u32) -> f64 {
        let lengths = self.seen.iter().map(|seen| seen.measures[0]).chain([f64::from(length)]);
        sample_variance(&lengths.collect::<Vec<_>>())
    }

    fn z_scores(&self, values: [f64; 4]) -> Vec<f64> {
        if self.seen.len() < 8 {
            return Vec::new();
        }
        let z = |nth: usize| {
            let earlier: Vec<f64> = self.seen.iter().map(|seen| seen.measures[nth]).collect();
            let floor = [1.0, 0.05, 0.05, 0.05][nth];
            (values[nth] - mean(&earlier)) / sample_variance(&earlier).sqrt().max(floor)
        };
        (0..4).map(z).collect()
    }
}

fn clean(risk: f32) -> f64 {
    if risk.is_nan() { 0.0 } else { f64::from(risk).clamp(0.0, 100.0) }
}

/// What is left at `now` of 1 that was there `then`.
fn half_lives(now: i64, then: i64, half_life_secs: f64) -> f64 {
    0.5_f64.powf((now - then) as f64 / SECOND as f64 / half_life_secs)
}

fn hour(nanos: i64, zone: &TimeZone) -> i8 {
    jiff::Timestamp::from_nanosecond(nanos.into()).unwrap().to_zoned(zone.clone()).hour()
}

fn mean(values: &[f64]) -> f64 {
    // Summed as distances from the first, so that equal values have exactly themselves as their mean.
    values[0] + values.iter().map(|value| value - values[0]).sum::<f64>() / values.len() as f64
}

fn sample_variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}
