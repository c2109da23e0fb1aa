//! Names, units and meaning of the features, and every number that their definitions rest on.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{FEATURES, Feature, SCHEMA_VERSION};
use crate::time::NANOS_PER_SECOND;

/// The features, in the order in which a [`FeatureVector`](super::FeatureVector) holds them.
///
/// A meaning that ends in "(earlier packets)" is read before the packet is added to its source, the others after.
pub const SCHEMA: [Feature; FEATURES] = [
    Feature { name: "packet_length", unit: "bytes", meaning: "length of the IP datagram" },
    Feature {
        name: "protocol_encoding",
        unit: "code",
        meaning: "TCP 1, UDP 2, ICMP and ICMPv6 3, other 0, of the innermost packet",
    },
    Feature {
        name: "source_ip_event_rate",
        unit: "packets/min",
        meaning: "packets in the current five-second bucket and the 11 before it",
    },
    Feature {
        name: "destination_port_class",
        unit: "code",
        meaning: "1 below 1024, 2 below 49152, 3 above, 0 without a port",
    },
    Feature {
        name: "threat_score",
        unit: "0-100",
        meaning: "largest evidence of rules and intelligence, each decayed to now (earlier packets)",
    },
    Feature {
        name: "malicious_flag_ratio",
        unit: "0-1",
        meaning: "decayed share of packets with a severe rule or an intelligence hit, M/(N+8) (earlier packets)",
    },
    Feature {
        name: "attack_type_frequency",
        unit: "count",
        meaning: "decayed count of the most frequent attack class among the hits (earlier packets)",
    },
    Feature {
        name: "time_of_day_deviation",
        unit: "0/1",
        meaning: "1 when the hour is below 6 or above 22 in the configured zone",
    },
    Feature {
        name: "burst_rate",
        unit: "packets/10 s",
        meaning: "packets in the current one-second bucket and the 9 before it",
    },
    Feature {
        name: "packet_size_variance",
        unit: "bytes^2",
        meaning: "sample variance of packet_length over the session, 0 below two packets",
    },
    Feature {
        name: "honeypot_interaction_count",
        unit: "count",
        meaning: "distinct decoys touched in the session",
    },
    Feature {
        name: "session_duration_estimate",
        unit: "s",
        meaning: "time since the first packet of the session",
    },
    Feature {
        name: "unique_destination_count",
        unit: "count",
        meaning: "distinct destination addresses in the session, exact up to 8, estimated above",
    },
    Feature {
        name: "rolling_average_deviation",
        unit: "packets/min",
        meaning: "6*burst_rate less the decayed mean over finished ten-second buckets, 0 before the first has finished",
    },
    Feature {
        name: "z_score_anomaly",
        unit: "sigma",
        meaning: "signed z of largest magnitude among packet_length and ln(1+f) of features 3, 9 and 13, clipped (earlier packets)",
    },
];

/// Where each feature stands in a [`FeatureVector`](super::FeatureVector).
pub mod index {
    /// Length of the IP datagram, bytes.
    pub const PACKET_LENGTH: usize = 0;
    /// Which protocol, as a code.
    pub const PROTOCOL_ENCODING: usize = 1;
    /// Packets in about the last minute.
    pub const SOURCE_IP_EVENT_RATE: usize = 2;
    /// Which range the destination port lies in, as a code.
    pub const DESTINATION_PORT_CLASS: usize = 3;
    /// Decayed evidence, 0-100.
    pub const THREAT_SCORE: usize = 4;
    /// Decayed share of packets with severe evidence.
    pub const MALICIOUS_FLAG_RATIO: usize = 5;
    /// Decayed count of the most frequent attack class.
    pub const ATTACK_TYPE_FREQUENCY: usize = 6;
    /// Whether it is night.
    pub const TIME_OF_DAY_DEVIATION: usize = 7;
    /// Packets in about the last ten seconds.
    pub const BURST_RATE: usize = 8;
    /// Sample variance of the packet length.
    pub const PACKET_SIZE_VARIANCE: usize = 9;
    /// Distinct decoys touched.
    pub const HONEYPOT_INTERACTION_COUNT: usize = 10;
    /// Seconds since the first packet of the session.
    pub const SESSION_DURATION_ESTIMATE: usize = 11;
    /// Distinct destination addresses.
    pub const UNIQUE_DESTINATION_COUNT: usize = 12;
    /// How far the rate is from its own past.
    pub const ROLLING_AVERAGE_DEVIATION: usize = 13;
    /// The largest deviation from the source's own habits, in standard deviations.
    pub const Z_SCORE_ANOMALY: usize = 14;
}

/// Silence after which a session has ended, seconds: it takes *more* than this, exactly this much is the same session.
pub const IDLE_SECS: i64 = 300;
/// [`IDLE_SECS`] in nanoseconds.
pub const IDLE_NANOS: i64 = IDLE_SECS * NANOS_PER_SECOND;

/// Width of a bucket of feature 3, seconds; the epoch starts one.
pub(super) const RATE_BUCKET_SECS: i64 = 5;
/// Buckets that feature 3 sums.
pub(super) const RATE_BUCKETS: usize = 12;
/// Width of a bucket of feature 9, seconds; the epoch starts one.
pub(super) const BURST_BUCKET_SECS: i64 = 1;
/// Buckets that feature 9 sums.
pub(super) const BURST_BUCKETS: usize = 10;
/// Width of a bucket of feature 14, seconds; the epoch starts one.
pub(super) const BASELINE_BUCKET_SECS: i64 = 10;
/// Half-life of the mean in feature 14, seconds.
pub(super) const BASELINE_HALF_LIFE_SECS: f64 = 3600.0;
/// From packets in ten seconds to packets in a minute.
pub(super) const TEN_SECONDS_PER_MINUTE: f64 = 6.0;

/// Half-life of feature 5, seconds.
pub(super) const THREAT_HALF_LIFE_SECS: f64 = 60.0;
/// Half-life of features 6 and 7, seconds.
pub(super) const FLAG_HALF_LIFE_SECS: f64 = 600.0;
/// Weight of rule risk in feature 5, before scaling to 0-100.
pub(super) const RULE_WEIGHT: f64 = 0.3;
/// Weight of intelligence risk in feature 5, before scaling to 0-100.
pub(super) const INTEL_WEIGHT: f64 = 0.5;
/// Rule risk from which a packet counts as malicious in feature 6.
pub(super) const MALICIOUS_RULE_RISK: f32 = 60.0;
/// Innocent packets that feature 6 grants every source in advance.
pub(super) const INNOCENT_PACKETS: f64 = 8.0;
/// Attack classes that feature 7 tells apart.
pub const ATTACK_CLASSES: usize = 16;

/// First hour that is not night.
pub(super) const MORNING_HOUR: i64 = 6;
/// First hour of night ("hour > 22").
pub(super) const NIGHT_HOUR: i64 = 23;

/// Decoys that feature 11 tells apart.
pub const DECOYS_MAX: usize = 64;
/// Distinct destinations up to which feature 13 is exact.
pub const DESTINATIONS_EXACT: usize = 8;

/// Earlier packets below which feature 15 is 0.
pub(super) const Z_EARLIER_MIN: u64 = 8;
/// Largest magnitude of feature 15.
pub(super) const Z_LIMIT: f64 = 10.0;
/// Smallest deviation that feature 15 divides by: of packet_length, of ln(1+f) of features 3, 9 and 13.
pub(super) const DEVIATION_FLOORS: [f64; 4] = [1.0, 0.05, 0.05, 0.05];

/// Everything that two builds must agree on to mean the same by a feature: one line per number, one per feature.
#[must_use]
pub fn canonical_text() -> String {
    let mut text = format!("phantomnet features, schema {SCHEMA_VERSION}\n");
    let [length_floor, floors @ ..] = DEVIATION_FLOORS;
    let numbers = format!(
        "idle_s {IDLE_SECS}
rate {RATE_BUCKETS} x {RATE_BUCKET_SECS} s
burst {BURST_BUCKETS} x {BURST_BUCKET_SECS} s
baseline {BASELINE_BUCKET_SECS} s, half-life {BASELINE_HALF_LIFE_SECS} s
threat half-life {THREAT_HALF_LIFE_SECS} s, ({RULE_WEIGHT}*rule + {INTEL_WEIGHT}*intel)/{evidence_scale}
flags half-life {FLAG_HALF_LIFE_SECS} s, rule risk {MALICIOUS_RULE_RISK}, innocent {INNOCENT_PACKETS}
attack classes {ATTACK_CLASSES}, decoys {DECOYS_MAX}, destinations exact {DESTINATIONS_EXACT}
night hour < {MORNING_HOUR} or hour >= {NIGHT_HOUR}
z from {Z_EARLIER_MIN} earlier packets, limit {Z_LIMIT}, floors {length_floor} {floors:?}
",
        evidence_scale = RULE_WEIGHT + INTEL_WEIGHT,
    );
    text.push_str(&numbers);
    for (nth, Feature { name, unit, meaning }) in (1..).zip(SCHEMA) {
        writeln!(text, "{nth} {name} [{unit}] {meaning}").expect("a String takes any text");
    }
    text
}

/// SHA-256 over [`canonical_text`], as 64 hexadecimal digits. A model states the one it was trained on.
#[must_use]
pub fn fingerprint() -> String {
    format!("{:x}", Sha256::digest(canonical_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_frozen() {
        let frozen = "9c5e42efd2cba61f174ce201d7996e5ec3cd836520fbe6df85dc7507b240e229";
        assert_eq!(
            fingerprint(),
            frozen,
            "a changed schema needs a new version:\n{}",
            canonical_text()
        );
    }

    #[test]
    fn every_index_names_its_feature() {
        let order = [
            (index::PACKET_LENGTH, "packet_length"),
            (index::PROTOCOL_ENCODING, "protocol_encoding"),
            (index::SOURCE_IP_EVENT_RATE, "source_ip_event_rate"),
            (index::DESTINATION_PORT_CLASS, "destination_port_class"),
            (index::THREAT_SCORE, "threat_score"),
            (index::MALICIOUS_FLAG_RATIO, "malicious_flag_ratio"),
            (index::ATTACK_TYPE_FREQUENCY, "attack_type_frequency"),
            (index::TIME_OF_DAY_DEVIATION, "time_of_day_deviation"),
            (index::BURST_RATE, "burst_rate"),
            (index::PACKET_SIZE_VARIANCE, "packet_size_variance"),
            (index::HONEYPOT_INTERACTION_COUNT, "honeypot_interaction_count"),
            (index::SESSION_DURATION_ESTIMATE, "session_duration_estimate"),
            (index::UNIQUE_DESTINATION_COUNT, "unique_destination_count"),
            (index::ROLLING_AVERAGE_DEVIATION, "rolling_average_deviation"),
            (index::Z_SCORE_ANOMALY, "z_score_anomaly"),
        ];
        for (nth, (index, name)) in order.into_iter().enumerate() {
            assert_eq!((index, SCHEMA[index].name), (nth, name));
        }
    }

    #[test]
    fn the_canonical_text_holds_one_line_per_feature() {
        let text = canonical_text();
        assert!(text.is_ascii());
        for Feature { name, .. } in SCHEMA {
            assert_eq!(
                text.lines().filter(|line| line.contains(&format!(" {name} ["))).count(),
                1,
                "{name}"
            );
        }
    }
}
