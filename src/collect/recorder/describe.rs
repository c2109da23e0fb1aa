//! From indices to words: what of an event needs the detection that judged it.
//!
//! It is written down while that detection is at hand, for an event may be emitted after it was replaced.

use crate::collect::reason::{Known, Reason, decoy_of};
use crate::event::{DetectionRecord, Side};
use crate::model::AnomalyScore;
use crate::time::Timestamp;
use crate::verdict::{Detection, Level, Verdict};

/// What the packets of an event have in common, in words; one reason is the worst packet's.
#[derive(Clone, Debug)]
pub(super) struct Words {
    /// Rules that fired, by signature id.
    pub(super) rules: Vec<u32>,
    /// As what one of the addresses is known, and which.
    pub(super) intel: Option<(Box<str>, Side)>,
    /// The decoy that was touched.
    pub(super) decoy: Option<Box<str>>,
    /// The strongest single reason; empty for SAFE.
    pub(super) reason: Box<str>,
    /// What is going on, for an incident; empty for SAFE.
    pub(super) kind: &'static str,
}

impl Words {
    pub(super) fn of(verdict: &Verdict, detection: &Detection) -> Self {
        let notable = verdict.level > Level::Safe;
        let reason = notable.then(|| Reason::of(verdict, detection));
        Self {
            rules: detection.rules_at(verdict.rules()).map(|rule| rule.sid).collect(),
            intel: Known::of(verdict, detection).map(|known| (known.label.into(), known.side)),
            decoy: decoy_of(verdict, detection).map(Into::into),
            reason: reason.map(|reason| reason.text().into()).unwrap_or_default(),
            kind: reason.map_or("", Reason::kind),
        }
    }
}

/// How the score of one packet stands among those of training; nothing for a victim, which has no score.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// The share of calibration rows that score less.
    pub(super) quantile: Option<f32>,
    /// Whether each feature lies inside the range seen in training.
    pub(super) in_training_range: Option<bool>,
}

impl Standing {
    pub(super) fn of(verdict: &Verdict, detection: &Detection) -> Self {
        if verdict.is_of_victim() {
            return Self::default();
        }
        let Some(score) = AnomalyScore::new(verdict.anomaly_score) else { return Self::default() };
        let confidence = detection.model().confidence(&verdict.features, score);
        Self {
            quantile: Some(confidence.quantile),
            in_training_range: Some(confidence.inside_training_range()),
        }
    }
}

/// A detection as the store remembers it.
pub(super) fn record_of(detection: &Detection) -> DetectionRecord {
    let model = detection.model();
    DetectionRecord {
        version: detection.version(),
        model: model.about().name.as_str().into(),
        sha256: model.sha256().into(),
        schema: model.schema().version,
        fingerprint: model.schema().fingerprint.as_str().into(),
        offset: model.offset(),
        contamination: model.contamination(),
        calibration_rows: model.calibration_rows(),
        rules: detection.rules().len() as u64,
        intel: detection.intel().len() as u64,
        decoys: detection.decoys().all().len() as u64,
    }
}

/// The whole microsecond that `time` lies in: what every store can keep.
pub(super) fn whole_micros(time: Timestamp) -> Timestamp {
    let nanos = time.as_nanos();
    // The very first microsecond that can be held is not whole.
    let whole = nanos.checked_sub(nanos.rem_euclid(1_000)).unwrap_or(i64::MIN / 1_000 * 1_000);
    Timestamp::from_nanos(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_cut_to_its_microsecond_towards_the_past() {
        for (nanos, micros) in [(1_999, 1), (-1, -1), (0, 0), (i64::MIN, i64::MIN / 1_000)] {
            assert_eq!(whole_micros(Timestamp::from_nanos(nanos)).as_nanos(), micros * 1_000);
        }
    }
}
