//! Of an event of a running sensor: what the sensor itself says of it, in words.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::score::Score;
use crate::cli::client::{AskError, Client, Text};
use crate::event::EventId;

/// What the sensor answers.
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    /// As they came, for programs.
    event: Box<RawValue>,
    explanation: Box<RawValue>,
    /// What of them is told to people.
    #[serde(skip)]
    about: About,
    #[serde(skip)]
    reasons: Reasons,
}

/// Of `/api/events/{id}`.
#[derive(Debug, Deserialize)]
struct About {
    id: Text,
    time: Text,
    src_ip: Option<Text>,
    src_port: Option<u16>,
    dst_ip: Option<Text>,
    dst_port: Option<u16>,
    protocol_name: Text,
    is_of_victim: bool,
    sources: Option<u64>,
    count: u64,
    alerts: u64,
    confidence: Option<Confidence>,
}

#[derive(Debug, Deserialize)]
struct Confidence {
    quantile: f32,
    calibration_rows: Option<u64>,
    in_training_range: Option<bool>,
}

/// Of `/api/events/{id}/explanation`.
#[derive(Debug, Deserialize)]
struct Reasons {
    verdict: Text,
    reason: Text,
    parts: Vec<Part>,
    total: f32,
    thresholds: Option<Thresholds>,
    floor: Option<Text>,
    floor_level: Option<Text>,
    rules: Vec<Rule>,
    intel: Option<Intel>,
    decoy: Option<Text>,
    score: Option<Score>,
    safe_if: Option<SafeIf>,
    note: Option<Text>,
}

#[derive(Debug, Deserialize)]
struct Part {
    part: Text,
    risk: f32,
    weight: Option<f64>,
    points: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Thresholds {
    warning: f64,
    high: f64,
    critical: f64,
}

#[derive(Debug, Deserialize)]
struct Rule {
    rule: u32,
    message: Option<Text>,
    risk: Option<u8>,
}

#[derive(Debug, Deserialize)]
struct Intel {
    label: Text,
    matched: Text,
}

#[derive(Debug, Deserialize)]
struct SafeIf {
    without: Vec<Vec<Text>>,
    feature: Option<Change>,
}

#[derive(Debug, Deserialize)]
struct Change {
    feature: Text,
    from: f32,
    to: f32,
    anomaly_score: f32,
}

/// Asks for the event and its reasons.
pub(super) fn ask(client: &Client, id: EventId) -> Result<Answered, AskError> {
    let path = format!("/api/events/{id}");
    let (event, about) = client.both(&path)?;
    let (explanation, reasons) = client.both(&format!("{path}/explanation"))?;
    Ok(Answered { event, explanation, about, reasons })
}

impl Answered {
    pub(super) fn page(&self) -> String {
        let mut page = String::new();
        let reasons = &self.reasons;
        let parts = [
            self.about.lines(),
            reasons.evidence(),
            reasons.rules(),
            self.about.confidence.iter().map(Confidence::line).collect(),
            reasons.score.as_ref().map(Score::lines).unwrap_or_default(),
            reasons.safe_if(),
            reasons.note.iter().map(ToString::to_string).collect(),
        ];
        let verdict = format!("{} {}", reasons.verdict, reasons.reason);
        writeln!(page, "{}", verdict.trim()).expect("a String takes everything");
        for line in parts.iter().flatten() {
            writeln!(page, "{line}").expect("a String takes everything");
        }
        page
    }
}

impl About {
    fn lines(&self) -> Vec<String> {
        let Self { id, time, protocol_name, count, alerts, .. } = self;
        let end = |ip: &Option<Text>, port: Option<u16>| {
            let ip = ip.as_ref().map_or("many", Text::as_str);
            match port {
                Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
                Some(port) => format!("{ip}:{port}"),
                None => ip.to_owned(),
            }
        };
        let to = end(&self.dst_ip, self.dst_port);
        let (from, stands_for) = if self.is_of_victim {
            let sources = self.sources.map_or("many".to_owned(), |sources| sources.to_string());
            (format!("{sources} sources"), format!("{alerts} verdicts about the victim"))
        } else {
            let packets = if *count == 1 { "packet" } else { "packets" };
            (end(&self.src_ip, self.src_port), format!("{count} {packets}"))
        };
        vec![format!("event {id}: {from} to {to} {protocol_name}, {stands_for}, since {time}")]
    }
}

impl Confidence {
    fn line(&self) -> String {
        let rows = self.calibration_rows.map_or("the".to_owned(), |rows| rows.to_string());
        let outside = match self.in_training_range {
            Some(false) => "; a feature lies where training has seen nothing, so it says little",
            _ => "",
        };
        format!(
            "its score is above {:.3} % of {rows} training rows{outside}",
            self.quantile * 100.0
        )
    }
}

impl Reasons {
    /// The sum and what raised the verdict above it.
    fn evidence(&self) -> Vec<String> {
        let known =
            |number: Option<f64>| number.map_or("?".to_owned(), |number| format!("{number:.2}"));
        let mut lines =
            vec![format!("{:<10}{:>8}{:>9}{:>9}", "evidence", "risk", "weight", "points")];
        for Part { part, risk, weight, points } in &self.parts {
            lines.push(format!("{part:<10}{risk:>8.1}{:>9}{:>9}", known(*weight), known(*points)));
        }
        let begins = self.thresholds.as_ref().map(|Thresholds { warning, high, critical }| {
            format!(
                "; WARNING begins above {warning}, HIGH above {high}, CRITICAL above {critical}"
            )
        });
        lines.push(format!("sum {:.2} of 100{}", self.total, begins.unwrap_or_default()));
        if let Some(floor) = &self.floor {
            let level = self.floor_level.as_ref().unwrap_or(&self.verdict);
            lines
                .push(format!("raised to {level} by the floor {floor}: {}", floor_in_words(floor)));
        }
        lines.extend(self.intel.iter().map(|Intel { label, matched }| {
            let side = if matched.as_str() == "src_ip" { "source" } else { "destination" };
            format!("intelligence knows the {side} as {label}")
        }));
        lines.extend(self.decoy.iter().map(|decoy| format!("it touched the decoy {decoy}")));
        lines
    }

    fn rules(&self) -> Vec<String> {
        let line = |rule: &Rule| {
            let risk = rule.risk.map_or("?".to_owned(), |risk| risk.to_string());
            let says = rule.message.as_ref().map_or("", Text::as_str);
            format!("rule {} (risk {risk}) {says}", rule.rule).trim_end().to_owned()
        };
        self.rules.iter().map(line).collect()
    }

    fn safe_if(&self) -> Vec<String> {
        let Some(SafeIf { without, feature }) = &self.safe_if else { return Vec::new() };
        let mut lines: Vec<String> = without
            .iter()
            .map(|set| {
                let names: Vec<&str> = set.iter().map(Text::as_str).collect();
                format!("it would be SAFE without: {}", names.join(" and "))
            })
            .collect();
        lines.extend(feature.iter().map(|Change { feature, from, to, anomaly_score }| {
            format!("the model would find it usual if {feature} were {to}, not {from} (score {anomaly_score:.6})")
        }));
        lines
    }
}

/// What the policy calls its floors, in a sentence.
fn floor_in_words(floor: &Text) -> &str {
    match floor.as_str() {
        "intel_hit_high" => "an address that intelligence knows is at least HIGH",
        "rule_80_high" => "a rule of risk 80 or more is at least HIGH",
        "model_quantile_warning" => "a score as rare as one in ten thousand is at least WARNING",
        "intel_and_rule_critical" => "a known address and a rule of risk 60 or more are CRITICAL",
        "decoy_high" => "touching a decoy is at least HIGH",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Floor;

    /// An event that another detection judged, about a victim; and one whose texts were written by an attacker.
    fn answered(about: serde_json::Value, reasons: serde_json::Value) -> String {
        let raw = RawValue::from_string("{}".to_owned()).unwrap();
        let (about, reasons) =
            (serde_json::from_value(about).unwrap(), serde_json::from_value(reasons).unwrap());
        Answered { event: raw.clone(), explanation: raw, about, reasons }.page()
    }

    fn about_a_victim() -> serde_json::Value {
        serde_json::json!({
            "id": "0192a3b4c5d6e7f8-17", "time": "2026-01-01T00:00:00Z", "src_ip": null,
            "src_port": null, "dst_ip": "2001:db8::1", "dst_port": 443, "protocol_name": "TCP",
            "is_of_victim": true, "sources": 311, "count": 0, "alerts": 9, "confidence": null,
        })
    }

    fn by_another_detection(reason: &str) -> serde_json::Value {
        serde_json::json!({
            "verdict": "HIGH", "reason": reason,
            "parts": [{"part": "rules", "risk": 90.0, "weight": null, "points": null}],
            "total": 27.0, "thresholds": null, "floor": "rule_80_high", "floor_level": "HIGH",
            "rules": [{"rule": 7, "message": null, "risk": null}], "intel": null,
            "decoy": "old-printer", "score": null, "safe_if": null,
            "note": "detection 0000000a judged",
        })
    }

    #[test]
    fn an_event_about_a_victim_that_another_detection_judged_is_told_as_far_as_it_is_known() {
        let page = answered(about_a_victim(), by_another_detection("SYN flood"));
        for line in [
            "HIGH SYN flood",
            "event 0192a3b4c5d6e7f8-17: 311 sources to [2001:db8::1]:443 TCP, 9 verdicts about the victim, \
             since 2026-01-01T00:00:00Z",
            "rules         90.0        ?        ?",
            "sum 27.00 of 100",
            "rule 7 (risk ?)",
            "it touched the decoy old-printer",
            "detection 0000000a judged",
        ] {
            assert!(page.lines().any(|said| said == line), "{line}\n{page}");
        }
        assert!(!page.contains("SAFE"), "{page}");
    }

    #[test]
    fn no_control_character_of_an_answer_reaches_the_page() {
        let page = answered(about_a_victim(), by_another_detection("\u{1b}[2J\u{9b}31m\u{202e}"));
        assert!(page.contains("[2J"), "{page}");
        assert!(!page.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'));
    }

    #[test]
    fn every_floor_of_the_policy_has_its_sentence() {
        for floor in Floor::ALL {
            let name = Text::from(floor.name());
            assert_ne!(floor_in_words(&name), floor.name());
        }
    }
}
