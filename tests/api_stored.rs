//! The HTTP server over a real store: what is kept is what is answered.

#![cfg(test)]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use phantomnet::address::Address;
use phantomnet::api::{ApiParams, Live};
use phantomnet::event::{
    Batch, DetectionRecord, Event, EventId, Incident, Marker, MarkerKind, ProfileChange, Session,
    SessionState, Side, StageSum, Totals,
};
use phantomnet::features::{FeatureVector, SCHEMA};
use phantomnet::model::{Explanation, Model};
use phantomnet::store::query::Queries;
use phantomnet::store::{self, Location, RetentionParams};
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Detection, Evidence, Floor, Level};
use serde_json::{Value, json};

use crate::api_server::{Served, params, running};
use crate::running::event;
use crate::support::folder;

/// When the first event happened.
const BEGIN: Timestamp = Timestamp::from_secs(1_790_000_000);

/// Events of the store.
pub(crate) const EVENTS: u64 = 250;

/// Events of another detection begin here.
const OTHER_JUDGE: u64 = 240;

/// The event about a victim.
const VICTIM: u64 = 200;

/// A server over an SQLite store with [`EVENTS`] events, judged by the detection that is loaded.
pub(crate) fn stored() -> (Served, Live) {
    stored_with(&params())
}

pub(crate) fn stored_with(params: &ApiParams) -> (Served, Live) {
    let live = running();
    let folder = folder();
    let path = folder.path().join("phantomnet.db");
    let location: Location = format!("sqlite:{}", path.display()).parse().unwrap();
    store::migrate(&location).expect("a fresh store");
    let mut writer = store::open(&location, RetentionParams::default()).expect("it opens");
    let detection = live.detection();
    let committed = writer.commit(&batch(&live, &detection), BEGIN).expect("it is committed");
    assert_eq!(committed.quarantined_rows, 0);
    drop(writer);
    let queries = Queries::open(&location, 4).expect("it opens");
    (Served::start(params, live.clone(), queries, Some(folder)), live)
}

/// The name of an event, an incident or a session of the store.
pub(crate) fn name(live: &Live, number: u64) -> String {
    EventId { epoch: live.epoch, number }.to_string()
}

fn batch(live: &Live, detection: &Detection) -> Batch {
    let source = Address::v4([10, 0, 0, 1]);
    let session = Session {
        number: 1,
        source,
        tenant: 0,
        first: BEGIN,
        last: BEGIN.plus_nanos(5_000_000_000),
        packets: 10,
        bytes: 600,
        levels: [1, 2, 3, 4],
        worst: Level::Critical,
        rules: vec![1_000_001],
        state: SessionState::Idle,
    };
    let v6 = Address::from("2001:db8:0:1::".parse::<IpAddr>().unwrap());
    let incident = Incident {
        number: 1,
        subject: Some(source),
        side: Side::Source,
        kind: "network-scan".into(),
        title: "a scan".into(),
        first: BEGIN,
        last: BEGIN.plus_nanos(5_000_000_000),
        count: 12,
        events: 3,
        worst: Level::High,
        worst_event: 3,
        rules: vec![1_000_001],
    };
    let profile = ProfileChange {
        source,
        tenant: 0,
        first: BEGIN,
        last: BEGIN.plus_nanos(5_000_000_000),
        sessions: 1,
        packets: 10,
        bytes: 600,
        levels: [1, 2, 3, 4],
    };
    Batch {
        sensor: "here".into(),
        epoch: live.epoch,
        number: 1,
        begun: BEGIN,
        detections: vec![record(detection)],
        events: (1..=EVENTS).map(|number| of_number(number, detection)).collect(),
        sessions: vec![session.clone(), Session { number: 2, source: v6, ..session }],
        incidents: vec![incident.clone(), Incident { number: 2, subject: None, ..incident }],
        profiles: vec![profile.clone(), ProfileChange { source: v6, ..profile }],
        markers: vec![Marker {
            number: 0,
            at: BEGIN,
            kind: MarkerKind::Start,
            totals: Totals::default(),
            stages: vec![StageSum { stage: "decode".into(), came: 5, accounted: 5 }],
        }],
        leftovers: vec![],
        refused: None,
    }
}

fn record(detection: &Detection) -> DetectionRecord {
    let model = detection.model();
    DetectionRecord {
        version: detection.version(),
        model: model.about().name.as_str().into(),
        sha256: model.sha256().into(),
        schema: model.schema().version,
        fingerprint: model.schema().fingerprint.as_str().into(),
        offset: model.offset(),
        contamination: model.contamination(),
        calibration_rows: model.calibration_rows(),
        rules: 1,
        intel: 0,
        decoys: 0,
    }
}

/// An event whose evidence, score and verdict belong together, as the detection would have judged it.
fn of_number(number: u64, detection: &Detection) -> Event {
    let byte = u8::try_from(number % 5 + 1).unwrap();
    let first = BEGIN.plus_nanos(i64::try_from(number).unwrap() * 1_000_000_000);
    let mut event = Event {
        first,
        last: first.plus_nanos(1_000),
        source: Some(Address::v4([10, 0, 0, byte])),
        protocol: if number.is_multiple_of(2) { 6 } else { 17 },
        destination_port: Some(u16::from(byte)),
        rules: vec![],
        reason: "".into(),
        count: 2,
        weight: 2,
        detection: detection.version(),
        ..event(number)
    };
    if number == VICTIM {
        return Event {
            count: 0,
            alerts: 3,
            weight: 0,
            sources: 70,
            anomaly_score: None,
            quantile: None,
            in_training_range: None,
            features: None,
            source: None,
            // No packet of its own was scored: rules raised it.
            rules: vec![1_000_001, 1_000_002],
            ..event
        };
    }
    let row = FeatureVector(std::array::from_fn(|at| f32::from(byte) * (at + 1) as f32));
    let intel = number.is_multiple_of(7);
    let decoy = number.is_multiple_of(11);
    let evidence = judged_by(&mut event, row, detection, intel, decoy);
    let judgement = detection.policy().judge(&evidence);
    event.level = judgement.level;
    event.total = judgement.total;
    event.floor = judgement.floor;
    event.detection += u32::from(number >= OTHER_JUDGE);
    event
}

fn judged_by(
    event: &mut Event,
    row: FeatureVector,
    detection: &Detection,
    intel: bool,
    decoy: bool,
) -> Evidence {
    let model: &Model = detection.model();
    let score = model.score(&row);
    let confidence = model.confidence(&row, score);
    event.features = Some(row);
    event.anomaly_score = Some(score.value());
    event.quantile = Some(confidence.quantile);
    event.in_training_range = Some(confidence.inside_training_range());
    event.model_risk = model.risk(score);
    event.rule_risk = 0.0;
    event.intel_risk = if intel { 100.0 } else { 0.0 };
    event.intel = intel.then(|| ("botnet".into(), Side::Source));
    event.decoy = decoy.then(|| "honeypot".into());
    Evidence {
        model_risk: event.model_risk,
        model_quantile: confidence.quantile,
        intel_risk: event.intel_risk,
        intel_hit: intel,
        decoy_touched: decoy,
        ..Evidence::default()
    }
}

#[track_caller]
fn ok(served: &Served, target: &str) -> Value {
    let answer = served.get(target);
    assert_eq!(answer.status, 200, "{target}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

fn ids(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().expect("events");
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_give_every_event_once_newest_first() {
    let (served, live) = stored();
    let mut seen = Vec::new();
    let mut target = "/api/events?limit=60".to_owned();
    loop {
        let page = ok(&served, &target);
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        target = format!("/api/events?limit=60&cursor={next}");
    }
    let expected: Vec<_> = (1..=EVENTS).rev().map(|number| name(&live, number)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_cursor_serves_the_filter_that_it_was_made_for() {
    let (served, _) = stored();
    let next = ok(&served, "/api/events?limit=1&protocol=tcp")["next"].as_str().unwrap().to_owned();
    ok(&served, &format!("/api/events?limit=9&protocol=6&cursor={next}"));
    for other in ["/api/events?", "/api/events?protocol=udp&", "/api/sessions?", "/api/sources?"] {
        let answer = served.get(&format!("{other}cursor={next}"));
        assert_eq!(answer.status, 422, "{other}");
        assert_eq!(answer.json()["detail"][0]["type"], "cursor");
    }
}

/// Whether a filter should give an event.
type Wanted = Box<dyn Fn(&Value) -> bool>;

#[test]
fn filters_give_what_they_say() {
    let (served, live) = stored();
    let all = ok(&served, "/api/events?limit=1000");
    let all = all["events"].as_array().unwrap();
    let time = |number: i64| {
        let moment = jiff::Timestamp::from_nanosecond(
            i128::from(BEGIN.as_nanos()) + i128::from(number) * 1_000_000_000,
        );
        moment.unwrap().to_string()
    };
    let between = format!("from={}&to={}", time(10), time(20));
    let is = |key: &'static str, value: Value| move |event: &Value| event[key] == value;
    let cases: [(&str, Wanted); 10] = [
        ("threat=SUSPICIOUS", Box::new(is("threat", json!("SUSPICIOUS")))),
        ("threat=MALICIOUS", Box::new(is("is_malicious", json!(true)))),
        ("verdict=HIGH", Box::new(is("verdict", json!("HIGH")))),
        (
            "verdict=HIGH,WARNING",
            Box::new(|event| event["verdict"] == "HIGH" || event["verdict"] == "WARNING"),
        ),
        ("protocol=udp", Box::new(is("protocol", json!(17)))),
        ("src_ip=10.0.0.2", Box::new(is("src_ip", json!("10.0.0.2")))),
        ("src_ip=10.0.0.2/31&port=3", Box::new(is("src_ip", json!("10.0.0.3")))),
        ("min_score=0.4", Box::new(|event| event["threat_score"].as_f64().unwrap() >= 0.4)),
        ("port=4", Box::new(is("dst_port", json!(4)))),
        (
            &between,
            Box::new(|event| {
                let number: u64 =
                    event["id"].as_str().unwrap().split('-').nth(1).unwrap().parse().unwrap();
                (10..20).contains(&number)
            }),
        ),
    ];
    for (query, wanted) in cases {
        let page = ok(&served, &format!("/api/events?limit=1000&{query}"));
        let expected: Vec<_> = all
            .iter()
            .filter(|event| wanted(event))
            .map(|event| event["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids(&page), expected, "{query}");
        assert!(query == "threat=MALICIOUS" || !expected.is_empty(), "{query} is no case");
    }
    assert_eq!(all.len() as u64, EVENTS);
    assert!(all.iter().any(|event| event["id"] == name(&live, VICTIM)));
}

/// Added up from the list, and each sum held against the answer.
#[test]
fn the_top_is_what_the_list_adds_up_to() {
    let (served, _) = stored();
    let list = ok(&served, "/api/events?limit=1000&verdict=WARNING,HIGH,CRITICAL");
    let list = list["events"].as_array().unwrap();
    let top = ok(&served, "/api/top?limit=100");
    assert_eq!((&top["events"], &top["is_complete"]), (&json!(list.len()), &json!(true)));
    let (mut sources, mut rules) = (BTreeMap::new(), BTreeMap::new());
    for event in list {
        let packets = event["count"].as_u64().unwrap();
        let add = |sums: &mut BTreeMap<String, (u64, u64)>, key: String| {
            let sum = sums.entry(key).or_insert((0, 0));
            *sum = (sum.0 + 1, sum.1 + packets);
        };
        if event["is_of_victim"] == false {
            add(&mut sources, event["src_ip"].as_str().unwrap().to_owned());
        }
        for rule in event["rules"].as_array().unwrap() {
            add(&mut rules, rule.to_string());
        }
    }
    let shown = |list: &Value, key: &str| -> BTreeMap<String, (u64, u64)> {
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| {
            let name = row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
            (name, (row["events"].as_u64().unwrap(), row["packets"].as_u64().unwrap()))
        })
        .collect()
    };
    assert!(sources.len() > 1 && !rules.is_empty(), "{sources:?} {rules:?}");
    assert_eq!(shown(&top["sources"], "ip"), sources);
    assert_eq!(shown(&top["rules"], "rule"), rules);
    let one = ok(&served, "/api/top?limit=1");
    assert_eq!(one["sources"].as_array().unwrap().len(), 1);
    assert_eq!(one["sources"][0], top["sources"][0]);
}

#[test]
fn a_verdict_is_shown_by_its_threat() {
    let (served, _) = stored();
    for event in ok(&served, "/api/events?limit=1000")["events"].as_array().unwrap() {
        let (threat, malicious) = match event["verdict"].as_str().unwrap() {
            "CRITICAL" => ("MALICIOUS", true),
            "HIGH" | "WARNING" => ("SUSPICIOUS", false),
            _ => ("BENIGN", false),
        };
        assert_eq!(event["threat"], threat);
        assert_eq!(event["is_malicious"], malicious);
    }
}

#[test]
fn an_event_is_shown_whole() {
    let (served, live) = stored();
    let detection = live.detection();
    let shown = ok(&served, &format!("/api/events/{}", name(&live, 7)));
    let expected = of_number(7, &detection);
    let row = expected.features.unwrap();
    for (feature, value) in SCHEMA.iter().zip(row.0) {
        assert_eq!(number(&shown["features"][feature.name]), value);
    }
    let score = detection.model().score(&row);
    assert_eq!(number(&shown["ai_score"]), detection.model().ai_score(score));
    assert_eq!(number(&shown["threat_score"]), expected.total / 100.0);
    assert_eq!(shown["intel"], json!({"label": "botnet", "matched": "src_ip"}));
    assert_eq!(
        shown["confidence"]["calibration_rows"],
        json!(detection.model().calibration_rows())
    );
    assert_eq!(shown["vlan"], Value::Null);
    assert_eq!(shown["sources"], Value::Null);
    let victim = ok(&served, &format!("/api/events/{}", name(&live, VICTIM)));
    assert_eq!(victim["sources"], 70);
    for unknown in ["features", "ai_score", "anomaly_score", "confidence", "src_ip"] {
        assert_eq!(victim[unknown], Value::Null, "{unknown}");
    }
    let other = ok(&served, &format!("/api/events/{}", name(&live, OTHER_JUDGE)));
    assert_eq!(other["ai_score"], Value::Null, "another detection judged");
    assert_eq!(served.get(&format!("/api/events/{}", name(&live, EVENTS + 1))).status, 404);
}

fn number(value: &Value) -> f32 {
    serde_json::from_value(value.clone()).expect("a number")
}

#[test]
fn the_shares_of_an_explanation_add_up_to_the_score_exactly() {
    let (served, live) = stored();
    let model = live.detection();
    for number in [1, 2, 7, 11, 77] {
        let shown = ok(&served, &format!("/api/events/{}/explanation", name(&live, number)));
        let score = &shown["score"];
        let shares = score["shares"].as_array().unwrap();
        assert_eq!(shares.len(), SCHEMA.len());
        let nanos = |value: &Value| value.as_i64().expect("whole billionths");
        let sum: i64 = shares.iter().map(|share| nanos(&share["share_nanos"])).sum();
        assert_eq!(nanos(&score["base_nanos"]) + sum, nanos(&score["score_nanos"]));
        let expected: Explanation =
            model.model().explain(&of_number(number, &model).features.unwrap());
        assert_eq!(nanos(&score["score_nanos"]), expected.score_nanos);
        let parts = shown["parts"].as_array().unwrap();
        let points: f64 = parts.iter().map(|part| part["points"].as_f64().unwrap()).sum();
        assert!((points - shown["total"].as_f64().unwrap()).abs() < 1e-4, "{shown}");
    }
}

#[test]
fn without_the_evidence_named_the_policy_says_safe() {
    let (served, live) = stored();
    let detection = live.detection();
    let sets = |number: u64| {
        let shown = ok(&served, &format!("/api/events/{}/explanation", name(&live, number)));
        (shown["verdict"].clone(), shown["safe_if"]["without"].clone())
    };
    let judged = of_number(7, &detection);
    assert!(judged.level >= Level::High && judged.floor == Floor::IntelHit, "{judged:?}");
    let (_, without) = sets(7);
    let smallest = without.as_array().expect("sets");
    assert!(
        smallest.iter().all(|set| set.as_array().unwrap().contains(&json!("intel"))),
        "{without}"
    );
    // Number 77 has intelligence and a decoy: each alone would do.
    let (_, without) = sets(77);
    let both = without.as_array().unwrap().iter().all(|set| {
        let set: BTreeSet<_> =
            set.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        set.contains("intel") && set.contains("decoy")
    });
    assert!(both, "{without}");
}

#[test]
fn what_another_detection_judged_is_said_and_not_guessed() {
    let (served, live) = stored();
    let shown = ok(&served, &format!("/api/events/{}/explanation", name(&live, OTHER_JUDGE)));
    assert_eq!(shown["score"], Value::Null);
    assert_eq!(shown["safe_if"], Value::Null);
    assert_eq!(shown["parts"][0]["weight"], Value::Null);
    assert_ne!(shown["detection_version"], shown["loaded_detection_version"]);
    let note = shown["note"].as_str().unwrap();
    assert!(note.contains(shown["detection_version"].as_str().unwrap()), "{note}");
    let victim = ok(&served, &format!("/api/events/{}/explanation", name(&live, VICTIM)));
    assert!(victim["score"].is_null() && victim["note"].is_string());
}

#[test]
fn the_legacy_route_shows_the_newest_fifty() {
    let (served, live) = stored();
    let traffic = ok(&served, "/analyze-traffic");
    assert_eq!((&traffic["status"], &traffic["count"]), (&json!("success"), &json!(50)));
    let first = &traffic["data"][0];
    assert_eq!(first["packet_info"]["id"], name(&live, EVENTS));
    assert_eq!(first["packet_info"]["proto"], "TCP");
    let analysis = &first["ai_analysis"];
    let quantile = number(&analysis["confidence"]["quantile"]);
    assert_eq!(number(&analysis["confidence_percent"]), quantile * 100.0);
    assert!(
        ["BENIGN", "SUSPICIOUS", "MALICIOUS"].contains(&analysis["prediction"].as_str().unwrap())
    );
}

#[test]
fn sums_are_those_of_the_events() {
    let (served, live) = stored();
    live.collector.change(|stats| {
        stats.newest = Some(BEGIN);
        stats.packets_per_second = 17;
    });
    let stats = ok(&served, "/api/stats");
    assert_eq!(stats["totalEvents"], EVENTS);
    assert_eq!(stats["packets"], 2 * (EVENTS - 1));
    assert_eq!(stats["packetsPerSecond"], 17);
    assert_eq!(stats["unaccounted"], 0);
    assert_eq!(stats["activeHoneypots"], live.detection().decoys().all().len());
    let distribution = stats["distribution"].as_object().unwrap();
    assert_eq!(
        distribution.values().map(|count| count.as_u64().unwrap()).sum::<u64>(),
        2 * (EVENTS - 1)
    );
    let none = ok(&served, "/api/stats?from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00Z");
    assert_eq!((&none["totalEvents"], &none["avgThreatScore"]), (&json!(0), &Value::Null));
    let timeline = ok(&served, "/api/timeline?buckets=30");
    let buckets = timeline["buckets"].as_array().unwrap();
    assert!((1..=30).contains(&buckets.len()));
    let events: u64 = buckets.iter().map(|bucket| bucket["events"].as_u64().unwrap()).sum();
    assert_eq!(events, EVENTS);
}

#[test]
fn nothing_measured_is_null_and_never_zero() {
    let (served, _) = stored();
    let stats = ok(&served, "/api/stats");
    assert_eq!((&stats["packetsPerSecond"], &stats["unaccounted"]), (&Value::Null, &Value::Null));
}

#[test]
fn features_are_given_in_the_order_asked_for_and_the_missing_are_named() {
    let (served, live) = stored();
    let one = ok(&served, &format!("/api/ml/features/{}", name(&live, 3)));
    assert_eq!(one["features"].as_object().map(serde_json::Map::len), Some(15));
    let ask = |numbers: &[u64]| {
        let ids: Vec<_> = numbers.iter().map(|number| name(&live, *number)).collect();
        served.send("POST", "/api/ml/features/batch", &json!({"ids": ids}).to_string())
    };
    let batch = ask(&[9, 3, 200]).json();
    assert_eq!(batch["events"][1], one);
    assert_eq!(batch["events"][2]["features"], Value::Null);
    let missing = ask(&[1, 900, 2, 901]);
    assert_eq!(missing.status, 404);
    let detail = missing.json()["detail"].as_str().unwrap().to_owned();
    let names = detail.contains(&name(&live, 900)) && detail.contains(&name(&live, 901));
    assert!(names && !detail.contains(&name(&live, 1)), "{detail}");
    let many: Vec<u64> = (1..=1001).collect();
    assert_eq!(ask(&many).status, 422);
}

#[test]
fn a_source_is_found_with_its_sessions_and_incidents() {
    let (served, _) = stored();
    assert_eq!(ok(&served, "/api/sources")["sources"].as_array().map(Vec::len), Some(2));
    let page = ok(&served, "/api/sources/10.0.0.1");
    assert_eq!(page["profiles"][0]["verdicts"]["CRITICAL"], 4);
    assert_eq!(page["sessions"][0]["state"], "idle");
    assert_eq!(page["incidents"][0]["kind"], "network-scan");
    assert_eq!(ok(&served, "/api/sources/::ffff:10.0.0.1"), page);
    let v6 = ok(&served, "/api/sources/2001:db8:0:1::77");
    assert_eq!(v6["profiles"][0]["ip"], "2001:db8:0:1::");
    assert_eq!(served.get("/api/sources/203.0.113.1").status, 404);
    assert_eq!(
        ok(&served, "/api/sessions?src_ip=10.0.0.1")["sessions"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn what_people_say_is_kept() {
    let (served, live) = stored();
    let incident = format!("/api/incidents/{}", name(&live, 1));
    let changed = served.send("PATCH", &incident, "{\"state\":\"acknowledged\",\"note\":\"mine\"}");
    assert_eq!(changed.status, 200, "{:?}", String::from_utf8_lossy(&changed.body));
    let changed = changed.json();
    assert_eq!((&changed["state"], &changed["note"]), (&json!("acknowledged"), &json!("mine")));
    assert!(changed["changed_at"].is_string());
    let open = ok(&served, "/api/incidents?state=open");
    assert_eq!(open["incidents"].as_array().map(Vec::len), Some(1));
    let kept = served.send("PATCH", &incident, "{\"note\":\"\"}").json();
    assert_eq!((&kept["state"], &kept["note"]), (&json!("acknowledged"), &Value::Null));
    let label = format!("/api/events/{}/label", name(&live, 5));
    let labelled = served.send("POST", &label, "{\"label\":\"benign\",\"note\":\"a test\"}").json();
    assert_eq!(labelled["label"]["label"], "benign");
    let shown = ok(&served, &format!("/api/events/{}", name(&live, 5)));
    assert_eq!(shown, labelled);
    for (method, target) in [("PATCH", "/api/incidents/"), ("POST", "/api/events/")] {
        let rest = if method == "POST" { "/label" } else { "" };
        let target = format!("{target}{}{rest}", name(&live, 9_999));
        let body =
            if method == "POST" { "{\"label\":\"benign\"}" } else { "{\"state\":\"closed\"}" };
        assert_eq!(served.send(method, &target, body).status, 404, "{target}");
    }
}

#[test]
fn the_ledgers_of_the_store_stand_beside_the_live_sums() {
    let (served, live) = stored();
    let accounts = ok(&served, "/api/accounting?limit=1");
    let ledger = &accounts["ledgers"][0];
    assert_eq!(ledger["epoch"], live.epoch.to_string());
    assert_eq!(ledger["committed"]["events"], EVENTS);
    assert_eq!(ledger["last_marker"]["sums"][0]["stage"], "decode");
    assert_eq!(accounts["unaccounted"], 0);
    let health = ok(&served, "/health");
    assert_eq!(
        (&health["status"], &health["database"]["status"]),
        (&json!("healthy"), &json!("up"))
    );
}

#[test]
fn the_stream_shows_an_event_as_the_list_does() {
    let (served, live) = stored();
    let listed = ok(&served, "/api/events?limit=1")["events"][0].clone();
    let head = format!(
        "GET /api/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {}\r\n\r\n",
        name(&live, EVENTS - 1)
    );
    // The run has emitted more than is stored, so what was missed is read from the store.
    live.events.publish(live.epoch, &std::sync::Arc::new(of_number(EVENTS + 1, &live.detection())));
    let text = served.send_raw_until(&head, &format!("id: {}", name(&live, EVENTS + 1)));
    let streamed = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|data| data["id"] == listed["id"]);
    assert_eq!(streamed, Some(listed), "{text}");
}
