//! A score taken apart, feature by feature. Names are those of the route `/api/events/{id}/explanation`.

use serde::{Deserialize, Serialize};

use crate::cli::client::Text;
use crate::features::{FeatureVector, SCHEMA};
use crate::model::{Explanation, Model};

/// The shares and the base add up to the score exactly: they are whole billionths.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Score {
    pub(super) anomaly_score: f32,
    score_nanos: i64,
    /// What a row scores whose paths are as long as those of training rows are on average.
    base_nanos: i64,
    /// The largest share first.
    shares: Vec<Share>,
}

/// What one feature adds to the score, or takes from it.
#[derive(Debug, Deserialize, Serialize)]
struct Share {
    feature: Text,
    value: f32,
    unit: Text,
    share: f64,
    share_nanos: i64,
    /// The least and the greatest value seen in training.
    trained_from: Option<f32>,
    trained_to: Option<f32>,
}

impl Score {
    pub(super) fn of(model: &Model, row: &FeatureVector) -> Self {
        let Explanation { score, score_nanos, base_nanos, shares_nanos } = model.explain(row);
        let training = model.training();
        let values = SCHEMA.iter().zip(row.0).zip(shares_nanos);
        let ranges = training.minimum.iter().zip(&training.maximum);
        let mut shares: Vec<Share> = values
            .zip(ranges)
            .map(|(((feature, value), share_nanos), (least, most))| Share {
                feature: Text::from(feature.name),
                value,
                unit: Text::from(feature.unit),
                share: Explanation::points(share_nanos),
                share_nanos,
                trained_from: Some(*least),
                trained_to: Some(*most),
            })
            .collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.share_nanos.abs()));
        Self { anomaly_score: score.value(), score_nanos, base_nanos, shares }
    }

    /// A table: the base, each feature, the sum.
    pub(super) fn lines(&self) -> Vec<String> {
        let edge = |name: &str, nanos| {
            format!("{name:<30}{:>14}  {:>12.9}", "", Explanation::points(nanos))
        };
        let head = format!("{:<30}{:>14}  {:>12}  seen in training", "feature", "value", "share");
        let mut lines = vec![head, edge("(any packet)", self.base_nanos)];
        for Share { feature, value, unit, share, trained_from, trained_to, .. } in &self.shares {
            let seen = match (trained_from, trained_to) {
                (Some(least), Some(most)) => format!("{least} to {most} {unit}"),
                _ => unit.to_string(),
            };
            lines.push(format!("{feature:<30}{value:>14}  {share:>+12.9}  {seen}"));
        }
        lines.push(edge("sum", self.score_nanos));
        lines
    }
}
