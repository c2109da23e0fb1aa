//! `--dump-features`: one CSV line for each packet, with everything that its verdict rests on.

use std::io::{self, Write};

use super::Sink;
use crate::features::SCHEMA;
use crate::verdict::{Detection, Verdict};

/// Writes packets, features, scores and verdicts as CSV (RFC 4180), in the order of the packets.
///
/// Numbers are written in the shortest form that reads back as the same `f32`, so equal bits give equal text.
#[derive(Debug)]
pub struct FeatureDump<W> {
    out: W,
    name: String,
}

impl<W: Write> FeatureDump<W> {
    /// Writes the head line. `name` is what error messages call it.
    ///
    /// # Errors
    ///
    /// When `out` can't be written.
    pub fn new(mut out: W, name: String) -> io::Result<Self> {
        write!(out, "packet,timestamp_ns,src_ip,dst_ip,src_port,dst_port,protocol")?;
        for feature in &SCHEMA {
            write!(out, ",{}", feature.name)?;
        }
        writeln!(out, ",anomaly_score,model_risk,rule_risk,intel_risk,total,verdict")?;
        Ok(Self { out, name })
    }
}

impl<W: Write> Sink for FeatureDump<W> {
    fn name(&self) -> String {
        format!("features to {}", self.name)
    }

    fn take(&mut self, verdict: &Verdict, _: &Detection) -> io::Result<()> {
        if verdict.is_of_victim() {
            return Ok(());
        }
        let packet = &verdict.digest;
        let (source_port, destination_port) = packet.ports().unwrap_or_default();
        write!(
            self.out,
            "{},{},{},{},{},{},{}",
            packet.sequence,
            packet.time.as_nanos(),
            packet.source,
            packet.destination,
            source_port,
            destination_port,
            packet.protocol
        )?;
        for value in verdict.features.0 {
            write!(self.out, ",{value}")?;
        }
        writeln!(
            self.out,
            ",{},{},{},{},{},{}",
            verdict.anomaly_score,
            verdict.model_risk,
            verdict.rule_risk,
            verdict.intel_risk,
            verdict.total,
            verdict.level
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
