//! `kill -9` in mid-run: what was committed is there once, what is lost is stated, and the next start goes on.

#![cfg(test)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::support;

/// Packets stored before the kill.
const ENOUGH: u64 = 2_000;

/// Sends SIGKILL and waits for the end.
fn kill(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("it was started here");
}

fn audit(url: &str) -> Value {
    let output =
        support::run_well(support::sensor().args(["audit", "--form", "json", "--store", url]));
    support::summary(&output)
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} of {value}"))
}

/// The epochs of an audit in which every sum holds, oldest first, once `is_enough`.
fn wait_for_epochs(url: &str, is_enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let began = Instant::now();
    loop {
        // Not yet migrated, or in the middle of a batch of SQLite's: asked again.
        let output =
            support::run(support::sensor().args(["audit", "--form", "json", "--store", url]));
        if output.status.success() {
            let epochs = support::summary(&output)["epochs"].as_array().unwrap().clone();
            if is_enough(&epochs) {
                return epochs;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{}", support::stderr(&output));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn has_stored_enough(epochs: &[Value]) -> bool {
    epochs.last().is_some_and(|epoch| number(epoch, "/stored/packets") >= ENOUGH)
}

/// What holds of a run that was killed, whoever looks and whenever.
fn is_sound(epoch: &Value) {
    assert_eq!(epoch["ended"], false, "{epoch}");
    assert_eq!(number(epoch, "/doubled"), 0, "{epoch}");
    assert_eq!(epoch["differences"], serde_json::json!([]), "{epoch}");
    assert_eq!(epoch["committed"], epoch["stored"], "{epoch}");
}

/// `replay` into a store is killed, audited, and done again from the start.
fn a_replay_is_killed(url: &str) {
    support::run_well(support::sensor().args(["migrate", "--store", url]));
    let capture = support::generated_traffic();
    let replay = |speed: &str| {
        let mut command = support::sensor();
        command.args(["replay", "--summary", "json", "--speed", speed, "--store", url]);
        command.arg(capture);
        command
    };
    let child = quiet(&mut replay("x10"));
    wait_for_epochs(url, has_stored_enough);
    kill(child);
    let killed = audit(url)["epochs"][0].clone();
    is_sound(&killed);
    // Nobody kept a page: the loss is known up to the last marker, and said to be unknown beyond.
    let judged = number(&killed, "/last/packets") - number(&killed, "/last/sampled_out");
    let stored = number(&killed, "/stored/packets");
    let missing = judged.saturating_sub(stored);
    let open = number(&killed, "/open");
    assert_eq!(number(&killed, "/lost"), missing.saturating_sub(open), "{killed}");
    assert!(stored < 20_000, "it was killed in mid-run");

    let again = support::run_well(&mut replay("max"));
    let judged: u64 = support::summary(&again)["verdicts"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    let report = audit(url);
    let [before, after] = [&report["epochs"][0], &report["epochs"][1]];
    assert_eq!(before, &killed, "what was there is as it was");
    assert_eq!(after["ended"], true, "{after}");
    assert_eq!(number(after, "/stored/packets"), judged);
    assert_eq!(number(after, "/lost") + number(after, "/doubled"), 0, "{after}");
}

fn quiet(command: &mut Command) -> Child {
    command.env_remove("RUST_BACKTRACE").stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program can be started")
}

/// A sensor of a configuration that stores every packet as an event.
fn run(config: &Path, capture: &Path, speed: &str) -> Command {
    let mut command = support::sensor();
    command.arg("run").arg("--config").arg(config).arg("--source").arg(capture);
    command.args(["--speed", speed]);
    command
}

/// A sensor is killed twice, audited each time, and the last start ends in order.
fn a_sensor_is_killed(url: &str) {
    support::run_well(support::sensor().args(["migrate", "--store", url]));
    let folder = support::folder();
    let config = folder.path().join("sensor.toml");
    let text = format!(
        "sensor.folder = 'data'\nstore.url = '{url}'\nevents = {{ store = 'all', coalesce_ms = 200 }}\nhttp.listen = ''\n"
    );
    std::fs::write(&config, text).unwrap();
    let capture = support::generated_traffic();

    let mut pages = Vec::new();
    for nth in 1..=2 {
        let child = quiet(&mut run(&config, capture, "x10"));
        wait_for_epochs(url, |epochs| epochs.len() == nth && has_stored_enough(epochs));
        kill(child);
        let report = audit(url);
        let newest = &report["epochs"][nth - 1];
        is_sound(newest);
        assert_eq!(newest["crashed"], false, "nobody has found it yet: {newest}");
        pages.push(page(&folder.path().join("data"), newest["epoch"].as_str().unwrap()));
    }

    support::run_well(&mut run(&config, capture, "max"));
    let report = audit(url);
    let epochs = report["epochs"].as_array().unwrap();
    assert_eq!(epochs.len(), 3);
    for (killed, page) in epochs.iter().zip(&pages) {
        is_sound(killed);
        assert_eq!(killed["crashed"], true, "{killed}");
        // What the dead process had judged, by its own figures, and is not there. They are a moment old: rows may be ahead.
        let judged = number(page, "/packets") - number(page, "/sampled_out");
        let packets = judged.saturating_sub(number(killed, "/stored/packets"));
        let victims = number(page, "/victims").saturating_sub(number(killed, "/stored/alerts"));
        assert_eq!(number(killed, "/lost"), packets + victims, "{killed} {page}");
        assert!(number(killed, "/stored/packets") < 20_000, "it was killed in mid-run");
    }
    assert_eq!(epochs[2]["ended"], true, "{}", epochs[2]);
    assert_eq!(number(&epochs[2], "/lost") + number(&epochs[2], "/doubled"), 0);
    let pages = std::fs::read_dir(folder.path().join("data")).unwrap().flatten();
    let pages = pages.filter(|entry| entry.file_name().to_string_lossy().starts_with("running-"));
    assert_eq!(pages.count(), 0, "what there was to find out is stored");
}

/// The figures that a dead process has left.
fn page(folder: &Path, epoch: &str) -> Value {
    let bytes = std::fs::read(folder.join(format!("running-{epoch}.json"))).unwrap();
    let page: Value = serde_json::from_slice(&bytes).unwrap();
    page["leftover"]["totals"].clone()
}

fn sqlite_url(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("events.db").display())
}

#[test]
fn a_replay_that_is_killed_doubles_nothing_in_sqlite() {
    let folder = support::folder();
    a_replay_is_killed(&sqlite_url(folder.path()));
}

#[test]
fn a_replay_that_is_killed_doubles_nothing_in_postgresql() {
    let database = Cluster::shared().database("killed_replay");
    a_replay_is_killed(&database.url());
}

#[test]
fn a_sensor_that_is_killed_states_its_loss_and_goes_on_in_sqlite() {
    let folder = support::folder();
    a_sensor_is_killed(&sqlite_url(folder.path()));
}

#[test]
fn a_sensor_that_is_killed_states_its_loss_and_goes_on_in_postgresql() {
    let database = Cluster::shared().database("killed_sensor");
    a_sensor_is_killed(&database.url());
}
