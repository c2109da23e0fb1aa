//! One transaction for a batch, or for a few that wait, and what to do with a row that the server refuses.
//!
//! ```text
//!  first flight    BEGIN, ledger row, epoch, COPY          answer: was a batch there already?
//!  second flight   rows ..., end of COPY, records, COMMIT  answer: done, or a row was refused
//! ```
//!
//! Two round trips and one wait for the server's disk for batches in which nothing is odd. If a row is refused, PostgreSQL has undone
//! everything by then, and the first batch is done again alone, at last carefully: halves under savepoints, until the row that is to blame stands alone.

use std::io::Cursor;
use std::pin::Pin;

use futures_util::SinkExt;
use futures_util::future::{join, join_all, join3, join5, try_join};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, CopyInSink, Error, Row, Statement};

use super::PostgresConfig;
use super::connection::{Link, is_rows_fault, prepare_all, reason};
use super::copy::{COPY, Rows};
use super::records::{Records, Statements, big, system_time};
use crate::event::{Batch, Epoch, Event};
use crate::store::printable::printable;
use crate::store::{Committed, StoreError};
use crate::time::Timestamp;

/// Commits batches in one transaction; or, where one of them is odd, the first of them alone. Says what became of those that are
/// committed.
pub(super) async fn commit(
    config: &PostgresConfig,
    session: &Session,
    batches: &[&Batch],
    now: Timestamp,
) -> Result<Vec<Committed>, StoreError> {
    let commit = |batch| Commit {
        config,
        session,
        batch,
        now,
        sensor: printable(&batch.sensor).into_owned(),
        records: Records::of(batch, now, &session.records),
    };
    let commits: Vec<_> = batches.iter().copied().map(commit).collect();
    let Some(first) = commits.first() else { return Ok(Vec::new()) };
    let tried = match first.at_once(&commits).await? {
        AtOnce::Committed => return Ok(vec![Committed::default(); commits.len()]),
        odd if commits.len() == 1 => odd,
        _odd => first.at_once(std::slice::from_ref(first)).await?,
    };
    Ok(vec![match tried {
        AtOnce::Committed => Committed::default(),
        AtOnce::Already => first.already().await?,
        AtOnce::Refused => first.carefully().await?,
    }])
}

/// A connection with its statements prepared.
#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    ledger: Statement,
    ledger_quarantine: Statement,
    ledger_again: Statement,
    epoch: Statement,
    epoch_quarantine: Statement,
    copy: Statement,
    quarantine: Statement,
    records: Statements,
}

impl Session {
    pub(super) async fn prepare(config: &PostgresConfig, link: Link) -> Result<Self, StoreError> {
        let own =
            [LEDGER, LEDGER_QUARANTINE, LEDGER_AGAIN, EPOCH, EPOCH_QUARANTINE, COPY, QUARANTINE];
        let prepare = try_join(prepare_all(&link.client, own), Statements::prepare(&link.client));
        let (own, records) = config.answer(prepare).await?;
        let [ledger, ledger_quarantine, ledger_again, epoch, epoch_quarantine, copy, quarantine] =
            own;
        Ok(Self {
            link,
            ledger,
            ledger_quarantine,
            ledger_again,
            epoch,
            epoch_quarantine,
            copy,
            quarantine,
            records,
        })
    }

    pub(super) const fn client(&self) -> &Client {
        &self.link.client
    }
}

/// A batch on its way.
struct Commit<'a> {
    config: &'a PostgresConfig,
    session: &'a Session,
    batch: &'a Batch,
    now: Timestamp,
    sensor: String,
    records: Records<'a>,
}

/// How the first try ended; in every case the transaction is over.
enum AtOnce {
    Committed,
    Already,
    Refused,
}

/// How a transaction began.
enum Begun {
    /// With the ledger row written, and COPY waiting for rows if it was asked for.
    New(Option<Sink>),
    /// The ledger row was there.
    Already,
}

/// A value of a statement.
type Parameter<'a> = &'a (dyn ToSql + Sync);

/// An open COPY. Dropped before its end, it fails on the server.
type Sink = Pin<Box<CopyInSink<Cursor<Vec<u8>>>>>;

impl Commit<'_> {
    /// Whole batches, this one the first of them, on the assumption that nothing in them is odd.
    async fn at_once(&self, all: &[Self]) -> Result<AtOnce, StoreError> {
        let client = self.session.client();
        let has_rows = all.iter().any(|each| !each.batch.events.is_empty());
        let mut sink = match self.begin(all, has_rows).await? {
            Begun::New(sink) => sink,
            Begun::Already => return Ok(AtOnce::Already),
        };
        if let Some(open) = &mut sink {
            let parts = all.iter().map(|each| (each.batch.epoch, &*each.batch.events));
            if let Err(_reason) = self.send_rows(open, parts).await? {
                drop(sink);
                self.config.answer(client.batch_execute("ROLLBACK")).await?;
                return Ok(AtOnce::Refused);
            }
        }
        // Behind a statement that failed, COMMIT means ROLLBACK: it is the first error that counts.
        let stored: Vec<Vec<&Event>> =
            all.iter().map(|each| each.batch.events.iter().collect()).collect();
        let events: Vec<_> =
            all.iter().zip(&stored).map(|(each, stored)| each.of_events(stored)).collect();
        let records = all.iter().zip(&events).flat_map(|(each, events)| [events, &each.records]);
        let end = join3(
            finish(sink),
            join_all(records.map(|records| records.send(client))),
            client.batch_execute("COMMIT"),
        );
        let (rows, records, end) = self.config.answer(async { Ok(end.await) }).await?;
        let records: Result<(), Error> = records.into_iter().collect();
        match rows.and(records).and(end) {
            Ok(()) => Ok(AtOnce::Committed),
            // Whatever it was, carefully it is found out.
            Err(error) if is_rows_fault(&error) => Ok(AtOnce::Refused),
            Err(error) => Err(self.config.fault(&error)),
        }
    }

    /// The whole batch, but for the rows that the server refuses.
    async fn carefully(&self) -> Result<Committed, StoreError> {
        let client = self.session.client();
        if let Begun::Already = self.begin(std::slice::from_ref(self), false).await? {
            return self.already().await;
        }
        let mut committed = Committed::default();
        let mut stored = Vec::with_capacity(self.batch.events.len());
        // The next part is the last one: rows are copied in their order.
        let mut parts = vec![&*self.batch.events];
        while let Some(part) = parts.pop() {
            match (self.copy_part(part).await?, part) {
                (Ok(()), _) => stored.extend(part),
                (Err(reason), [event]) => self.set_aside(event, &reason, &mut committed).await?,
                (Err(_reason), several) => {
                    let (first, second) = several.split_at(several.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        let (rows, packets, alerts) = (
            big(committed.quarantined_rows),
            big(committed.quarantined_packets),
            big(committed.quarantined_alerts),
        );
        let (epoch, number) = self.key();
        let values: [Parameter<'_>; 6] = [&self.sensor, &epoch, &number, &rows, &packets, &alerts];
        let epoch_values: [Parameter<'_>; 4] = [&epoch, &rows, &packets, &alerts];
        let events = self.of_events(&stored);
        let end = join5(
            client.execute(&self.session.ledger_quarantine, &values),
            client.execute(&self.session.epoch_quarantine, &epoch_values),
            events.send(client),
            self.records.send(client),
            client.batch_execute("COMMIT"),
        );
        let (ledger, epoch, events, records, end) =
            self.config.answer(async { Ok(end.await) }).await?;
        let all = ledger.and(epoch).map(drop).and(events).and(records).and(end);
        all.map_err(|error| self.config.fault(&error))?;
        Ok(committed)
    }

    /// What an earlier try has committed.
    async fn already(&self) -> Result<Committed, StoreError> {
        let client = self.session.client();
        let (epoch, number) = self.key();
        let key: [Parameter<'_>; 3] = [&self.sensor, &epoch, &number];
        let found = client.query_opt(&self.session.ledger_again, &key);
        let found = self.config.answer(found).await?;
        // Of one that was folded it is no longer known what of it was put into quarantine.
        let set_aside = |column| found.as_ref().map_or(0, |row| count(row, column));
        Ok(Committed {
            already: true,
            quarantined_rows: set_aside(0),
            quarantined_packets: set_aside(1),
            quarantined_alerts: set_aside(2),
        })
    }

    /// Opens the transaction: of each batch the ledger row and the epoch's row, and COPY if there is something to copy.
    async fn begin(&self, all: &[Self], copy: bool) -> Result<Begun, StoreError> {
        let client = self.session.client();
        let open = async {
            if !copy {
                return Ok(None);
            }
            client.copy_in(&self.session.copy).await.map(|sink| Some(Box::pin(sink)))
        };
        // Polled, and so sent, in this order before the first is answered.
        let first =
            join3(client.batch_execute("BEGIN"), join_all(all.iter().map(Self::enter)), open);
        let (begin, entered, sink) = self.config.answer(async { Ok(first.await) }).await?;
        let failed = |error: Error| self.config.fault(&error);
        begin.map_err(failed)?;
        let entered: Result<Vec<bool>, Error> = entered.into_iter().collect();
        let are_new = entered.map_err(failed)?.into_iter().all(|is_new| is_new);
        let sink = sink.map_err(failed)?;
        if are_new {
            return Ok(Begun::New(sink));
        }
        drop(sink);
        self.config.answer(client.batch_execute("ROLLBACK")).await?;
        Ok(Begun::Already)
    }

    /// Enters the batch into the ledger and adds it to its epoch. Returns whether it was not there.
    async fn enter(&self) -> Result<bool, Error> {
        let (session, client) = (self.session, self.session.client());
        let (epoch, number) = self.key();
        let [rows, packets, alerts] = self.sums();
        let recorded = system_time(self.now);
        let started = system_time(self.batch.epoch.started());
        let ledger: [Parameter<'_>; 7] =
            [&self.sensor, &epoch, &number, &recorded, &rows, &packets, &alerts];
        let run: [Parameter<'_>; 6] = [&epoch, &self.sensor, &started, &rows, &packets, &alerts];
        let (ledger, epoch) =
            join(client.query_opt(&session.ledger, &ledger), client.execute(&session.epoch, &run))
                .await;
        let is_new = ledger?.is_some();
        epoch.map(|_rows| is_new)
    }

    /// Copies rows under a savepoint. Inside, why one of them was refused: then none is there.
    async fn copy_part(&self, events: &[Event]) -> Result<Result<(), String>, StoreError> {
        let client = self.session.client();
        let open =
            try_join(client.batch_execute("SAVEPOINT part"), client.copy_in(&self.session.copy));
        let ((), sink) = self.config.answer(open).await?;
        let mut sink = Box::pin(sink);
        let copied = match self.send_rows(&mut sink, [(self.batch.epoch, events)]).await? {
            Ok(()) => {
                // The inner result is the rows' own fault.
                let copied = async {
                    match finish(Some(sink)).await {
                        Err(error) if is_rows_fault(&error) => Ok(Err(reason(&error))),
                        other => other.map(Ok),
                    }
                };
                self.config.answer(copied).await?
            }
            Err(reason) => {
                drop(sink);
                Err(reason)
            }
        };
        let end = match &copied {
            Ok(()) => "RELEASE SAVEPOINT part",
            Err(_) => "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part",
        };
        self.config.answer(client.batch_execute(end)).await?;
        Ok(copied)
    }

    /// Writes rows, by epoch, into an open COPY. Inside, why one of them can't even be written.
    async fn send_rows<'e>(
        &self,
        sink: &mut Sink,
        parts: impl IntoIterator<Item = (Epoch, &'e [Event])>,
    ) -> Result<Result<(), String>, StoreError> {
        let mut rows = Rows::new(self.now);
        for (epoch, events) in parts {
            for event in events {
                if let Err(reason) = rows.push(epoch, event) {
                    return Ok(Err(reason));
                }
                if rows.len() >= CHUNK {
                    let chunk = rows.take(CHUNK + CHUNK / 8);
                    self.config.answer(sink.feed(Cursor::new(chunk))).await?;
                }
            }
        }
        self.config.answer(sink.send(Cursor::new(rows.finish()))).await?;
        Ok(Ok(()))
    }

    /// Puts a row into quarantine and counts it.
    async fn set_aside(
        &self,
        event: &Event,
        reason: &str,
        committed: &mut Committed,
    ) -> Result<(), StoreError> {
        let (epoch, batch) = self.key();
        let (number, recorded) = (big(event.number), system_time(self.now));
        let (count, alerts) = (big(event.count), big(event.alerts));
        let reason = printable(reason);
        // JSON escapes what text can't hold.
        let whole = serde_json::to_string(event).unwrap_or_else(|error| error.to_string());
        let values: [Parameter<'_>; 8] =
            [&epoch, &number, &batch, &recorded, &count, &alerts, &reason, &whole];
        let insert = self.session.client().execute(&self.session.quarantine, &values);
        self.config.answer(insert).await?;
        committed.quarantined_rows += 1;
        committed.quarantined_packets = committed.quarantined_packets.saturating_add(event.count);
        committed.quarantined_alerts = committed.quarantined_alerts.saturating_add(event.alerts);
        Ok(())
    }

    /// What follows from these events of the batch.
    fn of_events(&self, stored: &[&Event]) -> Records<'_> {
        Records::of_events(self.batch.epoch, stored, &self.session.records)
    }

    /// Epoch and number, as stored.
    fn key(&self) -> (i64, i64) {
        (self.batch.epoch.stored(), big(self.batch.number))
    }

    /// Rows, packets and alerts of the batch, as stored. An event may hold any number; its row is refused, not the batch.
    fn sums(&self) -> [i64; 3] {
        let events = &self.batch.events;
        let sum = |value: fn(&Event) -> u64| {
            events.iter().fold(0_u64, |sum, event| sum.saturating_add(value(event)))
        };
        [sum(|_| 1), sum(|event| event.count), sum(|event| event.alerts)].map(big)
    }
}

/// Ends a COPY, if there is one.
async fn finish(sink: Option<Sink>) -> Result<(), Error> {
    match sink {
        Some(mut sink) => sink.as_mut().finish().await.map(drop),
        None => Ok(()),
    }
}

/// A count that this program has written.
fn count(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).try_into().unwrap_or_default()
}

/// Bytes of rows that are sent at once: enough that waking the connection's task costs nothing beside writing them.
const CHUNK: usize = 64 * 1024;

const LEDGER: &str = "INSERT INTO ingest_batches (sensor, epoch, batch_no, committed_at, rows, packets, alerts, \
     quarantined_rows, quarantined_packets, quarantined_alerts) \
     SELECT $1::text, $2::bigint, $3::bigint, $4::timestamptz, $5::bigint, $6::bigint, $7::bigint, 0, 0, 0 \
     WHERE NOT EXISTS (SELECT FROM folded_batches AS f WHERE f.sensor = $1 AND f.epoch = $2 AND f.upto >= $3) \
     ON CONFLICT DO NOTHING RETURNING true";

const LEDGER_QUARANTINE: &str = "UPDATE ingest_batches SET quarantined_rows = $4, quarantined_packets = $5, \
     quarantined_alerts = $6 WHERE sensor = $1 AND epoch = $2 AND batch_no = $3";

const LEDGER_AGAIN: &str = "SELECT quarantined_rows, quarantined_packets, quarantined_alerts FROM ingest_batches \
     WHERE sensor = $1 AND epoch = $2 AND batch_no = $3";

/// The sums can't overflow: one that is full stays full.
const EPOCH: &str = "INSERT INTO epochs AS e (epoch, sensor, started_at, batches, rows, packets, alerts) \
     VALUES ($1, $2, $3, 1, $4, $5, $6) ON CONFLICT (epoch) DO UPDATE SET batches = e.batches + 1, rows = e.rows + excluded.rows, \
     packets = least(e.packets::numeric + excluded.packets, 9223372036854775807)::bigint, \
     alerts = least(e.alerts::numeric + excluded.alerts, 9223372036854775807)::bigint";

const EPOCH_QUARANTINE: &str = "UPDATE epochs SET quarantined_rows = quarantined_rows + $2, \
     quarantined_packets = least(quarantined_packets::numeric + $3::bigint, 9223372036854775807)::bigint, \
     quarantined_alerts = least(quarantined_alerts::numeric + $4::bigint, 9223372036854775807)::bigint WHERE epoch = $1";

/// A number that is refused twice is one row, with both counts.
const QUARANTINE: &str = "INSERT INTO quarantine AS q (epoch, number, batch_no, recorded_at, count, alerts, reason, event) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (epoch, number) DO UPDATE SET \
     count = least(q.count::numeric + excluded.count, 9223372036854775807)::bigint, \
     alerts = least(q.alerts::numeric + excluded.alerts, 9223372036854775807)::bigint";
