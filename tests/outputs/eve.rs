//! EVE JSON while the sensor runs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use serde_json::Value;

use super::Place;
use crate::live::Sensor;
use crate::netns::{self, Wire, numbered_frames};
use crate::spool::SmallDisk;
use crate::support::{folder, generated_traffic, run_well, sensor};

/// The fields that are used, as Suricata's schema (etc/schema.json of Suricata 8) has them: object, field, type.
const SCHEMA: [(&str, &str, &str); 48] = [
    ("", "timestamp", "time"),
    ("", "event_type", "string"),
    ("", "host", "string"),
    ("", "in_iface", "string"),
    ("", "src_ip", "string"),
    ("", "src_port", "integer"),
    ("", "dest_ip", "string"),
    ("", "dest_port", "integer"),
    ("", "proto", "string"),
    ("", "icmp_type", "integer"),
    ("", "icmp_code", "integer"),
    ("", "vlan", "integers"),
    ("", "community_id", "string"),
    ("", "alert", "object"),
    ("", "flow", "object"),
    ("", "stats", "object"),
    ("", "anomaly", "object"),
    ("alert", "action", "string"),
    ("alert", "gid", "integer"),
    ("alert", "signature_id", "integer"),
    ("alert", "rev", "integer"),
    ("alert", "signature", "string"),
    ("alert", "category", "string"),
    ("alert", "severity", "integer"),
    ("flow", "pkts_toserver", "integer"),
    ("flow", "pkts_toclient", "integer"),
    ("flow", "bytes_toserver", "integer"),
    ("flow", "bytes_toclient", "integer"),
    ("flow", "start", "time"),
    ("flow", "end", "time"),
    ("flow", "age", "integer"),
    ("flow", "state", "string"),
    ("flow", "reason", "string"),
    ("flow", "alerted", "boolean"),
    ("stats", "uptime", "integer"),
    ("stats", "capture", "object"),
    ("stats", "decoder", "object"),
    ("stats", "detect", "object"),
    ("stats.capture", "kernel_packets", "integer"),
    ("stats.capture", "kernel_drops", "integer"),
    ("stats.decoder", "pkts", "integer"),
    ("stats.decoder", "bytes", "integer"),
    ("stats.decoder", "invalid", "integer"),
    ("stats.detect", "alert", "integer"),
    ("anomaly", "type", "string"),
    ("anomaly", "event", "string"),
    ("anomaly", "layer", "string"),
    ("anomaly", "app_proto", "string"),
];

/// What of a record Suricata's schema does not know, or knows otherwise. Its schema allows no other fields in its objects.
fn strangers(record: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut objects = vec![(String::new(), record)];
    while let Some((path, object)) = objects.pop() {
        for (field, value) in object.as_object().unwrap() {
            if path.is_empty() && field == "phantomnet" {
                continue;
            }
            let known = SCHEMA.iter().find(|(object, name, _)| *object == path && name == field);
            let kind = known.map_or("unknown", |(_, _, kind)| kind);
            let holds = match kind {
                "string" => value.is_string(),
                "integer" => value.is_u64(),
                "boolean" => value.is_boolean(),
                "integers" => value.as_array().unwrap().iter().all(Value::is_u64),
                "time" => is_time(value.as_str().unwrap()),
                "object" => value.is_object(),
                _ => false,
            };
            if !holds {
                found.push(format!("{path}.{field}: {value} is {kind}"));
            }
            if kind == "object" {
                let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                objects.push((path, value));
            }
        }
    }
    found
}

/// `^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+[+\-]\d+$`
fn is_time(text: &str) -> bool {
    let shape: String =
        text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    shape == "0000-00-00T00:00:00.000000+0000"
}

fn read(lines: impl Iterator<Item = String>) -> Vec<Value> {
    lines.map(|line| serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

fn of_type<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["event_type"] == kind).collect()
}

const FILE: &str = "[outputs.eve]\npath = '{folder}/eve.json'\nstats_seconds = 1\n";

#[test]
fn eve_lines_fit_suricatas_schema_and_say_what_the_store_holds() {
    let place = Place::new(FILE);
    place.run();
    let records =
        read(fs::read_to_string(place.path("eve.json")).unwrap().lines().map(str::to_owned));
    let strange: Vec<String> = records.iter().flat_map(strangers).collect();
    assert_eq!(strange, Vec::<String>::new());

    let alerts: BTreeSet<(String, u64, String)> = of_type(&records, "alert")
        .iter()
        .map(|alert| {
            let own = &alert["phantomnet"];
            let event = own["event"].as_str().unwrap().to_owned();
            let signature = alert["alert"]["signature"].as_str().unwrap().to_owned();
            (event, own["count"].as_u64().unwrap(), signature)
        })
        .collect();
    let stored: BTreeSet<(String, u64, String)> = place
        .stored(
            "SELECT epoch, number, count + alerts, reason FROM packet_logs WHERE verdict > 0",
            |row| {
                let (epoch, number) =
                    (row.get::<_, i64>(0).unwrap(), row.get::<_, i64>(1).unwrap());
                let count = row.get::<_, i64>(2).unwrap().cast_unsigned();
                (format!("{epoch:016x}-{number}"), count, row.get(3).unwrap())
            },
        )
        .into_iter()
        .collect();
    assert!(alerts.len() > 100);
    assert_eq!(alerts, stored);
    let identified =
        of_type(&records, "alert").iter().filter(|alert| alert["community_id"].is_string()).count();
    assert!(identified * 10 > alerts.len() * 9, "{identified} of {}", alerts.len());

    let mut flows: Vec<(u64, u64, bool)> = of_type(&records, "flow")
        .iter()
        .map(|record| {
            let flow = &record["flow"];
            let figure = |name: &str| flow[name].as_u64().unwrap();
            (figure("pkts_toserver"), figure("bytes_toserver"), flow["alerted"].as_bool().unwrap())
        })
        .collect();
    let mut sessions = place.stored("SELECT packets, bytes, worst FROM sessions", |row| {
        let figure = |column| row.get::<_, i64>(column).unwrap();
        (figure(0).cast_unsigned(), figure(1).cast_unsigned(), figure(2) > 0)
    });
    flows.sort_unstable();
    sessions.sort_unstable();
    assert_eq!(flows, sessions);

    let last = of_type(&records, "stats").last().copied().unwrap().clone();
    assert_eq!(last["stats"]["decoder"]["pkts"], 20_000);
    assert_eq!(last["stats"]["detect"]["alert"], alerts.len());
    assert_eq!(last["phantomnet"]["unaccounted"], 0);
}

/// Another way through the program, from verdicts instead of events.
#[test]
fn alerts_are_those_of_a_replay() {
    let key = "00000000000000000000000000000001";
    let place =
        Place::new(&format!("{FILE}[sources]\nhash_key = '{key}'\n[replay]\nhash_key = '{key}'\n"));
    place.run();
    run_well(
        sensor()
            .args(["replay", "--summary", "json", "--config"])
            .arg(place.path("c.toml"))
            .arg("--eve")
            .arg(place.path("replay.json"))
            .arg(generated_traffic()),
    );
    let signatures = |name: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(place.path(name)).unwrap();
        let records = read(text.lines().map(str::to_owned));
        of_type(&records, "alert").iter().map(|record| record["alert"].to_string()).collect()
    };
    let replayed = signatures("replay.json");
    assert!(replayed.len() > 8, "{replayed:?}");
    assert_eq!(signatures("eve.json"), replayed);
}

#[test]
fn frames_that_can_not_be_decoded_are_anomalies_with_their_count() {
    let place = Place::new(FILE);
    // Ethernet that announces IPv4 and ends; IPv4 that says it is shorter than its header; the same once more.
    let link = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let truncated = [&link[..], &[0x45, 0, 0, 40]].concat();
    let short = [&link[..], &[0x41], &[0; 30]].concat();
    let mut pcap = Vec::new();
    pcap.extend([
        0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0,
    ]);
    for frame in [&truncated, &short, &short] {
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        pcap.extend([1_u32.to_le_bytes(), 0_u32.to_le_bytes(), length, length].concat());
        pcap.extend(frame.iter());
    }
    fs::write(place.path("bad.pcap"), pcap).unwrap();
    run_well(
        sensor()
            .args(["run", "--speed", "max", "--config"])
            .arg(place.path("c.toml"))
            .arg("--source")
            .arg(place.path("bad.pcap")),
    );
    let records =
        read(fs::read_to_string(place.path("eve.json")).unwrap().lines().map(str::to_owned));
    let mut anomalies: Vec<(String, u64)> = of_type(&records, "anomaly")
        .iter()
        .map(|record| {
            assert_eq!(strangers(record), Vec::<String>::new());
            let event = record["anomaly"]["event"].as_str().unwrap().to_owned();
            (event, record["phantomnet"]["frames"].as_u64().unwrap())
        })
        .collect();
    anomalies.sort_unstable();
    let expected = [("decoder.bad_header_length", 2), ("decoder.truncated_network", 1)];
    assert_eq!(anomalies, expected.map(|(event, frames)| (event.to_owned(), frames)));
    assert_eq!(of_type(&records, "stats").last().unwrap()["stats"]["decoder"]["invalid"], 3);
}

#[test]
fn a_listener_on_a_stream_socket_gets_every_line() {
    let place = Place::new(
        "[outputs.eve]\npath = '{folder}/socket'\ntype = 'unix_stream'\nrecords = ['alert']\n",
    );
    let listener = UnixListener::bind(place.path("socket")).unwrap();
    let reader = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        read(BufReader::new(stream).lines().map(Result::unwrap))
    });
    place.run();
    let heard = reader.join().unwrap();
    assert_eq!(heard.len() as u64, place.stored_alerts());
    assert!(heard.iter().all(|record| record["event_type"] == "alert"));
}

#[test]
fn a_listener_on_a_datagram_socket_gets_a_line_in_each() {
    let place = Place::new(
        "[outputs.eve]\npath = '{folder}/socket'\ntype = 'unix_dgram'\nrecords = ['alert']\n",
    );
    let socket = UnixDatagram::bind(place.path("socket")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let counted = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let mut count = 0_u64;
        while let Ok(length) = socket.recv(&mut buffer) {
            let record: Value = serde_json::from_slice(&buffer[..length]).unwrap();
            if record["event_type"] == "end" {
                break;
            }
            assert_eq!(record["event_type"], "alert");
            count += 1;
        }
        count
    });
    place.run();
    let last = UnixDatagram::unbound().unwrap();
    last.send_to(b"{\"event_type\":\"end\"}", place.path("socket")).unwrap();
    assert_eq!(counted.join().unwrap(), place.stored_alerts());
}

#[test]
fn while_nobody_listens_lines_wait_and_are_counted_and_then_arrive() {
    let place = Place::new(
        "[outputs.eve]\npath = '{folder}/socket'\ntype = 'unix_stream'\nrecords = ['alert']\n",
    );
    let sensor = place.start();
    let waiting = sensor.output(|output| output["waiting"].as_u64().unwrap() > 100);
    assert_eq!(waiting["written"], 0);
    assert!(waiting["last_error"].as_str().unwrap().contains("No such file"), "{waiting}");
    let health: Value = serde_json::from_str(&sensor.get("/health")).unwrap();
    assert!(health["problems"].to_string().contains("output eve: records are not taken"));
    assert!(sensor.get("/metrics").contains("phantomnet_output_up{output=\"eve\"} 0"));

    let listener = UnixListener::bind(place.path("socket")).unwrap();
    let reader = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        read(BufReader::new(stream).lines().map(Result::unwrap)).len()
    });
    let done =
        sensor.output(|output| output["waiting"] == 0 && output["written"].as_u64().unwrap() > 0);
    assert_eq!(done["offered"], done["written"]);
    assert!(sensor.get("/metrics").contains("phantomnet_output_up{output=\"eve\"} 1"));
    // What is still open then is told at the end.
    sensor.stop();
    assert_eq!(reader.join().unwrap() as u64, place.stored_alerts());
}

#[test]
fn a_file_that_can_not_be_written_keeps_the_sensor_from_starting() {
    let place = Place::new("[outputs.eve]\npath = '{folder}/missing/eve.json'\n");
    let output = sensor()
        .args(["run", "--speed", "max", "--config"])
        .arg(place.path("c.toml"))
        .arg("--source")
        .arg(generated_traffic())
        .output()
        .unwrap();
    let said = crate::support::stderr(&output);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("outputs.eve.path: ") && said.contains("its folder must be there"),
        "{said}"
    );
}

#[test]
fn on_a_full_disk_lines_wait_and_when_there_is_room_they_are_written_and_none_is_torn() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!(
            "SKIPPED: no right to mount a small disk; outputs::file::tests::a_line_that_could_not_be_written_is_written_later_and_none_is_torn does this with a descriptor that refuses"
        );
        return;
    };
    let file = disk.0.path().join("eve.json");
    let place =
        Place::new(&format!("[outputs.eve]\npath = '{}'\nrecords = ['alert']\n", file.display()));
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 2000 << 10]).unwrap();
    let sensor = place.start();
    let full = sensor.output(|output| output["failures"].as_u64().unwrap() > 1);
    assert!(full["last_error"].as_str().unwrap().contains("No space left"), "{full}");
    assert!(full["waiting"].as_u64().unwrap() > 0);
    fs::remove_file(&ballast).unwrap();
    sensor.output(|output| output["waiting"] == 0 && output["written"].as_u64().unwrap() > 100);
    sensor.stop();
    let lines = read(fs::read_to_string(&file).unwrap().lines().map(str::to_owned));
    assert_eq!(lines.len() as u64, place.stored_alerts());
}

#[test]
fn on_an_interface_the_last_stats_say_what_the_kernel_counted() {
    if !netns::available() {
        return;
    }
    for kind in ["require = 'native'", "backend = 'af_packet'"] {
        let folder = folder();
        let file = folder.path().join("eve.json");
        let wire = Wire::new(2);
        let outputs = format!("{kind}\n[outputs.eve]\npath = '{}'\n", file.display());
        let sensor = Sensor::start(&wire, &outputs);
        wire.sender().send(&numbered_frames(500, 5));
        std::thread::sleep(Duration::from_millis(100));
        drop(sensor.stop());
        let records = read(fs::read_to_string(&file).unwrap().lines().map(str::to_owned));
        let last = of_type(&records, "stats").last().copied().unwrap().clone();
        assert_eq!(strangers(&last), Vec::<String>::new());
        assert_eq!(last["in_iface"], wire.sensor().device());
        assert_eq!(last["stats"]["capture"]["kernel_packets"], 500, "{kind}");
        assert_eq!(last["stats"]["capture"]["kernel_drops"], 0, "{kind}");
        assert_eq!(last["stats"]["decoder"]["pkts"], 500, "{kind}");
    }
}
