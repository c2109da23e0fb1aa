//! What the doctor has found: one line each, and all of them as a page or as JSON.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use super::tap::Heard;

/// How bad a finding is. The order is that of the exit code's concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It could not be read, so nothing is said of it.
    Unknown,
    /// It works; something could be better.
    Advice,
    /// Frames can be lost or be other than on the wire.
    Warning,
    /// Frames are lost or false.
    Fault,
}

impl Severity {
    /// Every one, the best first.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Unknown, Self::Advice, Self::Warning, Self::Fault];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Advice => "advice",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// What was examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The machine, whatever it captures from.
    Box,
    /// The interface and its driver.
    Interface,
    /// What comes in through it.
    Tap,
}

/// One thing that was examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it was found.
    pub part: Part,
    /// The name of the check: the same on every machine and in every version.
    pub check: &'static str,
    /// What is so.
    pub what: String,
    /// Why it matters; nothing where all is well.
    pub why: String,
    /// The command that mends it, where there is one.
    pub mend: Option<String>,
}

impl Finding {
    fn new(severity: Severity, part: Part, check: &'static str, what: impl Into<String>) -> Self {
        Self { severity, part, check, what: what.into(), why: String::new(), mend: None }
    }

    /// Adds why it matters.
    pub(super) fn since(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds the command that mends it.
    pub(super) fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }
}

impl Part {
    pub(super) fn ok(self, check: &'static str, what: impl Into<String>) -> Finding {
        Finding::new(Severity::Ok, self, check, what)
    }

    pub(super) fn advice(self, check: &'static str, what: impl Into<String>) -> Finding {
        Finding::new(Severity::Advice, self, check, what)
    }

    pub(super) fn warning(self, check: &'static str, what: impl Into<String>) -> Finding {
        Finding::new(Severity::Warning, self, check, what)
    }

    pub(super) fn fault(self, check: &'static str, what: impl Into<String>) -> Finding {
        Finding::new(Severity::Fault, self, check, what)
    }

    /// Something that could not be read: what it is, and why not.
    pub(super) fn unknown(
        self,
        check: &'static str,
        subject: &str,
        reason: impl fmt::Display,
    ) -> Finding {
        Finding::new(Severity::Unknown, self, check, format!("not known: {subject} ({reason})"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}  {}", self.severity.name(), self.what)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        match &self.mend {
            Some(command) => write!(f, ". Mend: {command}"),
            None => Ok(()),
        }
    }
}

/// Everything that was examined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The interface, where one was.
    pub interface: Option<String>,
    /// What was heard on it, where it was listened to.
    pub tap: Option<Heard>,
    /// One for each thing that was looked at.
    pub findings: Vec<Finding>,
}

/// The report as one JSON object.
#[derive(Serialize)]
struct Object<'a> {
    interface: Option<&'a str>,
    worst: Severity,
    counts: std::collections::BTreeMap<&'static str, usize>,
    findings: &'a [Finding],
    tap: Option<&'a Heard>,
}

impl Report {
    /// How bad the worst finding is.
    #[must_use]
    pub fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// How many there are of each severity, the worst first: `1 fault, 0 warnings, ...`.
    #[must_use]
    pub fn sum(&self) -> String {
        let [ok, unknown, advice, warnings, faults] = Severity::ALL.map(|of| self.count(of));
        let many = |count: usize| if count == 1 { "" } else { "s" };
        format!(
            "{faults} fault{}, {warnings} warning{}, {advice} advice, {unknown} not known, {ok} ok",
            many(faults),
            many(warnings)
        )
    }

    /// A page: a line for each finding, by what was examined.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::new();
        for part in [Part::Box, Part::Interface, Part::Tap] {
            let mut findings =
                self.findings.iter().filter(|finding| finding.part == part).peekable();
            if findings.peek().is_none() {
                continue;
            }
            writeln!(page, "{}", self.heading(part)).expect("a String takes everything");
            for finding in findings {
                writeln!(page, "  {finding}").expect("a String takes everything");
            }
        }
        writeln!(page, "{}", self.sum()).expect("a String takes everything");
        page
    }

    fn heading(&self, part: Part) -> String {
        let interface = self.interface.as_deref().unwrap_or_default();
        match part {
            Part::Box => "box".to_owned(),
            Part::Interface => format!("interface {interface}"),
            Part::Tap => match &self.tap {
                Some(heard) => format!("tap on {interface}, {:.1} s", heard.seconds),
                None => format!("tap on {interface}"),
            },
        }
    }
}

impl Serialize for Report {
    /// With the sums, as the page has them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = Severity::ALL.map(|severity| (severity.name(), self.count(severity)));
        let object = Object {
            interface: self.interface.as_deref(),
            worst: self.worst(),
            counts: counts.into_iter().collect(),
            findings: &self.findings,
            tap: self.tap.as_ref(),
        };
        object.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let findings = vec![
            Part::Box.ok("kernel", "kernel 6.1"),
            Part::Box.unknown("governor", "the governor", "no such file"),
            Part::Interface.fault("offloads", "rx-gro is on").since("frames merge").mended_by("x"),
        ];
        Report { interface: Some("eth1".to_owned()), tap: None, findings }
    }

    #[test]
    fn a_page_has_a_line_for_each_finding_and_ends_with_their_count() {
        let page = "box\n  ok       kernel 6.1\n  unknown  not known: the governor (no such file)\n\
                    interface eth1\n  fault    rx-gro is on: frames merge. Mend: x\n\
                    1 fault, 0 warnings, 0 advice, 1 not known, 1 ok\n";
        assert_eq!(report().render(), page);
    }

    #[test]
    fn json_has_the_same_findings() {
        let json: serde_json::Value = serde_json::to_value(report()).unwrap();
        assert_eq!(json["worst"], "fault");
        assert_eq!(json["counts"]["unknown"], 1);
        assert_eq!(json["findings"].as_array().unwrap().len(), 3);
        assert_eq!(json["findings"][2]["mend"], "x");
        assert_eq!(json["findings"][0]["mend"], serde_json::Value::Null);
    }

    #[test]
    fn the_worst_decides() {
        assert_eq!(report().worst(), Severity::Fault);
        let empty = Report { interface: None, tap: None, findings: Vec::new() };
        assert_eq!(empty.worst(), Severity::Ok);
        assert!(Severity::Unknown < Severity::Advice && Severity::Advice < Severity::Warning);
    }
}
