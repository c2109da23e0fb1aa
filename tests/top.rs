//! `phantomnet top` beside a running demonstration: on a terminal of its own, and once as text and JSON.

#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::demo::Demo;
use crate::support::{folder, run, run_well, sensor, stderr};
use crate::terminal::Terminal;

/// Enters and leaves the other screen, shows the cursor: xterm's control sequences.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";

fn top(address: &str, arguments: &[&str]) -> Command {
    let mut command = sensor();
    command.args(["top", "--url", &format!("http://{address}"), "--interval", "0.3"]);
    command.args(arguments);
    command
}

fn get(address: &str, path: &str) -> Value {
    let mut answer =
        ureq::get(format!("http://{address}{path}")).call().expect("the sensor answers");
    let text = answer.body_mut().read_to_string().expect("text");
    serde_json::from_str(&text).expect("JSON")
}

/// Packets judged, by level.
fn judged(address: &str) -> [u64; 4] {
    let accounting = get(address, "/api/accounting");
    let workers = accounting["workers"].as_array().unwrap();
    ["SAFE", "WARNING", "HIGH", "CRITICAL"]
        .map(|level| workers.iter().map(|worker| worker["verdicts"][level].as_u64().unwrap()).sum())
}

#[test]
fn what_it_counts_once_lies_between_what_the_api_counted_before_and_after() {
    let demo = Demo::start();
    let stats_before = get(&demo.address, "/api/stats");
    let before = judged(&demo.address);
    let output = run_well(&mut top(&demo.address, &["--once", "--json"]));
    let after = judged(&demo.address);
    let view: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let levels = view["since_start"]["verdicts"].as_array().unwrap();
    let shown: Vec<u64> = levels.iter().map(|level| level["packets"].as_u64().unwrap()).collect();
    for ((level, before), after) in shown.iter().zip(before).zip(after) {
        assert!((before..=after).contains(level), "{before} {level} {after}");
    }
    let packets: u64 = shown.iter().sum();
    assert_eq!(view["since_start"]["packets"].as_u64(), Some(packets), "{view}");
    assert!(stats_before["packets"].as_u64().unwrap() <= packets, "more stored than judged");
    assert_eq!(view["unaccounted"], 0);
    assert_eq!(view["status"], "healthy");
    assert!(view["rates"]["seconds"].as_f64().unwrap() >= 0.3, "{}", view["rates"]);
    // Every packet that was judged then is stored soon after: a demonstration stores them all.
    let until = Instant::now() + Duration::from_secs(30);
    while get(&demo.address, "/api/stats")["packets"].as_u64().unwrap() < packets {
        assert!(Instant::now() < until, "{packets} packets are never stored");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn once_as_text_it_has_every_part_and_no_escape_sequence() {
    let demo = Demo::start();
    // Standard output is no terminal: it is as with --once.
    for arguments in [&["--once"][..], &[]] {
        let output = run_well(&mut top(&demo.address, arguments));
        let text = String::from_utf8(output.stdout).unwrap();
        for part in [
            "Traffic",
            "Verdicts",
            "Lost",
            "Latency",
            "Store",
            "Top sources",
            "Top rules",
            "Open incidents",
        ] {
            assert!(text.lines().any(|line| line.starts_with(part)), "no {part}\n{text}");
        }
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains(&demo.address), "{text}");
    }
}

#[test]
fn without_a_sensor_it_refuses_and_says_what_to_look_at() {
    // A port that was free a moment ago, and is not listened at.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = |output: &Output, code, parts: &[&str]| {
        assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
        assert!(output.stdout.is_empty());
        for part in parts {
            assert!(stderr(output).contains(part), "{part:?}: {}", stderr(output));
        }
    };
    let nobody = run(&mut top(&address, &["--once"]));
    refused(&nobody, 1, &[&address, "refused", "is the sensor running? http.listen"]);
    let output = run(sensor().args(["top", "--once", "--url", "127.0.0.1:8000"]));
    refused(&output, 2, &["--url 127.0.0.1:8000", "http://"]);
    let output = run(&mut top(&address, &["--once", "--token-file", "gone"]));
    refused(&output, 78, &["--token-file gone", "No such file"]);
    for interval in ["0", "nan", "1h", "1e9"] {
        let output = run(sensor().args(["top", "--once", "--interval", interval]));
        refused(&output, 2, &["0.1 to 3600"]);
    }
    // Somebody else's server.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = BufReader::new(client.try_clone().unwrap()).lines();
        while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>").unwrap();
    });
    let output = run(&mut top(&address, &["--once"]));
    other.join().unwrap();
    refused(&output, 1, &["/health", "not a sensor's"]);
}

#[test]
fn a_sensor_with_a_token_is_asked_with_it_and_a_wrong_one_is_said_to_be_wrong() {
    let folder = folder();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let token = file("token", &format!("{}\n", "t0ken".repeat(8)));
    let wrong = file("wrong", &"wr0ng".repeat(8));
    let config = file("sensor.toml", &format!("[http]\ntoken_file = \"{token}\"\n"));
    let demo = Demo::start_with("127.0.0.1:0", &["--config", &config]);
    let with = |file: &str| run(&mut top(&demo.address, &["--once", "--token-file", file]));
    assert!(with(&token).status.success(), "{}", stderr(&with(&token)));
    for (output, part) in [
        (with(&wrong), "does not take the token of --token-file"),
        (run(&mut top(&demo.address, &["--once"])), "wants a token; --token-file"),
    ] {
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
        assert!(!stderr(&output).contains("wr0ng"), "a token is told: {}", stderr(&output));
    }
}

/// Ends it, and looks at what stands on the terminal then.
#[track_caller]
fn must_be_left_as_it_was(terminal: Terminal) {
    let output = terminal.ends_well();
    let (entered, left) = (output.find(ENTER), output.rfind(LEAVE));
    assert!(entered.is_some() && entered < left, "{output}");
    assert!(output.rfind(SHOW_CURSOR) > left, "the cursor stays hidden: {output}");
}

#[test]
fn on_a_terminal_keys_are_obeyed_and_the_terminal_is_left_as_it_was() {
    let demo = Demo::start();
    let mut terminal = Terminal::with(&top(&demo.address, &[]));
    for text in [ENTER, "healthy", "Traffic", "CRITICAL", "unaccounted", "sources"] {
        terminal.sees(text);
    }
    for (key, text) in [("s", "rules"), ("?", "hold"), ("?", "Latency"), ("p", "PAUSED")] {
        assert_eq!(terminal.step(&json!(["press", key])), "done");
        terminal.sees(text);
    }
    terminal.step(&json!(["press", "q"]));
    must_be_left_as_it_was(terminal);
}

#[test]
fn ctrl_c_and_sigterm_leave_the_terminal_as_it_was() {
    let demo = Demo::start();
    for end in [json!(["press", "\u{3}"]), json!(["signal", "TERM"]), json!(["signal", "INT"])] {
        let mut terminal = Terminal::with(&top(&demo.address, &[]));
        terminal.sees("healthy");
        terminal.step(&end);
        must_be_left_as_it_was(terminal);
    }
}

#[test]
fn a_sensor_that_goes_away_is_said_to_be_away_and_shown_again_when_it_is_back() {
    let demo = Demo::start();
    let address = demo.address.clone();
    let mut terminal = Terminal::with(&top(&address, &[]));
    terminal.sees("healthy");
    drop(demo);
    terminal.sees("AWAY.");
    let _back = Demo::start_with(&address, &[]);
    terminal.sees("healthy");
    terminal.step(&json!(["press", "q"]));
    must_be_left_as_it_was(terminal);
}
