//! The report: figures for programs (JSON), a table for people.

use std::fmt;

use serde::Serialize;

/// Detection quality over the captures that could be scored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many captures were scored.
    pub captures: u64,
    /// How many of them the model was trained on, known by their SHA-256 (a table of features that was made of a capture
    /// has another). What it does on these says little about traffic that it has not seen.
    pub seen_in_training: u64,
    /// The captures that could not be, and why.
    pub skipped: Vec<Skipped>,
    /// Packets in scored captures that are neither attack nor normal: those of victims, and an attacker's outside the
    /// stated time.
    pub left_out_packets: u64,
    /// Packets that have a label and no verdict, by label: not IP, refused by the decoder, lost, or not in the capture. Those of
    /// attacks count as missed. Empty with labels that name attackers instead of packets.
    pub not_judged: Vec<NotJudged>,
    /// What the sensor does on normal traffic.
    pub normal: Normal,
    /// The same in the captures that the model was not trained on.
    pub normal_not_seen_in_training: Normal,
    /// The worst verdict on an attacker against the worst on anybody else in the same capture.
    pub bystanders: Bystanders,
    /// Each packet for itself: all attacks first, then each.
    pub packets: Vec<Row>,
    /// Each source by its worst packet: all attacks first, then each.
    pub sources: Vec<Row>,
}

/// A capture that could not be scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its name.
    pub capture: String,
    /// Why.
    pub why: String,
}

/// Packets with one label that never got a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotJudged {
    /// `normal`, or the attack.
    pub label: String,
    /// How many.
    pub packets: u64,
}

/// False alarms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Normal {
    /// Normal packets that were judged.
    pub packets: u64,
    /// Sources without an attack, counted in each capture.
    pub sources: u64,
    /// How long the captures with normal traffic last together, hours; silences of more than five minutes left out.
    pub hours: f64,
    /// Normal packets with a verdict of WARNING or above, on themselves or on their destination as a victim.
    pub warning_packets: u64,
    /// The same for HIGH or above.
    pub high_packets: u64,
    /// Sources without an attack that had a WARNING or above on themselves.
    pub alerted_sources: u64,
    /// `warning_packets` per hour; null when no time passed.
    pub warnings_per_hour: Option<f64>,
    /// `high_packets` per hour.
    pub highs_per_hour: Option<f64>,
    /// `alerted_sources` per hour.
    pub alerted_sources_per_hour: Option<f64>,
}

impl Normal {
    pub(super) fn new(
        packets: u64,
        sources: u64,
        hours: f64,
        [warning_packets, high_packets, alerted_sources]: [u64; 3],
    ) -> Self {
        let per_hour = |count: u64| (hours > 0.0).then(|| as_float(count) / hours);
        Self {
            packets,
            sources,
            hours,
            warning_packets,
            high_packets,
            alerted_sources,
            warnings_per_hour: per_hour(warning_packets),
            highs_per_hour: per_hour(high_packets),
            alerted_sources_per_hour: per_hour(alerted_sources),
        }
    }
}

/// In how many captures with both attackers and bystanders an attacker has the worst verdict of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bystanders {
    /// Captures with both.
    pub captures: u64,
    /// The attacker's worst level is above that of every bystander.
    pub attacker_above: u64,
    /// The worst levels are the same.
    pub same_level: u64,
    /// A bystander's worst level is above that of every attacker.
    pub attacker_below: u64,
}

impl Bystanders {
    pub(super) fn add(&mut self, attacker: u8, bystander: u8) {
        self.captures += 1;
        match attacker.cmp(&bystander) {
            std::cmp::Ordering::Greater => self.attacker_above += 1,
            std::cmp::Ordering::Equal => self.same_level += 1,
            std::cmp::Ordering::Less => self.attacker_below += 1,
        }
    }
}

/// One attack, or all together, against normal traffic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The attack's name.
    pub attack: String,
    /// Packets, or sources, of the attack. Its packets without a verdict are among them, found at no level and below all
    /// others in every order.
    pub positives: u64,
    /// Normal packets, or sources without an attack.
    pub negatives: u64,
    /// How each detector orders them.
    pub detectors: Vec<Quality>,
    /// What verdicts of WARNING and above find.
    pub warning: Alerting,
    /// What verdicts of HIGH and above find.
    pub high: Alerting,
}

/// How well one detector's order parts the attack from what is normal. Figures that don't exist are null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// The detector's name.
    pub detector: &'static str,
    /// The area under the ROC curve; equal scores count half.
    pub roc_auc: Option<f64>,
    /// The same over pairs of one capture only: attackers against bystanders.
    pub roc_auc_within_captures: Option<f64>,
    /// Average precision: the area under the precision-recall curve.
    pub average_precision: Option<f64>,
    /// Precision among the highest, as many as there are positives.
    pub precision_at_positives: Option<f64>,
    /// Precision among the 10, 100 and 1,000 highest, as far as there are so many.
    pub precision_at: Vec<PrecisionAt>,
}

/// Precision among the `k` highest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PrecisionAt {
    /// How many are looked at.
    pub k: u64,
    /// The share of them that is the attack.
    pub precision: f64,
}

/// What verdicts of a level and above find. Those on victims count for the packet that raised them: they tell an operator of
/// the attack, but not of the source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alerting {
    /// The share of the positives that is found; null without a positive.
    pub recall: Option<f64>,
    /// How often the attack takes place: once for each capture it is in.
    pub occurrences: u64,
    /// In how many of them at least one packet of the attack raised an alert, on its source or on its victim.
    pub alerted: u64,
    /// Seconds from an attack's first packet to its first alert: the median over those alerted.
    pub seconds_to_first_alert: Option<f64>,
}

impl Alerting {
    pub(super) fn new(
        found: u64,
        positives: u64,
        delays: impl Iterator<Item = Option<f64>>,
    ) -> Self {
        let delays: Vec<Option<f64>> = delays.collect();
        let mut alerted: Vec<f64> = delays.iter().copied().flatten().collect();
        alerted.sort_by(f64::total_cmp);
        Self {
            recall: (positives > 0).then(|| as_float(found) / as_float(positives)),
            occurrences: delays.len() as u64,
            alerted: alerted.len() as u64,
            // Of an even number, the lower of the two in the middle.
            seconds_to_first_alert: alerted.get(alerted.len().saturating_sub(1) / 2).copied(),
        }
    }
}

impl Report {
    /// The report as one JSON object.
    ///
    /// # Errors
    /// Never for a report made by this crate.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// Two tables of at most 120 columns, with what has to be known to read them.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "captures scored: {}, skipped: {}", self.captures, self.skipped.len())?;
        for skipped in &self.skipped {
            writeln!(f, "  skipped {}: {}", skipped.capture, skipped.why)?;
        }
        if self.left_out_packets > 0 {
            writeln!(
                f,
                "packets left out (victims, outside the stated time): {}",
                self.left_out_packets
            )?;
        }
        if !self.not_judged.is_empty() {
            writeln!(
                f,
                "packets never judged (not IP, undecodable, lost; an attack's count as missed):"
            )?;
        }
        for NotJudged { label, packets } in &self.not_judged {
            writeln!(f, "  {label}: {packets}")?;
        }
        false_alarms(f, "", &self.normal)?;
        if self.seen_in_training > 0 {
            writeln!(
                f,
                "SEEN IN TRAINING: the model was trained on {} of the captures scored; in the others:",
                self.seen_in_training
            )?;
            false_alarms(f, "  ", &self.normal_not_seen_in_training)?;
        }
        let bystanders = &self.bystanders;
        writeln!(
            f,
            "worst verdict in a capture with attackers and bystanders ({}): attacker's {}, the same {}, bystander's {}",
            bystanders.captures,
            bystanders.attacker_above,
            bystanders.same_level,
            bystanders.attacker_below
        )?;
        table(f, "packets", &self.packets)?;
        table(f, "sources", &self.sources)
    }
}

fn false_alarms(f: &mut fmt::Formatter<'_>, indent: &str, normal: &Normal) -> fmt::Result {
    writeln!(
        f,
        "{indent}normal traffic: {} packets of {} sources in {:.2} h",
        normal.packets, normal.sources, normal.hours
    )?;
    writeln!(
        f,
        "{indent}false alarms: WARNING+ {} packets ({}/h), HIGH+ {} packets ({}/h), {} sources ({}/h)",
        normal.warning_packets,
        rate(normal.warnings_per_hour),
        normal.high_packets,
        rate(normal.highs_per_hour),
        normal.alerted_sources,
        rate(normal.alerted_sources_per_hour)
    )
}

fn table(f: &mut fmt::Formatter<'_>, what: &str, rows: &[Row]) -> fmt::Result {
    writeln!(f)?;
    writeln!(
        f,
        "{:<23} {:>9}  {:^20}  {:^20}  {:^6}  {:^13}  {:^16}",
        format!("by {}", what.trim_end_matches('s')),
        "",
        "ROC-AUC",
        "average precision",
        "P@n",
        "recall at",
        "first alert, s"
    )?;
    let detectors = format!("{:>6} {:>6} {:>6}", "model", "rules", "verd.");
    writeln!(
        f,
        "{:<23} {what:>9}  {detectors}  {detectors}  {:>6}  {:>6} {:>6}  {:>8} {:>7}",
        "attack", "verd.", "WARN+", "HIGH+", "WARN+", "HIGH+"
    )?;
    for row in rows {
        let each = |figure: fn(&Quality) -> Option<f64>| {
            let figures: Vec<String> =
                row.detectors.iter().map(|quality| share(figure(quality))).collect();
            figures.join(" ")
        };
        let name: String = row.attack.chars().take(23).collect();
        writeln!(
            f,
            "{name:<23} {:>9}  {}  {}  {}  {} {}  {:>8} {:>7}",
            row.positives,
            each(|quality| quality.roc_auc),
            each(|quality| quality.average_precision),
            share(row.detectors.last().and_then(|quality| quality.precision_at_positives)),
            share(row.warning.recall),
            share(row.high.recall),
            rate(row.warning.seconds_to_first_alert),
            rate(row.high.seconds_to_first_alert),
        )?;
    }
    Ok(())
}

/// A figure from 0 to 1 in six columns.
fn share(figure: Option<f64>) -> String {
    figure.map_or_else(|| format!("{:>6}", "-"), |figure| format!("{figure:>6.4}"))
}

fn rate(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.1}"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of packets are far below 2^53")]
const fn as_float(count: u64) -> f64 {
    count as f64
}
