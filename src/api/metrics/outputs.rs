//! What each output does with its records.

use std::fmt;

use super::super::Live;
use super::page::Page;
use crate::outputs::OutputStats;

/// The outputs that there are.
pub(super) fn encode(page: &mut Page<'_>, live: &Live) -> fmt::Result {
    let outputs: Vec<(&str, OutputStats)> =
        live.outputs.iter().map(|(name, stats)| (*name, stats.read())).collect();
    page.counters(
        "phantomnet_output_records_total",
        "Records of an output (EVE lines, messages about incidents) by outcome: offered is the sum of the others and of what waits",
        outputs.iter().flat_map(|(name, stats)| {
            [
                ("offered", stats.offered),
                ("written", stats.written),
                ("refused", stats.refused),
                ("failed", stats.failed),
            ]
            .map(|(outcome, records)| ([("output", *name), ("outcome", outcome)], records))
        }),
    )?;
    page.gauges(
        "phantomnet_output_waiting_records",
        "Records in memory that the other side has not taken yet",
        outputs.iter().map(|(name, stats)| ([("output", *name)], stats.waiting)),
    )?;
    page.gauges(
        "phantomnet_output_up",
        "1 while the other side takes records",
        outputs.iter().map(|(name, stats)| ([("output", *name)], u64::from(stats.is_up))),
    )?;
    page.counters(
        "phantomnet_output_failures_total",
        "Tries to deliver that failed, and were repeated",
        outputs.iter().map(|(name, stats)| ([("output", *name)], stats.failures)),
    )
}
