//! Why an event has its verdict, and what would make it SAFE.

use serde::Serialize;
use utoipa::ToSchema;

use super::event::{FloorName, ShownIntel, floor_name};
use super::{Verdict, version_text};
use crate::event::{Event, EventId};
use crate::features::{FeatureVector, SCHEMA};
use crate::model::{AnomalyScore, Explanation, Model};
use crate::rules::Rule;
use crate::store::query::StoredEvent;
use crate::verdict::{Detection, Evidence, Level};

/// Why an event has its verdict.
///
/// The three parts, the floor and the reason are those stored with the event. Everything else is computed by the detection
/// that is loaded, so it is there only when that is the one that judged.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownExplanation {
    id: String,
    verdict: Verdict,
    /// The weighted sum, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    threat_score: f32,
    /// The strongest single reason in words; empty for SAFE.
    reason: String,
    parts: Vec<Part>,
    /// The sum of the parts' points as judged, 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    total: f32,
    /// Levels begin (strictly) above these sums; null when another detection judged.
    thresholds: Option<ShownThresholds>,
    /// What raised the verdict above what the sum gives.
    floor: Option<FloorName>,
    /// The level that the floor guarantees.
    floor_level: Option<Verdict>,
    rules: Vec<FiredRule>,
    intel: Option<ShownIntel>,
    decoy: Option<String>,
    /// Each feature's share of the model's score; null when there is none, see `note`.
    score: Option<ShareOut>,
    /// What would make the event SAFE; null when it is SAFE already or can't be told, see `note`.
    safe_if: Option<SafeIf>,
    /// The version of the detection that judged.
    detection_version: String,
    /// The version of the detection that is loaded.
    loaded_detection_version: String,
    /// Why something is missing.
    note: Option<String>,
}

/// One of the three kinds of evidence.
#[derive(Debug, Serialize, ToSchema)]
struct Part {
    #[schema(example = "rules")]
    part: &'static str,
    /// 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    risk: f32,
    /// Its weight in the sum; null when another detection judged.
    weight: Option<f64>,
    /// Risk times weight.
    points: Option<f64>,
}

/// Where levels begin.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShownThresholds {
    warning: f64,
    high: f64,
    critical: f64,
}

impl From<&Detection> for ShownThresholds {
    fn from(detection: &Detection) -> Self {
        let thresholds = detection.policy().params().thresholds;
        let (warning, high, critical) = (thresholds.warning, thresholds.high, thresholds.critical);
        Self { warning, high, critical }
    }
}

/// A rule that fired.
#[derive(Debug, Serialize, ToSchema)]
struct FiredRule {
    /// Signature id.
    rule: u32,
    /// What the rule says; null when another detection judged.
    message: Option<String>,
    /// 0 to 100; null when another detection judged.
    risk: Option<u8>,
}

/// A score taken apart. `base_nanos` and all `share_nanos` add up to `score_nanos` exactly: they are whole billionths.
#[derive(Debug, Serialize, ToSchema)]
struct ShareOut {
    /// 0 ordinary, 1 unique.
    anomaly_score: f32,
    /// The score in billionths.
    score_nanos: i64,
    /// What a row scores whose paths are as long as those of training rows are on average, in billionths.
    base_nanos: i64,
    /// The largest share first.
    shares: Vec<Share>,
}

/// What one feature adds to the score, or takes from it.
#[derive(Debug, Serialize, ToSchema)]
struct Share {
    feature: &'static str,
    value: f32,
    unit: &'static str,
    /// In points of score.
    share: f64,
    /// The same in billionths.
    share_nanos: i64,
    /// The least value seen in training.
    trained_from: Option<f32>,
    /// The greatest value seen in training.
    trained_to: Option<f32>,
}

/// What would make an event SAFE.
#[derive(Debug, Serialize, ToSchema)]
struct SafeIf {
    /// Every smallest set of evidence without which the verdict would be SAFE: `model`, `rules`, `intel`, `decoy`.
    without: Vec<Vec<&'static str>>,
    /// The nearest change of a single feature that would make it usual for the model; null where the model finds it usual,
    /// or no single feature will do.
    feature: Option<FeatureChange>,
}

/// The change of one feature.
#[derive(Debug, Serialize, ToSchema)]
struct FeatureChange {
    feature: &'static str,
    from: f32,
    to: f32,
    /// What the row would score.
    anomaly_score: f32,
}

impl ShownExplanation {
    /// `detection` is the one loaded.
    pub(in super::super) fn of(stored: &StoredEvent, detection: &Detection) -> Self {
        let event = &stored.event;
        // All that follows from the detection is asked of the one that judged, or not at all.
        let judge = (event.detection == detection.version()).then_some(detection);
        let row = event.features.as_ref();
        Self {
            id: EventId { epoch: stored.epoch, number: event.number }.to_string(),
            verdict: Verdict(event.level),
            threat_score: event.total / 100.0,
            reason: event.reason.to_string(),
            parts: parts(event, judge),
            total: event.total,
            thresholds: judge.map(ShownThresholds::from),
            floor: floor_name(event.floor),
            floor_level: floor_name(event.floor).map(|_| Verdict(event.floor.level())),
            rules: event.rules.iter().map(|sid| FiredRule::of(*sid, judge)).collect(),
            intel: ShownIntel::of(event),
            decoy: event.decoy.as_deref().map(str::to_owned),
            score: judge.zip(row).map(|(judge, row)| ShareOut::of(judge.model(), row)),
            safe_if: judge
                .filter(|_| event.level != Level::Safe)
                .map(|judge| SafeIf::of(event, judge)),
            detection_version: version_text(event.detection),
            loaded_detection_version: version_text(detection.version()),
            note: note(event, detection),
        }
    }
}

fn note(event: &Event, detection: &Detection) -> Option<String> {
    let (judged, loaded) = (version_text(event.detection), version_text(detection.version()));
    if event.detection != detection.version() {
        return Some(format!(
            "detection {judged} judged and {loaded} is loaded: shares, weights, texts of rules and what would make it SAFE \
             need {judged}"
        ));
    }
    event.is_of_victim().then(|| {
        "the event is about a destination under attack: rules raised it, no packet of its own was scored".to_owned()
    })
}

fn parts(event: &Event, judge: Option<&Detection>) -> Vec<Part> {
    let weights = judge.map(|judge| judge.policy().params().weights);
    let part = |part, risk: f32, weight: Option<f64>| Part {
        part,
        risk,
        weight,
        points: weight.map(|weight| weight * f64::from(risk)),
    };
    vec![
        part("model", event.model_risk, weights.map(|weights| weights.model)),
        part("rules", event.rule_risk, weights.map(|weights| weights.rule)),
        part("intel", event.intel_risk, weights.map(|weights| weights.intel)),
    ]
}

impl FiredRule {
    fn of(sid: u32, judge: Option<&Detection>) -> Self {
        let rule = judge.and_then(|judge| rule_of(judge, sid));
        Self {
            rule: sid,
            message: rule.map(|rule| rule.message.to_string()),
            risk: rule.map(|rule| rule.risk),
        }
    }
}

/// What a rule says; `None` when it is not loaded.
pub(super) fn message_of(detection: &Detection, sid: u32) -> Option<String> {
    rule_of(detection, sid).map(|rule| rule.message.to_string())
}

fn rule_of(detection: &Detection, sid: u32) -> Option<&Rule> {
    detection.rules().rules().iter().find(|rule| rule.sid == sid)
}

impl ShareOut {
    fn of(model: &Model, row: &FeatureVector) -> Self {
        let explanation = model.explain(row);
        let mut shares: Vec<Share> = SCHEMA
            .iter()
            .zip(row.0)
            .zip(explanation.shares_nanos)
            .enumerate()
            .map(|(at, ((feature, value), share_nanos))| Share {
                feature: feature.name,
                value,
                unit: feature.unit,
                share: Explanation::points(share_nanos),
                share_nanos,
                trained_from: model.training().minimum.get(at).copied(),
                trained_to: model.training().maximum.get(at).copied(),
            })
            .collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.share_nanos.abs()));
        Self {
            anomaly_score: explanation.score.value(),
            score_nanos: explanation.score_nanos,
            base_nanos: explanation.base_nanos,
            shares,
        }
    }
}

/// The kinds of evidence that can be thought away.
const EVIDENCE: [&str; 4] = ["model", "rules", "intel", "decoy"];

impl SafeIf {
    fn of(event: &Event, judge: &Detection) -> Self {
        let evidence = evidence(event, judge);
        let is_safe_without =
            |removed: usize| judge.policy().judge(&without(evidence, removed)).level == Level::Safe;
        let mut smallest: Vec<usize> = Vec::new();
        // Subsets come before their supersets when they are counted up.
        for removed in 1..1_usize << EVIDENCE.len() {
            let holds_smaller = smallest.iter().any(|known| known & removed == *known);
            if !holds_smaller && is_safe_without(removed) {
                smallest.push(removed);
            }
        }
        let names = |removed: usize| {
            let chosen = EVIDENCE.iter().enumerate().filter(|(at, _)| removed >> at & 1 == 1);
            chosen.map(|(_, name)| *name).collect()
        };
        Self {
            without: smallest.into_iter().map(names).collect(),
            feature: FeatureChange::of(event, judge.model()),
        }
    }
}

/// What was judged of the event's worst packet.
fn evidence(event: &Event, judge: &Detection) -> Evidence {
    let risks = event.rules.iter().filter_map(|sid| rule_of(judge, *sid)).map(|rule| rule.risk);
    Evidence {
        model_risk: event.model_risk,
        model_quantile: event.quantile.unwrap_or_default(),
        rule_risk: event.rule_risk,
        highest_rule_risk: f32::from(risks.max().unwrap_or_default()),
        intel_risk: event.intel_risk,
        intel_hit: event.intel.is_some(),
        decoy_touched: event.decoy.is_some(),
    }
}

/// The evidence without the kinds whose bits are set, in the order of [`EVIDENCE`].
fn without(evidence: Evidence, removed: usize) -> Evidence {
    let has = |at: usize| removed >> at & 1 == 0;
    let keep = |at, value: f32| if has(at) { value } else { 0.0 };
    Evidence {
        model_risk: keep(0, evidence.model_risk),
        model_quantile: keep(0, evidence.model_quantile),
        rule_risk: keep(1, evidence.rule_risk),
        highest_rule_risk: keep(1, evidence.highest_rule_risk),
        intel_risk: keep(2, evidence.intel_risk),
        intel_hit: has(2) && evidence.intel_hit,
        decoy_touched: has(3) && evidence.decoy_touched,
    }
}

impl FeatureChange {
    fn of(event: &Event, model: &Model) -> Option<Self> {
        let row = event.features.as_ref()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a bound between scores, which are f32"
        )]
        let bound = AnomalyScore::new(-model.offset() as f32)?;
        if !model.score(row).reaches(bound) {
            return None;
        }
        let change = model.safe_if(row, bound)?;
        Some(Self {
            feature: SCHEMA.get(change.feature)?.name,
            from: change.from,
            to: change.to,
            anomaly_score: change.score.value(),
        })
    }
}
