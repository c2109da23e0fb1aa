//! `phantomnet explain --event`: what a running sensor says of an event, in words, held against its own answers and against
//! `explain --row` of the same features.

#![cfg(test)]

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::demo::Demo;
use crate::support::{folder, run, run_well, sensor, stderr};

fn get(demo: &Demo, path: &str) -> Value {
    let url = format!("http://{}{path}", demo.address);
    let text = ureq::get(url).call().and_then(|mut answer| answer.body_mut().read_to_string());
    serde_json::from_str(&text.expect("the sensor answers")).expect("JSON")
}

/// The name of an event of HIGH; the demonstration has some soon.
fn high_event(demo: &Demo) -> String {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let list = get(demo, "/api/events?verdict=HIGH&limit=1");
        if let Some(id) = list["events"][0]["id"].as_str() {
            return id.to_owned();
        }
        assert!(Instant::now() < until, "no event of HIGH in a minute");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The lines from the head of the table of features to its sum.
fn table(page: &str) -> Vec<&str> {
    let from_head = page.lines().skip_while(|line| !line.starts_with("feature "));
    let mut table: Vec<&str> = from_head.take_while(|line| !line.starts_with("sum ")).collect();
    table.extend(page.lines().rfind(|line| line.starts_with("sum    ")));
    table
}

#[test]
fn an_event_is_explained_as_the_api_does_and_as_its_features_are_by_themselves() {
    let demo = Demo::start();
    let id = high_event(&demo);
    let url = format!("http://{}", demo.address);
    let explain = ["explain", "--event", &id, "--url", &url];
    let page = String::from_utf8(run_well(sensor().args(explain)).stdout).unwrap();
    let event = get(&demo, &format!("/api/events/{id}"));
    let explanation = get(&demo, &format!("/api/events/{id}/explanation"));

    let first = format!("HIGH {}", explanation["reason"].as_str().unwrap());
    assert_eq!(page.lines().next(), Some(first.as_str()), "{page}");
    for told in [&id, event["src_ip"].as_str().unwrap(), event["dst_ip"].as_str().unwrap()] {
        assert!(page.contains(told), "{told}\n{page}");
    }
    for rule in explanation["rules"].as_array().unwrap() {
        let line = format!(
            "rule {} (risk {}) {}",
            rule["rule"],
            rule["risk"],
            rule["message"].as_str().unwrap()
        );
        assert!(page.lines().any(|said| said == line), "{line}\n{page}");
    }
    for set in explanation["safe_if"]["without"].as_array().unwrap() {
        let names: Vec<&str> = set.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let line = format!("it would be SAFE without: {}", names.join(" and "));
        assert!(page.lines().any(|said| said == line), "{line}\n{page}");
    }

    // The same features in a file, scored by the same built-in model, without a sensor.
    let folder = folder();
    let rows = folder.path().join("row.csv");
    let features = event["features"].as_object().unwrap();
    let names: Vec<&str> = features.keys().map(String::as_str).collect();
    let values: Vec<String> = features.values().map(ToString::to_string).collect();
    fs::write(&rows, format!("{}\n{}\n", names.join(","), values.join(","))).unwrap();
    let alone = run_well(sensor().args(["explain", "--row"]).arg(&rows)).stdout;
    let alone = String::from_utf8(alone).unwrap();
    assert_eq!(table(&page).len(), 15 + 3, "{page}");
    assert_eq!(table(&page), table(&alone));

    let json = run_well(sensor().args(explain).arg("--json")).stdout;
    let json: Value = serde_json::from_slice(&json).expect("one JSON object");
    assert_eq!(json["event"], event);
    assert_eq!(json["explanation"], explanation);
}

#[test]
fn what_can_not_be_explained_is_refused_with_whose_fault_it_is() {
    let demo = Demo::start();
    let url = format!("http://{}", demo.address);
    let unknown = "0192a3b4c5d6e7f8-17";
    let refused = |arguments: &[&str], code: i32, part: &str| {
        let output = run(sensor().arg("explain").args(arguments));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {part:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    };
    refused(&["--event", unknown, "--url", &url], 1, "there is no event 0192a3b4c5d6e7f8-17");
    refused(&["--event", "17", "--url", &url], 2, "16 hexadecimal digits");
    refused(&[], 2, "<--event <EPOCH-NUMBER>|--row <CSV>>");
    refused(&["--event", unknown, "--row", "f.csv"], 2, "cannot be used with");
    refused(&["--event", unknown, "--packet", "1"], 2, "cannot be used with");
    refused(&["--event", unknown, "--url", "http://127.0.0.1:1"], 1, "is the sensor running?");
}
