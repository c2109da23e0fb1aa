//! Which detection judges a packet while one takes the place of another.

use std::sync::Arc;

use super::Detection;
use crate::handover::Marks;
use crate::time::Timestamp;

/// The detection in force, and the one before it: packets of before the change may still be under way.
///
/// A detection is in force from a moment of packet time on, and not from when a thread comes to see it. So which one judges a packet
/// depends on the packet alone, and a replay in which the same detection takes over at the same moment gives the same verdicts, whatever
/// the number of workers. What was found in a packet are indices into the detection that it was looked at with; the packet's digest
/// says which of the two that was ([`Marks::ODD_DETECTION`]).
///
/// One bit is enough as long as nobody needs a third: the next change waits until everybody has moved on from what is `before` now
/// ([`Published::settled`](crate::counters::Published::settled)).
#[derive(Debug)]
pub struct InForce {
    newest: Arc<Detection>,
    before: Arc<Detection>,
    from: Timestamp,
    number: u64,
}

impl InForce {
    /// The first: it judges everything.
    #[must_use]
    pub fn first(detection: Detection) -> Self {
        let newest = Arc::new(detection);
        Self { before: Arc::clone(&newest), newest, from: Self::AT_ONCE, number: 0 }
    }

    /// For a change that waits for no moment of packet time: whoever sees it goes by it.
    pub const AT_ONCE: Timestamp = Timestamp::from_nanos(i64::MIN);

    /// The same when `next` judges packets from the packet time `from` on.
    #[must_use]
    pub fn followed_by(&self, next: Arc<Detection>, from: Timestamp) -> Self {
        Self { newest: next, before: Arc::clone(&self.newest), from, number: self.number + 1 }
    }

    /// The one that judges what comes.
    #[must_use]
    pub const fn newest(&self) -> &Arc<Detection> {
        &self.newest
    }

    /// From which packet time on it does.
    #[must_use]
    pub const fn from(&self) -> Timestamp {
        self.from
    }

    /// How many came before the newest.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The one that a packet of this time is looked at with, and the mark that its digest bears.
    #[must_use]
    pub fn at(&self, time: Timestamp) -> (&Detection, Marks) {
        let is_newest = time >= self.from;
        let is_odd = is_newest == self.is_odd();
        let mark = if is_odd { Marks::ODD_DETECTION } else { Marks::default() };
        (if is_newest { &self.newest } else { &self.before }, mark)
    }

    /// The one that a packet was looked at with, by its digest.
    #[must_use]
    pub fn by_mark(&self, marks: Marks) -> &Detection {
        let newest = marks.has(Marks::ODD_DETECTION) == self.is_odd();
        if newest { &self.newest } else { &self.before }
    }

    /// The one that gave a verdict, by its version.
    #[must_use]
    pub fn by_version(&self, version: u32) -> &Detection {
        if self.before.version() == version { &self.before } else { &self.newest }
    }

    const fn is_odd(&self) -> bool {
        !self.number.is_multiple_of(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intel::{Decoys, IntelSet};
    use crate::model::Model;
    use crate::rules::{RuleSet, RuleText, Variables};
    use crate::verdict::{Policy, PolicyParams};

    /// A detection that differs from others in its rules alone.
    fn detection(rules: &str) -> Detection {
        let (rules, _) =
            RuleSet::load([RuleText { name: "r", text: rules }], &Variables::default());
        let model = Model::from_bytes(
            "default",
            include_bytes!("../../models/default.json"),
            &crate::model::ExpectedSchema::new(
                crate::features::SCHEMA_VERSION,
                &crate::features::fingerprint(),
                &crate::features::SCHEMA.each_ref().map(|feature| feature.name),
            ),
        );
        let policy = Policy::new(PolicyParams::default());
        Detection::new(model.unwrap(), rules, IntelSet::default(), Decoys::default(), policy)
    }

    #[test]
    fn whoever_looks_at_a_packet_and_whoever_judges_it_mean_the_same_detection_also_by_an_older_view()
     {
        let at = Timestamp::from_secs;
        let versions = |view: &InForce| (view.before.version(), view.newest.version());
        let mut views = vec![InForce::first(detection(""))];
        for (nth, seconds) in (1..5).zip([10, 20, 30, 40]) {
            let rule = format!("alert ip any any -> any any (msg:\"a\"; sid:{nth};)");
            let next = Arc::new(detection(&rule));
            views.push(views[nth - 1].followed_by(next, at(seconds)));
        }
        for pair in views.windows(2) {
            let [older, newer] = pair else { unreachable!("windows of two") };
            assert_eq!(versions(newer).0, versions(older).1);
            for seconds in 0..50 {
                let (detection, mark) = newer.at(at(seconds));
                let expected = at(seconds) >= newer.from();
                assert_eq!(
                    detection.version(),
                    if expected { versions(newer).1 } else { versions(newer).0 }
                );
                assert_eq!(newer.by_mark(mark).version(), detection.version());
                assert_eq!(newer.by_version(detection.version()).version(), detection.version());
                // A receiver that has not seen the change yet, with packets that the one in force before judges.
                if at(seconds) >= older.from() {
                    let (detection, mark) = older.at(at(seconds));
                    assert_eq!(newer.by_mark(mark).version(), detection.version());
                }
            }
        }
    }
}
