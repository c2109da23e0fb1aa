//! A real Prometheus on a real sensor: it scrapes without a complaint, and understands what alerts and dashboards ask.

#![cfg(test)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::demo::Demo;
use crate::support::{folder, run_or_say};

const NEEDS: &str = "this test needs Debian's prometheus, which `make test` installs";

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")
}

/// A server of the test's own that scrapes `target` each second; ended with the value.
struct Prometheus {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Prometheus {
    /// With the committed configuration, but for interval and target.
    fn start(target: &str) -> Self {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let committed = fs::read_to_string(configs().join("prometheus/scrape.yml")).unwrap();
        let changed = committed.replace("127.0.0.1:8000", target).replace("15s", "1s");
        assert_ne!(changed, committed);
        fs::write(at("scrape.yml"), changed).unwrap();
        fs::copy(configs().join("prometheus/alerts.yml"), at("alerts.yml")).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", at("scrape.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.format=json")
            .stderr(fs::File::create(at("log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .expect(NEEDS);
        Self { process, address, folder }
    }

    /// What it answers; `None` while it does not.
    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url = format!("http://{}{path}", self.address);
        let request = ureq::get(&url).config().http_status_as_error(false).build();
        let mut answer = request.query_pairs(parameters.iter().copied()).call().ok()?;
        serde_json::from_slice(&answer.body_mut().read_to_vec().ok()?).ok()
    }

    /// The result of an expression, or what is wrong with it.
    fn ask(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.get("/api/v1/query", &[("query", expression)]).ok_or("no answer")?;
        match answer["data"]["result"].as_array() {
            Some(series) => Ok(series.clone()),
            None => Err(answer["error"].to_string()),
        }
    }

    fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(60), "{what}\n{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Lines of its log that are more than information.
    fn complaints(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        let is_complaint = |line: &&str| {
            line.contains("\"level\":\"warn\"") || line.contains("\"level\":\"error\"")
        };
        log.lines().filter(is_complaint).map(str::to_owned).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Every expression of the dashboards for Grafana, with its place.
fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in ["sensor.json", "store.json"] {
        let text = fs::read_to_string(configs().join("grafana").join(file)).unwrap();
        let board: Value = serde_json::from_str(&text).unwrap();
        for panel in board["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            for target in panel["targets"].as_array().unwrap() {
                // What Grafana puts in the place of its variables.
                let asked = target["expr"].as_str().unwrap();
                let asked = asked.replace("$instance", ".*").replace("$__rate_interval", "10s");
                assert!(!asked.contains('$'), "{file}: {title}: {asked}");
                found.push((format!("{file}: {title}"), asked));
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Figures of what a demonstration does not have: an interface.
const OF_AN_INTERFACE: &str = "phantomnet_socket_lost_frames_total";

#[test]
fn a_real_prometheus_scrapes_without_a_complaint_and_answers_every_panel_and_alert() {
    let place = folder();
    let config = place.path().join("c.toml");
    fs::write(&config, "outputs.eve.path = 'eve.json'\n").unwrap();
    let demo = Demo::start_with("127.0.0.1:0", &["--config", config.to_str().unwrap()]);
    let prometheus = Prometheus::start(&demo.address);
    prometheus.wait_for("no scrape succeeded", || {
        prometheus.ask("up == 1").is_ok_and(|series| !series.is_empty())
    });
    // A rate takes two scrapes.
    let judged = "rate(phantomnet_frames_total{stage=\"judge\"}[10s]) > 0";
    prometheus
        .wait_for("no rate", || prometheus.ask(judged).is_ok_and(|series| !series.is_empty()));
    for (place, expression) in expressions() {
        let is_of_interface = expression.contains(OF_AN_INTERFACE) && !expression.contains(" or ");
        // Some take two scrapes of what was asked for meanwhile.
        prometheus.wait_for(&format!("{place}: nothing for {expression}"), || {
            let asked = prometheus.ask(&expression);
            let series = asked.unwrap_or_else(|error| panic!("{place}: {error}"));
            is_of_interface || !series.is_empty()
        });
    }
    let rules = prometheus.get("/api/v1/rules", &[]).unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), 14);
    prometheus.wait_for("a rule was not evaluated", || {
        let now = prometheus.get("/api/v1/rules", &[]).unwrap();
        let rules = now["data"]["groups"][0]["rules"].as_array().unwrap();
        rules.iter().all(|rule| rule["health"] == "ok")
    });
    let targets = prometheus.get("/api/v1/targets", &[]).unwrap();
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "");
    assert_eq!(prometheus.complaints(), Vec::<String>::new());
}

#[test]
fn its_own_tool_finds_nothing_to_mend_in_figures_rules_and_configuration() {
    let demo = Demo::start();
    let folder = folder();
    let file = folder.path().join("metrics");
    let url = format!("http://{}/metrics", demo.address);
    let request = ureq::get(&url).header("Accept", "text/plain;version=0.0.4");
    fs::write(&file, request.call().unwrap().body_mut().read_to_vec().unwrap()).unwrap();
    let mut lint = Command::new("promtool");
    lint.args(["check", "metrics"]).stdin(fs::File::open(&file).unwrap());
    let output = lint.output().expect(NEEDS);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let files = configs().join("prometheus");
    for (what, file) in [("rules", "alerts.yml"), ("config", "scrape.yml")] {
        run_or_say(Command::new("promtool").args(["check", what]).arg(files.join(file)), NEEDS);
    }
}

#[test]
fn alerts_come_when_they_should_and_not_before() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/alerts.yml");
    run_or_say(Command::new("promtool").args(["test", "rules"]).arg(cases), NEEDS);
}
