//! What was found wrong with machine and interface.

use serde::Serialize;
use utoipa::ToSchema;

use super::words;
use crate::doctor::{Part, Report, Severity};

/// What `phantomnet doctor` would say, without having listened to the traffic.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Findings {
    /// The interface; null for a machine alone.
    interface: Option<String>,
    /// The worst of them.
    #[schema(schema_with = severities)]
    worst: Severity,
    /// One for each thing that was looked at, the worst first.
    findings: Vec<ShownFinding>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
struct ShownFinding {
    #[schema(schema_with = severities)]
    severity: Severity,
    #[schema(schema_with = parts)]
    part: Part,
    /// The name of the check.
    check: &'static str,
    /// What is so.
    what: String,
    /// Why it matters; empty where all is well.
    why: String,
    /// The command that mends it; null where there is none.
    mend: Option<String>,
}

fn severities() -> utoipa::openapi::Object {
    words(Severity::ALL.map(Severity::name))
}

fn parts() -> utoipa::openapi::Object {
    words(["box", "interface", "tap"])
}

impl Findings {
    pub(in super::super) fn of(report: Report) -> Self {
        let worst = report.worst();
        let mut findings: Vec<_> = report
            .findings
            .into_iter()
            .map(|finding| ShownFinding {
                severity: finding.severity,
                part: finding.part,
                check: finding.check,
                what: finding.what,
                why: finding.why,
                mend: finding.mend,
            })
            .collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self { interface: report.interface, worst, findings }
    }
}
