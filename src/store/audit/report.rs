//! What an audit has found, for people and for programs.

use std::fmt::Write as _;

use serde::{Serialize, Serializer};

use super::facts::Sums;
use crate::event::{Epoch, Totals};
use crate::time::Timestamp;

/// What an audit has found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AuditReport {
    /// One for each epoch, oldest first.
    pub epochs: Vec<EpochAudit>,
}

/// What an audit has found of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EpochAudit {
    /// The run; as 16 hexadecimal digits where it is shown.
    #[serde(serialize_with = "shown")]
    pub epoch: Epoch,
    /// The sensor's name.
    pub sensor: String,
    /// When it started.
    #[serde(serialize_with = "shown")]
    pub started: Timestamp,
    /// Whether it ended in order. Otherwise it goes on, or died.
    pub ended: bool,
    /// Whether a later start found it dead; its last marker is then what that start could find out.
    pub crashed: bool,
    /// The sums of its last marker.
    pub last: Totals,
    /// Markers that were recounted.
    pub markers: u64,
    /// Markers that can't be recounted by themselves, because retention has removed some of the rows up to them.
    pub markers_undecidable: u64,
    /// Batches in the ledger.
    pub batches: u64,
    /// What the ledger says was in them.
    pub committed: Sums,
    /// What is in the store.
    pub stored: Sums,
    /// What is in quarantine.
    pub quarantined: Sums,
    /// What was in batches that found no place to wait for the store; it is lost.
    pub refused: Sums,
    /// What retention has removed.
    pub pruned: Sums,
    /// Events that are there more than once.
    pub doubled: u64,
    /// Packets and verdicts that were lost before the recorder because a queue was full or a worker panicked, of an epoch that ended in
    /// order; the store can hold nothing of them. What another one lost there its metrics said.
    pub unrecorded: u64,
    /// Packets (and verdicts about victims) in events that were open at the last marker of an epoch which has not ended. If it died,
    /// they are lost.
    pub open: u64,
    /// Packets (and verdicts about victims) that the last marker says were judged and that the store does not have: those of
    /// [`Self::refused`], and of what a crash has taken. What an epoch without an end judged after its last marker is unknown.
    pub lost: u64,
    /// The first sums that do not hold, in words.
    pub differences: Vec<String>,
    /// How many more do not.
    pub differences_left_out: u64,
}

impl AuditReport {
    /// Whether every sum holds and nothing is there twice. A crash may have lost something all the same: [`Self::lost`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.epochs.iter().all(EpochAudit::is_clean)
    }

    /// Packets and verdicts about victims that are known to be lost, over all epochs.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.epochs.iter().map(|epoch| epoch.lost).sum()
    }

    /// As text: a block for each epoch and a line about all.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for epoch in &self.epochs {
            epoch.render(&mut text);
            text.push('\n');
        }
        let verdict = if self.is_clean() { "every sum holds" } else { "SUMS DO NOT HOLD" };
        line(
            &mut text,
            format_args!(
                "{} epochs: {verdict}; {} lost, {} unrecorded",
                self.epochs.len(),
                self.lost(),
                self.epochs.iter().map(|epoch| epoch.unrecorded).fold(0, u64::saturating_add)
            ),
        );
        text
    }
}

impl EpochAudit {
    /// Whether every sum holds and nothing is there twice.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.doubled == 0
    }

    fn render(&self, text: &mut String) {
        let end = match (self.ended, self.crashed) {
            (true, _) => "ended in order",
            (false, true) => "died; found by a later start",
            (false, false) => "has not ended: it goes on, or died",
        };
        line(
            text,
            format_args!(
                "epoch {} of {:?}, started {}: {end}",
                self.epoch, self.sensor, self.started
            ),
        );
        self.render_sums(text);
        if self.unrecorded > 0 {
            let unrecorded = self.unrecorded;
            line(
                text,
                format_args!(
                    "  unrecorded   {unrecorded} packets and verdicts, lost before the recorder: a queue was full, or a worker panicked"
                ),
            );
        }
        if self.open > 0 {
            let open = self.open;
            line(
                text,
                format_args!(
                    "  open         {open} in events that were not stored yet; lost if it died"
                ),
            );
        }
        self.render_loss(text);
        for difference in &self.differences {
            line(text, format_args!("  DIFFERS      {difference}"));
        }
        if self.differences_left_out > 0 {
            line(text, format_args!("  DIFFERS      {} times more", self.differences_left_out));
        }
        if self.is_clean() {
            line(text, format_args!("  every sum holds"));
        }
    }

    fn render_sums(&self, text: &mut String) {
        let sums = [
            ("committed", self.committed),
            ("stored", self.stored),
            ("quarantined", self.quarantined),
            ("refused", self.refused),
            ("pruned", self.pruned),
        ];
        for (name, Sums { rows, packets, alerts }) in sums {
            line(
                text,
                format_args!("  {name:<12} {rows} rows, {packets} packets, {alerts} alerts"),
            );
        }
        line(
            text,
            format_args!(
                "  recorded     {} packets and {} verdicts about victims, {} sampled out, as of the last marker",
                self.last.packets, self.last.victims, self.last.sampled_out
            ),
        );
        line(
            text,
            format_args!("  recounted    {} batches, {} markers", self.batches, self.markers),
        );
        if self.markers_undecidable > 0 {
            line(
                text,
                format_args!(
                    "               {} markers can't be recounted by themselves: retention has removed rows up to them",
                    self.markers_undecidable
                ),
            );
        }
    }

    fn render_loss(&self, text: &mut String) {
        let beyond = match (self.ended, self.crashed) {
            (true, _) => "",
            (false, true) => ", as far as the later start could find out",
            (false, false) => "; what was judged after the last marker is unknown",
        };
        line(text, format_args!("  lost         {}{beyond}", self.lost));
        if self.doubled > 0 {
            line(text, format_args!("  DOUBLED      {}", self.doubled));
        }
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    _ = writeln!(text, "{content}");
}

/// As people see it.
fn shown<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
