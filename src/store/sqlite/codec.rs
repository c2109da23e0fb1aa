//! How values lie in SQLite's columns. Writer and readers share it, so that what comes out is what went in.
//!
//! | value         | column  | as                                                                                 |
//! |---------------|---------|------------------------------------------------------------------------------------|
//! | moment        | INTEGER | microseconds since 1970-01-01T00:00:00Z, rounded towards the past                    |
//! | address       | BLOB    | 16 bytes in network order, IPv4 in its mapped form: memory order is numeric order    |
//! | features      | BLOB    | 15 IEEE 754 single floats, little-endian                                             |
//! | list of rules | TEXT    | JSON, `[1000001,1000007]`, in the order of the event                                 |
//! | number        | INTEGER | as it is; one beyond `i64::MAX` has no place                                         |
//! | single float  | REAL    | as a double, which holds every single; SQLite keeps no sign of a zero                |
//! | threat score  | REAL    | the single nearest to `total / 100`                                                  |

use std::fmt::Write as _;

use crate::address::Address;
use crate::features::{FEATURES, FeatureVector};
use crate::store::score;
use crate::time::Timestamp;

/// Bytes of the features' column.
pub(super) const FEATURES_BYTES: usize = 4 * FEATURES;

/// A moment as stored.
pub(super) const fn micros(moment: Timestamp) -> i64 {
    moment.as_nanos().div_euclid(1000)
}

/// A stored moment; one that no [`Timestamp`] reaches is the nearest that does.
pub(in crate::store) const fn moment(micros: i64) -> Timestamp {
    Timestamp::from_nanos(micros.saturating_mul(1000))
}

/// An address as stored.
pub(super) const fn address_bytes(address: Address) -> [u8; 16] {
    address.octets()
}

/// A stored address.
pub(super) const fn address(bytes: [u8; 16]) -> Address {
    Address::v6(bytes)
}

/// Features as stored.
pub(super) fn features_bytes(features: &FeatureVector) -> [u8; FEATURES_BYTES] {
    let mut bytes = [0; FEATURES_BYTES];
    for (to, value) in bytes.chunks_exact_mut(4).zip(features.0) {
        to.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Stored features.
pub(super) fn features(bytes: &[u8; FEATURES_BYTES]) -> FeatureVector {
    let mut features = FeatureVector::default();
    let (values, _none) = bytes.as_chunks::<4>();
    for (to, value) in features.0.iter_mut().zip(values) {
        *to = f32::from_le_bytes(*value);
    }
    features
}

/// Writes rules as stored into `text`, whose former content goes.
pub(super) fn write_rules(rules: &[u32], text: &mut String) {
    text.clear();
    text.push('[');
    for (rule, at) in rules.iter().zip(0_u32..) {
        if at > 0 {
            text.push(',');
        }
        // Writing to a String can't fail.
        _ = write!(text, "{rule}");
    }
    text.push(']');
}

/// Stored rules.
///
/// # Errors
///
/// When the text is no list of signature ids.
pub(super) fn rules(text: &str) -> Result<Vec<u32>, serde_json::Error> {
    serde_json::from_str(text)
}

/// The threat score of a weighted sum, as stored.
pub(super) fn threat_score(total: f32) -> f64 {
    f64::from(score::threat_score(total))
}

/// The weighted sum of a stored threat score.
#[expect(clippy::cast_possible_truncation, reason = "what was stored is a single float")]
pub(super) fn total(threat_score: f64) -> f32 {
    score::total(threat_score as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_1970_round_towards_the_past() {
        assert_eq!(micros(Timestamp::from_nanos(-1)), -1);
        assert_eq!(micros(Timestamp::from_nanos(1_999)), 1);
        assert_eq!(moment(i64::MAX), Timestamp::from_nanos(i64::MAX));
        for whole in [0, 1_790_000_000_123_456_000, -1_000] {
            let at = Timestamp::from_nanos(whole);
            assert_eq!(moment(micros(at)), at);
        }
    }

    #[test]
    fn features_come_back_to_the_bit_and_lie_little_endian() {
        let mut vector = FeatureVector::default();
        for (value, at) in vector.0.iter_mut().zip(0_u32..) {
            *value = f32::from_bits(0x3f80_0001 + at * 0x0101_0101);
        }
        let bytes = features_bytes(&vector);
        assert_eq!(bytes.first_chunk(), Some(&[0x01, 0x00, 0x80, 0x3f]));
        assert_eq!(features(&bytes), vector);
    }

    #[test]
    fn rules_are_json() {
        let mut text = "left over".to_owned();
        for list in [vec![], vec![7], vec![u32::MAX, 0, 1_000_001]] {
            write_rules(&list, &mut text);
            assert_eq!(serde_json::to_string(&list).unwrap(), text);
            assert_eq!(rules(&text).unwrap(), list);
        }
        for text in ["", "7", "[7,]", "[-1]", "[4294967296]"] {
            assert!(rules(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_threat_score_never_changes_however_often_it_is_stored() {
        for step in 0_u16..=50_000 {
            let score = threat_score(f32::from(step) / 500.0 + 0.000_3);
            assert!((threat_score(total(score)) - score).abs() < f64::MIN_POSITIVE);
        }
        for whole in 0_u8..=100 {
            let total_of = f32::from(whole);
            assert!((total(threat_score(total_of)) - total_of).abs() < f32::MIN_POSITIVE);
        }
    }
}
