//! A store that can be seen through: maps in memory, written from the contract alone.

use std::collections::BTreeMap;

use phantomnet::address::Address;
use phantomnet::event::{Batch, DetectionRecord, Event, Incident, MarkerKind, ProfileChange};
use phantomnet::time::Timestamp;
use serde_json::{Value, json};

use super::Rows;
use super::tables::{double, single, singles, table};

/// What a store holds after the batches that it was given.
#[derive(Debug, Default)]
pub(crate) struct Model {
    tables: BTreeMap<&'static str, Rows>,
}

impl Model {
    pub(crate) fn new() -> Self {
        let empty = |table: &super::Table| (table.name, Rows::new());
        Self { tables: super::TABLES.iter().map(empty).collect() }
    }

    /// What a table holds.
    pub(crate) fn rows(&self, name: &str) -> &Rows {
        &self.tables[name]
    }

    /// Commits a batch whose rows are all taken.
    pub(crate) fn commit(&mut self, batch: &Batch, now: Timestamp) {
        self.commit_but(batch, now, |_event| false);
    }

    /// Commits a batch, but for the rows that are `odd`: they are put into quarantine.
    pub(crate) fn commit_but(
        &mut self,
        batch: &Batch,
        now: Timestamp,
        odd: impl Fn(&Event) -> bool,
    ) {
        let (odd, good): (Vec<&Event>, Vec<&Event>) = batch.events.iter().partition(|one| odd(one));
        let ledger = vec![
            json!(shown(&batch.sensor)),
            json!(batch.epoch.stored()),
            json!(batch.number),
            micros(now),
            json!(batch.events.len()),
            json!(batch.packets()),
            json!(batch.alerts()),
            json!(odd.len()),
            json!(odd.iter().map(|event| event.count).sum::<u64>()),
            json!(odd.iter().map(|event| event.alerts).sum::<u64>()),
        ];
        if !self.insert("ingest_batches", ledger.clone()) {
            return;
        }
        for event in good {
            self.store(batch, event, now);
        }
        for event in odd {
            self.insert(
                "quarantine",
                vec![
                    json!(batch.epoch.stored()),
                    json!(event.number),
                    json!(batch.number),
                    micros(now),
                    json!(event.count),
                    json!(event.alerts),
                    json!(shown(&serde_json::to_string(event).expect("an event is JSON"))),
                ],
            );
        }
        self.account(batch, &ledger[4..]);
        self.records(batch, now);
    }

    /// Removes what was recorded before a moment. Returns the rows and packets that went.
    pub(crate) fn prune(&mut self, before: Timestamp) -> (u64, u64) {
        let before = micros(before).as_i64();
        let events = table("packet_logs");
        let old = |row: &Vec<Value>, at: usize| row[at].as_i64() < before;
        let mut gone = Vec::new();
        self.rows_mut("packet_logs").retain(|_, row| {
            let old = old(row, events.at("recorded_at"));
            if old {
                gone.push(row.clone());
            }
            !old
        });
        for row in &gone {
            let of = |column| row[events.at(column)].clone();
            for rule in of("rules").as_array().expect("a list") {
                let key = table("event_rules").key_of(&[
                    rule.clone(),
                    of("time"),
                    of("epoch"),
                    of("number"),
                ]);
                self.rows_mut("event_rules").remove(&key);
            }
            self.spans(row, -1);
        }
        for sums in ["event_minutes", "event_hours"] {
            self.rows_mut(sums).retain(|_, row| row[3] != json!(0));
        }
        for name in ["sessions", "incidents"] {
            let at = table(name).at("recorded_at");
            self.rows_mut(name).retain(|_, row| !old(row, at));
        }
        let packets = gone.iter().map(|row| row[events.at("count")].as_u64().expect("a count"));
        (u64::try_from(gone.len()).expect("few"), packets.sum())
    }

    fn rows_mut(&mut self, name: &str) -> &mut Rows {
        self.tables.get_mut(name).expect("there is such a table")
    }

    /// Returns whether there was none of that key.
    fn insert(&mut self, name: &'static str, row: Vec<Value>) -> bool {
        assert_eq!(row.len(), table(name).columns.len(), "{name}");
        let key = table(name).key_of(&row);
        let new = !self.rows(name).contains_key(&key);
        if new {
            self.rows_mut(name).insert(key, row);
        }
        new
    }

    fn replace(&mut self, name: &'static str, row: Vec<Value>) -> Option<Vec<Value>> {
        assert_eq!(row.len(), table(name).columns.len(), "{name}");
        self.rows_mut(name).insert(table(name).key_of(&row), row)
    }

    fn store(&mut self, batch: &Batch, event: &Event, now: Timestamp) {
        let (epoch, number, time) =
            (json!(batch.epoch.stored()), json!(event.number), micros(event.first));
        for rule in &event.rules {
            self.insert(
                "event_rules",
                vec![json!(rule), time.clone(), epoch.clone(), number.clone()],
            );
        }
        let row = vec![
            epoch,
            number,
            time,
            micros(event.last),
            micros(now),
            json!(event.packet),
            json!(event.count),
            json!(event.alerts),
            json!(event.weight),
            json!(event.bytes),
            json!(event.detection),
            json!(event.length),
            json!(event.source_port),
            json!(event.destination_port),
            json!(event.vlan),
            json!(event.sources),
            single(event.total / 100.0),
            single(event.model_risk),
            single(event.rule_risk),
            single(event.intel_risk),
            event.anomaly_score.map_or(Value::Null, single),
            event.quantile.map_or(Value::Null, single),
            json!(event.protocol),
            json!(event.icmp.map(|icmp| icmp.0)),
            json!(event.icmp.map(|icmp| icmp.1)),
            json!(event.level as u8),
            json!(event.floor as u8),
            json!(event.merged as u8),
            json!(event.rules_left_out),
            json!(event.intel.as_ref().map(|intel| intel.1 as u8)),
            json!(event.in_training_range.map(u8::from)),
            address(event.source),
            address(event.destination),
            event.features.map_or(Value::Null, |features| singles(&features.0)),
            json!(event.rules),
            json!(event.intel.as_ref().map(|intel| shown(&intel.0))),
            json!(event.decoy.as_deref().map(shown)),
            json!(shown(&event.reason)),
            json!(event.community_id.as_deref().map(shown)),
        ];
        self.spans(&row, 1);
        assert!(self.insert("packet_logs", row), "the model was given a number twice");
    }

    /// Adds a row of events to its minute and its hour, or takes it out.
    fn spans(&mut self, row: &[Value], sign: i64) {
        let of = |column| row[table("packet_logs").at(column)].as_i64().expect("a number");
        let time = of("time");
        let bits = row[table("packet_logs").at("threat_score")].as_str().expect("bits");
        let score = f32::from_bits(u32::from_str_radix(bits, 16).expect("bits"));
        #[expect(clippy::cast_possible_truncation, reason = "a score is from 0 to 1")]
        let millionths = (f64::from(score) * 1e6).round() as i64;
        let (verdict, epoch) = (of("verdict"), of("epoch"));
        let weight = of("weight");
        let added = [1, of("count"), of("alerts"), weight, weight * millionths];
        for (name, micros) in [("event_minutes", 60_000_000), ("event_hours", 3_600_000_000)] {
            let key = vec![json!(time - time.rem_euclid(micros)), json!(verdict), json!(epoch)];
            let sums = self
                .rows_mut(name)
                .entry(table(name).key_of(&key))
                .or_insert_with(|| [key, vec![json!(0); 5]].concat());
            for (sum, added) in sums[3..].iter_mut().zip(added) {
                *sum = json!(sum.as_i64().expect("a number") + sign * added);
            }
        }
    }

    fn account(&mut self, batch: &Batch, sums: &[Value]) {
        let epoch = batch.epoch.stored();
        let started = json!((epoch >> 20) * 1000);
        let fresh = [
            vec![json!(epoch), json!(shown(&batch.sensor)), started, Value::Null, json!(1)],
            vec![json!(0); 7],
        ];
        self.insert("epochs", fresh.concat());
        let row =
            self.rows_mut("epochs").get_mut(&json!([epoch]).to_string()).expect("it was made");
        add(&mut row[5], &json!(1));
        for (sum, of_batch) in row[6..].iter_mut().zip(sums) {
            add(sum, of_batch);
        }
        if let Some(end) = batch.markers.iter().find(|marker| marker.kind == MarkerKind::End) {
            (row[3], row[4]) = (micros(end.at), json!(2));
        }
        for left in &batch.leftovers {
            let epoch = left.epoch.stored();
            let started = json!((epoch >> 20) * 1000);
            let row = [
                vec![json!(epoch), json!(shown(&batch.sensor)), started, Value::Null, json!(1)],
                vec![json!(0); 7],
            ];
            self.insert("epochs", row.concat());
            let row =
                self.rows_mut("epochs").get_mut(&json!([epoch]).to_string()).expect("it was made");
            if row[4] != json!(2) {
                row[4] = json!(3);
            }
        }
    }

    fn records(&mut self, batch: &Batch, now: Timestamp) {
        let epoch = json!(batch.epoch.stored());
        self.models(&batch.detections, now);
        for s in &batch.sessions {
            let [safe, warning, high, critical] = s.levels;
            let row = json!([
                epoch,
                s.number,
                address(Some(s.source)),
                s.tenant,
                micros(s.first),
                micros(s.last),
                micros(now),
                s.packets,
                s.bytes,
                safe,
                warning,
                high,
                critical,
                s.worst as u8,
                s.rules,
                s.state as u8
            ]);
            self.replace("sessions", values(row));
        }
        // The last record of a batch stands for those before it, also in whether it went on.
        let latest: BTreeMap<u64, &Incident> =
            batch.incidents.iter().map(|i| (i.number, i)).collect();
        for incident in latest.into_values() {
            self.incident(&epoch, incident, now);
        }
        for change in &batch.profiles {
            self.profile(change, now);
        }
        if let Some(r) = &batch.refused {
            let row = json!([
                r.last,
                epoch,
                r.first,
                r.upto,
                r.rows,
                r.packets,
                r.alerts,
                r.markers,
                micros(now)
            ]);
            self.insert("refused_batches", values(row));
        }
        let left = batch.leftovers.iter().map(|left| (left.epoch, left.marker()));
        let own = batch.markers.iter().map(|marker| (batch.epoch, marker.clone()));
        for (epoch, m) in left.chain(own) {
            let t = &m.totals;
            let row = json!([
                epoch.stored(),
                m.number,
                micros(m.at),
                m.kind as u8,
                t.dequeued,
                t.packets,
                t.victims,
                t.sampled_out,
                t.open_packets,
                t.open_alerts,
                t.events,
                t.event_packets,
                t.event_alerts,
                serde_json::to_string(&m.stages).expect("JSON")
            ]);
            self.replace("accounting", values(row));
        }
    }

    fn models(&mut self, detections: &[DetectionRecord], now: Timestamp) {
        for d in detections {
            let row = json!([
                d.version,
                shown(&d.model),
                d.sha256,
                d.schema,
                d.fingerprint,
                double(d.offset),
                double(d.contamination),
                d.calibration_rows,
                d.rules,
                d.intel,
                d.decoys,
                micros(now)
            ]);
            self.insert("models", values(row));
        }
    }

    fn profile(&mut self, p: &ProfileChange, now: Timestamp) {
        let key = vec![address(Some(p.source)), json!(p.tenant)];
        let [safe, warning, high, critical] = p.levels;
        let fresh =
            [vec![micros(p.first), micros(p.last), micros(now)], vec![json!(0); 7]].concat();
        let of_key = table("source_profiles").key_of(&key);
        let row =
            self.rows_mut("source_profiles").entry(of_key).or_insert_with(|| [key, fresh].concat());
        row[2] = json!(row[2].as_i64().min(micros(p.first).as_i64()));
        row[3] = json!(row[3].as_i64().max(micros(p.last).as_i64()));
        row[4] = json!(row[4].as_i64().max(micros(now).as_i64()));
        let sums = [p.sessions, p.packets, p.bytes, safe, warning, high, critical];
        for (sum, added) in row[5..].iter_mut().zip(sums) {
            add(sum, &json!(added));
        }
    }

    fn incident(&mut self, epoch: &Value, i: &Incident, now: Timestamp) {
        let row = json!([
            epoch,
            i.number,
            address(i.subject),
            i.side as u8,
            shown(&i.kind),
            shown(&i.title),
            micros(i.first),
            micros(i.last),
            micros(now),
            i.count,
            i.events,
            i.worst as u8,
            i.worst_event,
            i.rules,
            0,
            null,
            null
        ]);
        let key = json!([epoch, i.number]).to_string();
        if let Some(before) = self.replace("incidents", values(row)) {
            let row = self.rows_mut("incidents").get_mut(&key).expect("it was just made");
            row[14..].clone_from_slice(&before[14..]);
            if row[14] == json!(2) && row[10].as_u64() > before[10].as_u64() {
                row[14] = json!(0);
            }
        }
    }

    /// What people did to an incident.
    pub(crate) fn set_state(&mut self, batch: &Batch, number: u64, state: u8) {
        let key = json!([batch.epoch.stored(), number]).to_string();
        self.rows_mut("incidents").get_mut(&key).expect("there is such an incident")[14] =
            json!(state);
    }
}

fn add(sum: &mut Value, added: &Value) {
    *sum = json!(sum.as_i64().expect("a sum") + added.as_i64().expect("a number"));
}

fn values(row: Value) -> Vec<Value> {
    match row {
        Value::Array(values) => values,
        other => panic!("{other} is no row"),
    }
}

fn micros(moment: Timestamp) -> Value {
    json!(moment.as_nanos().div_euclid(1000))
}

fn address(address: Option<Address>) -> Value {
    json!(address.map(|address| address.to_ip().to_string()))
}

/// Text as both stores keep it: control characters spelled out.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() })
        .collect()
}
