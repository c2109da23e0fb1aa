//! Incidents by POST, taken by Python's HTTP server.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::Place;
use crate::support::{folder, run_well};

/// A server that answers as told; ended with the value.
struct Receiver {
    process: Child,
    port: u64,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Receiver {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outputs/receiver.py"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs python3, which `make test` installs");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        Self { process, port, lines }
    }

    /// What it was sent up to now; it is ended.
    fn received(mut self) -> Vec<Value> {
        self.process.kill().unwrap();
        let lines = std::mem::replace(
            &mut self.lines,
            BufReader::new(
                Command::new("true").stdout(Stdio::piped()).spawn().unwrap().stdout.unwrap(),
            )
            .lines(),
        );
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A certificate for this machine, and its key.
fn certificate(place: &Place) -> [String; 2] {
    let names = ["cert.pem", "key.pem"].map(|name| place.path(name).display().to_string());
    let [cert, key] = &names;
    run_well(Command::new("openssl").args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        key,
        "-out",
        cert,
    ]));
    names
}

#[test]
fn every_incident_is_posted_over_tls_with_the_token_and_again_after_an_error() {
    let files = folder();
    let place = Place::new("");
    let [cert, key] = certificate(&place);
    let token = files.path().join("token");
    fs::write(&token, "secret-of-the-webhook\n").unwrap();
    // The first is refused for now, twice; it comes again.
    let receiver = Receiver::start(&["503,429,200", &cert, &key]);
    let mut config = fs::read_to_string(place.path("c.toml")).unwrap();
    config.push_str(&format!(
        "[outputs.webhook]\nurl = 'https://localhost:{}/hook?key=also-secret'\ntoken_file = '{}'\n",
        receiver.port,
        token.display()
    ));
    fs::write(place.path("c.toml"), config).unwrap();
    let sensor = place.start();
    let done =
        sensor.output(|output| output["waiting"] == 0 && output["written"].as_u64().unwrap() > 0);
    assert_eq!(done["failures"], 2, "{done}");
    for shown in ["/api/accounting", "/health", "/metrics"] {
        assert!(!sensor.get(shown).contains("secret"), "{shown}");
    }
    sensor.stop();

    let received = receiver.received();
    assert_eq!(received[0]["body"], received[1]["body"]);
    assert_eq!(received[1]["body"], received[2]["body"]);
    let mut told = BTreeSet::new();
    for request in received.iter().filter(|request| request["answer"] == 200) {
        assert_eq!(request["path"], "/hook?key=also-secret");
        assert_eq!(request["headers"]["authorization"], "Bearer secret-of-the-webhook");
        assert_eq!(request["headers"]["content-type"], "application/json");
        let body = &request["body"];
        assert_eq!(body["sensor"], "tap-1");
        let incident = &body["incident"];
        let worst = incident["worst"].as_str().unwrap();
        assert!(["HIGH", "CRITICAL"].contains(&worst));
        assert!(body["text"].as_str().unwrap().starts_with(worst), "{body}");
        told.insert(incident["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, place.grave_incidents());
}

#[test]
fn what_the_other_side_will_never_take_is_counted_and_a_redirection_is_not_followed() {
    for answer in ["400", "302"] {
        let receiver = Receiver::start(&[answer]);
        let place = Place::new(&format!(
            "[outputs.webhook]\nurl = 'http://127.0.0.1:{}/'\n",
            receiver.port
        ));
        let sensor = place.start();
        let done = sensor.output(|output| output["failed"].as_u64().unwrap() > 2);
        assert_eq!(done["written"], 0);
        let health: Value = serde_json::from_str(&sensor.get("/health")).unwrap();
        assert!(health["problems"].to_string().contains("output webhook: "), "{health}");
        sensor.stop();
        let received = receiver.received();
        assert!(received.iter().all(|request| request["path"] == "/"), "{received:?}");
    }
}

#[test]
fn a_server_whose_certificate_is_not_trusted_gets_nothing() {
    let place = Place::new("");
    let [cert, key] = certificate(&place);
    let receiver = Receiver::start(&["200", &cert, &key]);
    let config = fs::read_to_string(place.path("c.toml")).unwrap();
    let url = format!("url = 'https://localhost:{}/'", receiver.port);
    fs::write(place.path("c.toml"), format!("{config}[outputs.webhook]\n{url}\n")).unwrap();
    // Another certificate is trusted.
    certificate(&place);
    let sensor = place.start();
    let output = sensor.output(|output| output["failures"].as_u64().unwrap() > 0);
    assert!(output["last_error"].as_str().unwrap().contains("certificate"), "{output}");
    sensor.stop();
    assert_eq!(receiver.received(), Vec::<Value>::new());
}
