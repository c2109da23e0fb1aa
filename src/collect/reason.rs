//! Why a packet is above SAFE, in one line: the same words in every output.

use crate::eve::{Alert, Cause, Evidence};
use crate::event::Side;
use crate::intel::IntelEntryIndex;
use crate::rules::Rule;
use crate::verdict::{Detection, Level, Verdict};

/// The strongest single reason of a verdict above SAFE.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason<'d> {
    /// The rule of the highest risk that fired.
    Rule(&'d Rule),
    /// An entry of the intelligence, and which address it is about.
    Intel(Known<'d>),
    /// A decoy was touched: what the operator calls it.
    Decoy(&'d str),
    /// The model finds it rare.
    Rare,
    /// No single one: the weighted sum.
    Sum,
}

/// The entry of the intelligence of the higher risk, and which address it is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'d> {
    /// As what the address is known.
    pub(super) label: &'d str,
    /// Which address.
    pub(super) side: Side,
}

impl<'d> Reason<'d> {
    pub(super) fn of(verdict: &Verdict, detection: &'d Detection) -> Self {
        // The first of equals: the rules stand in a fixed order.
        let rules = verdict.rules().iter().filter_map(|index| detection.rules().rule(*index));
        let worst = rules.reduce(|worst, rule| if rule.risk > worst.risk { rule } else { worst });
        let (known, decoy) = (Known::of(verdict, detection), decoy_of(verdict, detection));
        let cause = Cause::of(Evidence {
            rule: worst.is_some(),
            intel: known.is_some(),
            decoy: decoy.is_some(),
            floor: verdict.floor,
        });
        match (cause, worst, known, decoy) {
            (Cause::Rule, Some(rule), ..) => Self::Rule(rule),
            (Cause::Intel, _, Some(known), _) => Self::Intel(known),
            (Cause::Decoy, .., Some(decoy)) => Self::Decoy(decoy),
            (Cause::Rare, ..) => Self::Rare,
            _ => Self::Sum,
        }
    }

    /// As EVE's object `alert`, with [`text`](Self::text) as its signature.
    pub(super) fn alert<'s>(self, level: Level, text: &'s str) -> Alert<'s>
    where
        'd: 's,
    {
        match self {
            Self::Rule(rule) => Alert::of_rule(rule, level, text),
            Self::Intel(_) => Alert::of_own(Cause::Intel, level, text),
            Self::Decoy(_) => Alert::of_own(Cause::Decoy, level, text),
            Self::Rare => Alert::of_own(Cause::Rare, level, text),
            Self::Sum => Alert::of_own(Cause::Sum, level, text),
        }
    }

    /// What is going on, in one of a fixed set of words.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Rule(rule) => rule.class.name(),
            Self::Intel(_) => "known-bad-address",
            Self::Decoy(_) => "decoy",
            Self::Rare => "rare",
            Self::Sum => "sum",
        }
    }

    /// In words.
    pub(super) fn text(self) -> String {
        match self {
            Self::Rule(rule) => rule.message.to_string(),
            Self::Intel(known) => format!("Threat intelligence: {}", known.label),
            Self::Decoy(name) => format!("Decoy touched: {name}"),
            Self::Rare => "Behaviour that is rare for the model".to_owned(),
            Self::Sum => "Weighted evidence above the threshold".to_owned(),
        }
    }
}

impl<'d> Known<'d> {
    pub(super) fn of(verdict: &Verdict, detection: &'d Detection) -> Option<Self> {
        let entry = |number| {
            IntelEntryIndex::decode(number).and_then(|index| detection.intel().entry(index))
        };
        let (entry, side) = match (entry(verdict.intel_source), entry(verdict.intel_destination)) {
            (Some(source), Some(destination)) if destination.risk > source.risk => {
                (destination, Side::Destination)
            }
            (Some(source), _) => (source, Side::Source),
            (None, Some(destination)) => (destination, Side::Destination),
            (None, None) => return None,
        };
        Some(Known { label: &entry.label, side })
    }
}

/// What the operator calls the decoy that was touched.
pub(super) fn decoy_of<'d>(verdict: &Verdict, detection: &'d Detection) -> Option<&'d str> {
    let index = usize::from(verdict.decoy).checked_sub(1)?;
    detection.decoys().all().get(index).map(|decoy| &*decoy.name)
}
