//! What judges.

use std::fmt;

use super::page::Page;
use crate::api::Reloads;
use crate::verdict::Detection;

pub(super) fn reloads(page: &mut Page<'_>, reloads: &Reloads) -> fmt::Result {
    let Reloads { since: _, read, replaced, unchanged, refused, fault } = reloads;
    let results = [("replaced", *replaced), ("unchanged", *unchanged), ("refused", *refused)];
    page.counters(
        "phantomnet_detection_reloads_total",
        "What reloads came to",
        results.map(|(result, count)| ([("result", result)], count)),
    )?;
    page.gauge(
        "phantomnet_detection_read_timestamp_seconds",
        "When the files of model, rules and intelligence were last read and not refused, Unix time",
        u64::try_from(read.as_secs()).unwrap_or_default(),
    )?;
    page.gauge(
        "phantomnet_detection_reload_fault",
        "1 while the last reload was refused: the detection before it judges",
        u64::from(fault.is_some()),
    )
}

pub(super) fn encode(page: &mut Page<'_>, detection: &Detection) -> fmt::Result {
    let model = detection.model();
    let schema = model.schema().version.to_string();
    page.info(
        "phantomnet_model_info",
        "The model that scores: its name, the SHA-256 of its file, the version of its features",
        [
            ("name", model.about().name.as_str()),
            ("sha256", model.sha256()),
            ("schema", schema.as_str()),
        ],
    )?;
    let version = format!("{:08x}", detection.version());
    page.info(
        "phantomnet_detection_info",
        "The version of model, rules, intelligence, decoys and policy together",
        [("version", version.as_str())],
    )?;
    page.gauge(
        "phantomnet_model_created_timestamp_seconds",
        "When the model was made, Unix time",
        u64::try_from(model.about().created_at.as_secs()).unwrap_or_default(),
    )?;
    page.gauge(
        "phantomnet_model_calibration_rows",
        "Rows that the model's calibration rests on",
        model.calibration_rows(),
    )?;
    page.gauge("phantomnet_rules", "Rules loaded", detection.rules().len() as u64)?;
    page.gauge(
        "phantomnet_rules_refused",
        "Rules refused when they were loaded",
        detection.rules().refused() as u64,
    )?;
    page.gauge(
        "phantomnet_intel_entries",
        "Entries of intelligence loaded",
        detection.intel().len() as u64,
    )?;
    page.gauge("phantomnet_decoys", "Decoys", detection.decoys().all().len() as u64)
}
