//! The summary as a page for people.

use std::fmt::Write as _;

use super::{Highlights, Summary};
use crate::collect::reason::Reason;
use crate::model::AnomalyScore;
use crate::verdict::{Detection, Level};

/// Renders the page: what came, what was judged, what stands out, what was refused, how fast it went.
#[must_use]
pub fn render_text(summary: &Summary, highlights: &Highlights, detection: &Detection) -> String {
    let mut page = String::new();
    let parts = [
        traffic(summary, highlights),
        verdicts(summary),
        sources(highlights, detection),
        victims(highlights, detection),
        rules(highlights, detection),
        anomalies(highlights, detection),
        refused(summary),
        accounting(summary),
        speed(summary),
        next_steps(summary),
    ];
    for part in parts.iter().filter(|part| !part.is_empty()) {
        page.push_str(part);
        page.push('\n');
    }
    page
}

/// One line of the page. Writing into a `String` can't fail.
macro_rules! line {
    ($page:expr, $($argument:tt)*) => {
        writeln!($page, $($argument)*).expect("a String takes everything")
    };
}

fn traffic(summary: &Summary, highlights: &Highlights) -> String {
    let mut page = String::new();
    line!(page, "Traffic");
    line!(
        page,
        "  {} frames, {} bytes on the wire",
        thousands(summary.packets),
        thousands(summary.bytes)
    );
    if let (Some(first), Some(last)) = (highlights.first, highlights.last) {
        line!(page, "  {first:.19} to {last:.19} ({:.1} s)", last.secs_since(first));
    }
    page
}

fn verdicts(summary: &Summary) -> String {
    let mut page = String::new();
    line!(page, "Verdicts");
    if summary.rules.refused > 0 {
        line!(
            page,
            "  {} rules were refused and left out; `phantomnet check` names them",
            summary.rules.refused
        );
    }
    let judged: u64 = summary.verdicts.values().sum();
    for level in Level::ALL.iter().rev() {
        let count = summary.verdicts.get(level.name()).copied().unwrap_or(0);
        line!(page, "  {:<9}{:>14}  {:>8}", level.name(), thousands(count), percent(count, judged));
    }
    page
}

fn sources(highlights: &Highlights, detection: &Detection) -> String {
    let worst = highlights.worst_sources();
    let mut page = String::new();
    if worst.is_empty() {
        line!(page, "Top sources\n  none above SAFE");
        return page;
    }
    line!(
        page,
        "Top sources (the worst of {} with packets above SAFE)",
        thousands(highlights.sources.len() as u64)
    );
    line!(page, "  {:<26}{:<10}{:>13}  worst packet, and why", "source", "worst", "above SAFE");
    for (address, source) in worst {
        line!(
            page,
            "  {:<26}{:<10}{:>13}  {}: {}",
            address.to_string(),
            source.worst.level,
            thousands(source.packets),
            source.worst.digest.sequence,
            visible(&Reason::of(&source.worst, detection).text())
        );
    }
    if highlights.sources_not_followed > 0 {
        line!(
            page,
            "  {} more packets above SAFE of sources not listed",
            thousands(highlights.sources_not_followed)
        );
    }
    page
}

fn victims(highlights: &Highlights, detection: &Detection) -> String {
    let mut page = String::new();
    if highlights.victims.is_empty() {
        return page;
    }
    line!(page, "Destinations under attack");
    let mut victims: Vec<_> = highlights.victims.iter().collect();
    victims.sort_by(|(a, x), (b, y)| {
        y.worst.level.cmp(&x.worst.level).then(y.verdicts.cmp(&x.verdicts)).then(a.cmp(b))
    });
    for (address, victim) in victims.into_iter().take(super::LISTED) {
        line!(
            page,
            "  {:<26}{:<10}{:>13}  from {} sources: {}",
            address.to_string(),
            victim.worst.level,
            thousands(victim.verdicts),
            thousands(u64::from(victim.worst.sources)),
            visible(&Reason::of(&victim.worst, detection).text())
        );
    }
    page
}

fn rules(highlights: &Highlights, detection: &Detection) -> String {
    let mut page = String::new();
    let busiest = highlights.busiest_rules();
    if busiest.is_empty() {
        line!(page, "Top rules\n  none of {} fired", detection.rules().len());
        return page;
    }
    line!(page, "Top rules ({} of {} fired)", highlights.rules.len(), detection.rules().len());
    for (index, count) in busiest {
        let Some(rule) = detection.rules().rule(index) else { continue };
        line!(
            page,
            "  {:>14}  risk {:>3}  {} {}",
            thousands(count),
            rule.risk,
            rule.sid,
            visible(&rule.message)
        );
    }
    page
}

fn anomalies(highlights: &Highlights, detection: &Detection) -> String {
    let mut page = String::new();
    line!(
        page,
        "Highest anomaly scores (one for each source; model {}; 1 is as rare as can be)",
        detection.model().about().name
    );
    for strange in &highlights.strangest {
        line!(
            page,
            "  score {:.4}  quantile {:.5}  packet {:<10} from {}",
            strange.score,
            AnomalyScore::new(strange.score)
                .map_or(f32::NAN, |score| detection.model().quantile(score)),
            strange.packet,
            strange.source
        );
    }
    page
}

fn refused(summary: &Summary) -> String {
    let mut page = String::new();
    line!(page, "Not judged");
    line!(page, "  {:<34}{:>14}", "no IP in it", thousands(summary.not_ip));
    for (reason, count) in &summary.undecodable {
        line!(page, "  {:<34}{:>14}", format!("undecodable: {reason}"), thousands(*count));
    }
    for (reason, count) in &summary.dropped {
        line!(page, "  {:<34}{:>14}", format!("dropped: {reason}"), thousands(*count));
    }
    page
}

fn accounting(summary: &Summary) -> String {
    let mut page = String::new();
    let s = &summary.sources;
    line!(page, "Accounting");
    line!(
        page,
        "  sources: {} live, {} begun, {} expired, {} evicted, {} denied",
        thousands(s.live),
        thousands(s.inserted),
        thousands(s.expired),
        thousands(s.evicted),
        thousands(s.denied)
    );
    line!(page, "  unaccounted: {}", thousands(summary.unaccounted));
    page
}

fn speed(summary: &Summary) -> String {
    let mut page = String::new();
    line!(page, "Speed");
    line!(
        page,
        "  {:.3} s, {} packets/s, {:.0} ns a packet, {} worker{}",
        summary.seconds,
        thousands(whole(summary.packets_per_second)),
        summary.ns_per_packet,
        summary.workers,
        if summary.workers == 1 { "" } else { "s" }
    );
    let stages: Vec<String> = STAGES
        .iter()
        .map(|stage| format!("{stage} {:.0}", summary.stage_ns.get(stage).copied().unwrap_or(0.0)))
        .collect();
    line!(page, "  ns by stage: {}", stages.join(", "));
    page
}

fn next_steps(summary: &Summary) -> String {
    let mut page = String::new();
    let above_safe: u64 =
        Level::ALL.iter().skip(1).filter_map(|level| summary.verdicts.get(level.name())).sum();
    if above_safe > 0 {
        line!(page, "To look closer");
        line!(page, "  every packet above SAFE with its reasons:  replay --eve alerts.json ...");
        line!(
            page,
            "  every packet with its features and score:  replay --dump-features f.csv ..."
        );
        line!(
            page,
            "  why one packet scored as it did:           explain --row f.csv --packet NUMBER"
        );
    }
    page
}

/// Text of others with control characters made visible: a terminal obeys them.
fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// The stages in the order in which a packet meets them.
const STAGES: [&str; 8] =
    ["capture", "decode", "inspect", "handover", "features", "model", "judge", "ring"];

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of packets is neither negative nor huge"
)]
const fn whole(rate: f64) -> u64 {
    rate as u64
}

#[expect(clippy::cast_precision_loss, reason = "a percentage with three decimals")]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.3} %", part as f64 * 100.0 / whole as f64) }
}

/// 1234567 -> 1,234,567.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn nothing_of_nothing_is_no_percentage() {
        assert_eq!(percent(0, 0), "-");
        assert_eq!(percent(1, 4), "25.000 %");
    }
}
