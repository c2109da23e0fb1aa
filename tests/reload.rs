//! SIGHUP: what a running sensor judges by is read again, and nothing else of it changes.

#![cfg(test)]

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::live::Sensor;
use crate::netns::{self, Wire};
use crate::support::{self, folder};

/// A rule that every packet of these tests meets.
fn rule(risk: u8) -> String {
    format!("alert udp any any -> any 53 (msg:\"asks\"; sid:1; metadata: risk {risk};)\n")
}

/// A sensor that has judged a capture, and goes on answering.
struct Answering {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Answering {
    fn start(config: &str) -> Self {
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.rules"), rule(30)).unwrap();
        fs::write(path("feed.txt"), "192.0.2.1 known\n").unwrap();
        let text = format!(
            "sensor.folder = 'data'\nhttp.listen = '127.0.0.1:0'\nrules.files = ['a.rules']\n\
             [[intel.feeds]]\npath = 'feed.txt'\n{config}"
        );
        fs::write(path("c.toml"), text).unwrap();
        let (process, address) = support::start_staying(&path("c.toml"), |_| {});
        Self { process, address, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn get(&self, target: &str) -> String {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let mut answer = agent.get(format!("http://{}{target}", self.address)).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    fn health(&self) -> Value {
        serde_json::from_str(&self.get("/health")).unwrap()
    }

    fn reload(&self) {
        support::signal("HUP", self.process.id());
    }

    /// Waits until the health of the sensor is as wanted.
    #[track_caller]
    fn health_at_last(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let health = self.health();
            if wanted(&health) {
                return health;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{health:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The count of reloads that came to `result`.
    fn reloads(&self, result: &str) -> u64 {
        let page = self.get("/metrics");
        let series = format!("phantomnet_detection_reloads_total{{result=\"{result}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // A test that failed leaves nothing running.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn version(health: &Value) -> String {
    health["model"]["detection_version"].as_str().unwrap().to_owned()
}

/// What the health of a sensor says of a reload that was refused: of the model, and among the problems.
fn refusal(health: &Value) -> Option<&str> {
    let fault = health["model"]["reload_fault"].as_str();
    let problems = health["problems"].as_array().unwrap();
    let is_told = |text: &Value| {
        fault.map_or_else(
            || text.as_str().unwrap().contains("reload"),
            |fault| text.as_str().unwrap().contains(fault),
        )
    };
    assert_eq!(problems.iter().any(is_told), fault.is_some(), "{health:#}");
    fault
}

#[test]
fn each_part_of_what_judges_is_read_again() {
    let sensor = Answering::start("[policy]\nmodel_quantile = 0.999\n");
    let mut versions = vec![version(&sensor.health())];
    let config = fs::read_to_string(sensor.path("c.toml")).unwrap();
    let parts: [(&str, String); 4] = [
        ("a.rules", rule(70)),
        ("feed.txt", "192.0.2.1 known\n198.51.100.0/24 known too\n".to_owned()),
        ("c.toml", config.replace("0.999", "0.99")),
        ("c.toml", format!("model.path = 'm.json'\n{config}")),
    ];
    let mut train = support::sensor();
    train.args(["train", "--trees", "20", "--from"]).arg(support::generated_traffic());
    support::run_well(train.arg("--out").arg(sensor.path("m.json")));
    for (file, text) in parts {
        fs::write(sensor.path(file), text).unwrap();
        sensor.reload();
        let health = sensor.health_at_last(|health| !versions.contains(&version(health)));
        assert_eq!(refusal(&health), None, "{file}");
        versions.push(version(&health));
    }
    assert_eq!(sensor.reloads("replaced"), 4);
    // Once more, with nothing changed.
    sensor.reload();
    let began = Instant::now();
    while sensor.reloads("unchanged") == 0 {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((sensor.reloads("replaced"), sensor.reloads("refused")), (4, 0));
    assert_eq!(version(&sensor.health()), *versions.last().unwrap());
}

#[test]
fn what_is_wrong_is_refused_and_named_and_the_old_detection_stays() {
    let sensor = Answering::start("");
    let before = version(&sensor.health());
    let good = |file: &str| fs::read_to_string(sensor.path(file)).unwrap();
    let (rules, config) = (good("a.rules"), good("c.toml"));
    let wrong = [
        (
            "a.rules",
            format!("{rules}alert udp any any -> any any (msg:\"no number\";)\n"),
            "a.rules:2",
        ),
        ("a.rules", "# cut off".to_owned(), "there is no rule"),
        ("feed.txt", "0.0.0.0/0 everything\n".to_owned(), "feed.txt"),
        ("c.toml", format!("{config}\n[policy]\nmodel_quantile = 7\n"), "model_quantile"),
        ("c.toml", format!("model.path = 'gone.json'\n{config}"), "gone.json"),
    ];
    for (nth, (file, text, named)) in (1..).zip(wrong) {
        let old = good(file);
        fs::write(sensor.path(file), text).unwrap();
        sensor.reload();
        let names = |fault: &str| fault.contains(named);
        let health = sensor.health_at_last(|health| refusal(health).is_some_and(names));
        assert_ne!(health["status"], "healthy");
        assert_eq!(version(&health), before);
        assert_eq!(sensor.reloads("refused"), nth);
        fs::write(sensor.path(file), old).unwrap();
    }
    sensor.reload();
    let health = sensor.health_at_last(|health| refusal(health).is_none());
    assert_eq!(version(&health), before);
}

#[test]
fn packets_on_a_wire_are_judged_by_the_rules_in_force_when_they_came() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(2);
    let folder = folder();
    let rules = folder.path().join("a.rules");
    fs::write(&rules, rule(30)).unwrap();
    let settings = format!("[workers]\ncount = 2\n[rules]\nfiles = ['{}']", rules.display());
    let sensor = Sensor::start(&wire, &settings);
    let mut sender = wire.sender();
    let enough = AtomicBool::new(false);
    let stopped = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let frames = netns::numbered_frames(20, 16);
            let mut sent = 0;
            while !enough.load(Ordering::Relaxed) {
                sender.send(&frames);
                sent += frames.len();
                std::thread::sleep(Duration::from_millis(10));
            }
            sent
        });
        let reloads = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (nth, risk) in (1..).zip([70, 50, 90]) {
                std::thread::sleep(Duration::from_millis(300));
                fs::write(&rules, rule(risk)).unwrap();
                support::signal("HUP", sensor.id());
                sensor.wait_until_said("reloaded: detection", nth);
            }
            fs::write(&rules, "no rule at all\n").unwrap();
            support::signal("HUP", sensor.id());
            sensor.wait_until_said("the reload is refused", 1);
            std::thread::sleep(Duration::from_millis(300));
        }));
        enough.store(true, Ordering::Relaxed);
        let sent = sending.join().unwrap();
        reloads.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (sent, sensor.stop())
    });
    let (sent, stopped) = stopped;
    assert_eq!(stopped.rows.len(), sent, "each packet was judged once");
    let changes: Vec<i64> = stopped
        .log
        .lines()
        .filter_map(|line| line.split("judges packets from ").nth(1)?.split(' ').next())
        .map(|time| time.parse::<jiff::Timestamp>().unwrap())
        .map(|time| i64::try_from(time.as_nanosecond()).unwrap())
        .collect();
    assert_eq!(changes.len(), 3, "{}", stopped.log);
    let mut judged = [0; 4];
    for row in &stopped.rows {
        let nth = changes.iter().filter(|from| row.time() >= **from).count();
        assert_eq!(row.rule_risk(), ["30", "70", "50", "90"][nth], "{row:?}");
        judged[nth] += 1;
    }
    assert!(judged.iter().all(|count| *count > 0), "{judged:?}");
    let epoch = &stopped.audit["epochs"][0];
    assert_eq!((&epoch["lost"], &epoch["doubled"]), (&0.into(), &0.into()), "{}", stopped.audit);
}
