//! Old rows of the ledger are added up, old markers thinned out; see [`fold`].

use super::{Run, moment};
use crate::store::{StoreError, fold};

impl Run<'_> {
    /// Folds a slice of every run. Returns whether that was all there is.
    pub(super) async fn fold(&self) -> Result<bool, StoreError> {
        let before = moment(self.now.plus_nanos(-fold::AFTER_SECONDS * 1_000_000_000));
        // Of a run that is folded only the last batch is left.
        let question = format!(
            "SELECT epoch FROM epochs e WHERE started_at < {before} \
             AND (SELECT count(*) FROM (SELECT FROM ingest_batches b WHERE b.sensor = e.sensor AND b.epoch = e.epoch LIMIT 2) AS two) > 1"
        );
        let runs = self.rows(&question, &[]).await?;
        let mut whole = true;
        for run in &runs {
            let epoch: i64 = run.get(0);
            whole &=
                self.fold_ledger(epoch, &before).await? & self.thin_markers(epoch, &before).await?;
        }
        Ok(whole)
    }

    async fn fold_ledger(&self, epoch: i64, before: &str) -> Result<bool, StoreError> {
        let slice = fold::SLICE_ROWS;
        // The last batch stays: it says when the run last committed something.
        let of_run = format!(
            "sensor = (SELECT sensor FROM epochs WHERE epoch = {epoch}) AND epoch = {epoch}"
        );
        let question = format!(
            "WITH old AS (SELECT max(batch_no) AS upto FROM (SELECT batch_no, committed_at FROM ingest_batches WHERE {of_run} \
             ORDER BY batch_no LIMIT {slice}) AS first WHERE committed_at < {before} \
             AND batch_no < (SELECT max(batch_no) FROM ingest_batches WHERE {of_run})), \
             gone AS (DELETE FROM ingest_batches WHERE {of_run} AND batch_no <= (SELECT upto FROM old) RETURNING *), \
             folded AS (INSERT INTO folded_batches AS f (sensor, epoch, upto, batches, rows, packets, alerts, quarantined_rows, \
             quarantined_packets, quarantined_alerts) SELECT sensor, epoch, max(batch_no), count(*), {} FROM gone GROUP BY sensor, epoch \
             ON CONFLICT (sensor, epoch) DO UPDATE SET upto = excluded.upto, batches = f.batches + excluded.batches, {}) \
             SELECT count(*) FROM gone",
            SUMMED.map(|column| most(&format!("sum({column})"))).join(", "),
            SUMMED
                .map(|column| format!(
                    "{column} = {}",
                    most(&format!("f.{column}::numeric + excluded.{column}"))
                ))
                .join(", "),
        );
        self.is_less_than_a_slice(&question).await
    }

    async fn thin_markers(&self, epoch: i64, before: &str) -> Result<bool, StoreError> {
        let (slice, kept) = (fold::SLICE_ROWS, fold::MARKERS_KEPT);
        let question = format!(
            "WITH run AS (SELECT sensor, epoch, markers_upto FROM folded_batches JOIN epochs USING (sensor, epoch) WHERE epoch = {epoch}), \
             seen AS (SELECT max(number) AS upto FROM (SELECT a.number, a.at FROM accounting a JOIN run USING (epoch) \
             WHERE a.number > run.markers_upto AND a.number < (SELECT max(number) FROM accounting WHERE epoch = {epoch} AND kind <> 3) \
             ORDER BY a.number LIMIT {slice}) AS first WHERE at < {before}), \
             gone AS (DELETE FROM accounting a USING run, seen WHERE a.epoch = run.epoch AND a.number > run.markers_upto \
             AND a.number <= seen.upto AND a.kind = 1 AND a.number % {kept} <> 0 RETURNING a.number), \
             noted AS (UPDATE folded_batches f SET markers_upto = seen.upto, markers = f.markers + (SELECT count(*) FROM gone) \
             FROM run, seen WHERE f.sensor = run.sensor AND f.epoch = run.epoch AND seen.upto IS NOT NULL) \
             SELECT count(*) FROM gone"
        );
        self.is_less_than_a_slice(&question).await
    }

    /// Whether a statement that folds found less than it may take at once, by half at least.
    async fn is_less_than_a_slice(&self, question: &str) -> Result<bool, StoreError> {
        let rows = self.rows(question, &[]).await?;
        let gone: i64 = rows.first().map_or(0, |row| row.get(0));
        Ok(gone < i64::from(fold::SLICE_ROWS) / 2)
    }
}

/// The columns of the ledger that are added up.
const SUMMED: [&str; 6] =
    ["rows", "packets", "alerts", "quarantined_rows", "quarantined_packets", "quarantined_alerts"];

/// A sum that is full stays full.
fn most(sum: &str) -> String {
    format!("least({sum}, 9223372036854775807)::bigint")
}
