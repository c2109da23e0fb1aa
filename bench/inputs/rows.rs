//! Rows of features as the model gets them: measured in generated traffic.

use phantomnet::features::FeatureVector;

use super::detection::default_detection;
use super::judging::{Stages, packets};
use super::mixes::Mix;

/// So many rows, those of the office and those of the IMIX in turn.
pub(crate) fn rows(count: usize) -> Vec<FeatureVector> {
    let mut sets = [Mix::Office, Mix::Imix].map(|mix| measured(mix, count).into_iter());
    let [office, imix] = &mut sets;
    std::iter::from_fn(|| Some([office.next()?, imix.next()?])).flatten().take(count).collect()
}

fn measured(mix: Mix, count: usize) -> Vec<FeatureVector> {
    let (mut traffic, mut stages) = (mix.play(), Stages::new(default_detection()));
    let mut rows = Vec::new();
    while rows.len() < count {
        let batch = traffic.next_batch();
        stages.inspect_and_hand_over(&packets(&batch));
        stages.measure_and_score();
        let of_packets = stages.due.verdicts().iter().filter(|verdict| !verdict.is_of_victim());
        rows.extend(of_packets.map(|verdict| verdict.features));
    }
    rows
}
