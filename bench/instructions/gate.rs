//! Counts held against the baseline: what has grown, what has shrunk, what is missing.

use std::collections::BTreeMap;
use std::fmt;

/// By how many percent a count may grow or shrink before something is said.
pub(crate) const PERCENT: f64 = 5.0;

/// Instructions per packet by the name of the scenario.
pub(crate) type Counts = BTreeMap<String, f64>;

/// What is to be said of one scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    /// It takes more than it may. Fails.
    Grew { scenario: String, old: f64, new: f64 },
    /// It takes so much less that the baseline would let much of it come back unseen. Passes.
    Shrank { scenario: String, old: f64, new: f64 },
    /// It was counted, and the baseline does not know it. Fails.
    NotInBaseline { scenario: String, new: f64 },
    /// The baseline knows it, and it was not counted. Fails.
    NotCounted { scenario: String },
}

impl Finding {
    /// Whether the gate is closed by it.
    pub(crate) const fn fails(&self) -> bool {
        !matches!(self, Self::Shrank { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grew { scenario, old, new } => write!(
                f,
                "FAILED  {scenario}: {old:.1} -> {new:.1} instructions per packet, {:+.1} %, more than {PERCENT} %: \
                 make it cheaper, or change bench/instructions.toml in the same commit and say why",
                growth(*old, *new)
            ),
            Self::Shrank { scenario, old, new } => write!(
                f,
                "STALE   {scenario}: {old:.1} -> {new:.1} instructions per packet, {:+.1} %: the baseline is stale, \
                 tighten it in the same commit (make instructions-baseline), or the gain can be lost unseen",
                growth(*old, *new)
            ),
            Self::NotInBaseline { scenario, new } => write!(
                f,
                "FAILED  {scenario}: counted ({new:.1} instructions per packet), but not in bench/instructions.toml: \
                 add it there (make instructions-baseline)"
            ),
            Self::NotCounted { scenario } => write!(
                f,
                "FAILED  {scenario}: in bench/instructions.toml, but not counted: bring the scenario back, or take its \
                 line out in the same commit and say why"
            ),
        }
    }
}

/// What is to be said of `counted`, in the order of the names.
pub(crate) fn compare(baseline: &Counts, counted: &Counts) -> Vec<Finding> {
    let names = baseline.keys().chain(counted.keys().filter(|name| !baseline.contains_key(*name)));
    let mut findings: Vec<(&String, Finding)> = names
        .filter_map(|name| {
            let finding = of_one(name, baseline.get(name).copied(), counted.get(name).copied());
            Some((name, finding?))
        })
        .collect();
    findings.sort_by_key(|(name, _)| *name);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

fn of_one(name: &str, old: Option<f64>, new: Option<f64>) -> Option<Finding> {
    let scenario = name.to_owned();
    match (old, new) {
        (Some(old), Some(new)) if growth(old, new) < -PERCENT => {
            Some(Finding::Shrank { scenario, old, new })
        }
        // What is no number has not been counted, and did not stay below anything.
        (Some(old), Some(new)) if growth(old, new) > PERCENT || growth(old, new).is_nan() => {
            Some(Finding::Grew { scenario, old, new })
        }
        (None, Some(new)) => Some(Finding::NotInBaseline { scenario, new }),
        (Some(_), None) => Some(Finding::NotCounted { scenario }),
        _ => None,
    }
}

/// By how many percent `new` is above `old`.
pub(crate) fn growth(old: f64, new: f64) -> f64 {
    (new - old) / old * 100.0
}
