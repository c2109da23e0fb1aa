//! `phantomnet evaluate`: detection quality on traffic whose truth is known.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::complaints::{complaints, fail_on};
use super::progress::Bar;
use super::{ConfigArgument, Failure, output, setup, train};
use crate::capture::Reader;
use crate::collect::Sink;
use crate::evaluate::{Collector, Judged, Labels, Mismatch};
use crate::latest::Publisher;
use crate::sensor;
use crate::time::Timestamp;
use crate::verdict::{Detection, InForce, Verdict};

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/evaluate.txt"))]
pub(super) struct Evaluate {
    #[command(flatten)]
    config: ConfigArgument,

    /// The model file; what the configuration says without one.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// What is true of the captures (CSV or TSV).
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,

    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    summary: Form,

    /// The same as --summary json.
    #[arg(long, conflicts_with = "summary")]
    json: bool,

    /// The captures.
    #[arg(required = true, value_name = "PCAP")]
    captures: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Two tables.
    Text,
    /// One JSON object.
    Json,
}

impl Evaluate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = setup::load_config(&self.config)?;
        let params = setup::sensor_params(&config, 1)?;
        let model = match &self.model {
            Some(path) => setup::load_model_file(path)?,
            None => setup::load_model(&config.model.origin)?,
        };
        let detection = Publisher::new(InForce::first(setup::detection_with(
            &config,
            model.clone(),
            Timestamp::EPOCH,
        )?));
        let labels = Labels::read(&self.labels).map_err(Failure::configuration)?;
        let judging = Arc::clone(detection.current().newest());
        let training = judging.model().training().sources.iter();
        let mut collector = Collector::new(labels, training.map(|source| source.sha256.as_str()));
        let mut reproaches = Vec::new();
        for path in &self.captures {
            if collector.begin_capture(&train::sha256_of(path)?, &path.display().to_string()) {
                let reader = Reader::open(&[path]).map_err(Failure::operation)?;
                if !config.intel.feeds.is_empty() {
                    // Without what had expired when the capture was taken; what became known later counts too.
                    let moment = reader.next_time().unwrap_or_default();
                    drop(detection.replace(InForce::first(setup::detection_with(
                        &config,
                        model.clone(),
                        moment,
                    )?)));
                }
                reproaches.extend(judge(path, reader, &detection, &params, &mut collector)?);
            }
            collector.end_capture();
        }
        let report = collector.report();
        output::print(&match self.summary {
            Form::Text if !self.json => report.to_string(),
            Form::Text | Form::Json => output::as_json(&report)?,
        })?;
        fail_on(reproaches)
    }
}

/// Judges one capture. Returns what went wrong.
fn judge(
    path: &Path,
    reader: Reader,
    detection: &Publisher<InForce>,
    params: &sensor::SensorParams,
    collector: &mut Collector,
) -> Result<Vec<String>, Failure> {
    let bar = Bar::over(reader.progress(), &path.display().to_string());
    let mut judgements = Judgements { collector, mismatch: None };
    let replayed = sensor::replay(reader, detection, params, vec![&mut judgements]);
    drop(bar);
    match judgements.mismatch {
        Some(mismatch) => {
            Err(Failure::configuration(format!("{mismatch} than {}", path.display())))
        }
        None => Ok(complaints(&replayed)),
    }
}

struct Judgements<'a> {
    collector: &'a mut Collector,
    /// Why the labels can't be those of the capture; nothing is collected after that.
    mismatch: Option<Mismatch>,
}

impl Sink for Judgements<'_> {
    fn name(&self) -> String {
        "evaluation".to_owned()
    }

    fn take(&mut self, verdict: &Verdict, _: &Detection) -> io::Result<()> {
        if self.mismatch.is_none() {
            let judged = judged(verdict);
            let taken = if verdict.is_of_victim() {
                self.collector.push_victim(&judged)
            } else {
                self.collector.push(&judged)
            };
            self.mismatch = taken.err();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const fn judged(verdict: &Verdict) -> Judged {
    Judged {
        packet: verdict.digest.sequence,
        time: verdict.digest.time,
        source: verdict.digest.source,
        level: verdict.level as u8,
        total: verdict.total,
        anomaly: verdict.anomaly_score,
        rule_risk: verdict.rule_risk,
        intel_risk: verdict.intel_risk,
        model_risk: verdict.model_risk,
    }
}
