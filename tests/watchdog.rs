//! What a service manager hears of `phantomnet run`: that it is ready, that its workers move or stand still, that it stops.

#![cfg(test)]

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support;

/// The time after which the manager would give up; the sensor feeds it twice as often.
const WATCHDOG: Duration = Duration::from_millis(600);

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sensor under a service manager that this test plays.
struct Service {
    sensor: Child,
    manager: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        // A socket's path has to be short, so it does not lie in the target folder.
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        let config = folder.path().join("sensor.toml");
        std::fs::write(&config, "sensor.folder = 'data'\nhttp.listen = ''\n").unwrap();
        let sensor = support::sensor()
            .args(["run", "--config"])
            .arg(&config)
            .args(arguments)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { sensor, manager, _folder: folder }
    }

    /// The next message, but for the line of the status; none within `time`.
    fn hears(&self, time: Duration) -> Option<String> {
        let until = Instant::now() + time;
        let mut bytes = [0; 4_096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.manager.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            let length = self.manager.recv(&mut bytes).ok()?;
            let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
            let said: Vec<&str> =
                text.lines().filter(|line| !line.starts_with("STATUS=")).collect();
            if !said.is_empty() {
                return Some(said.join("\n"));
            }
        }
    }

    /// Hears messages until this one.
    #[track_caller]
    fn hears_at_last(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(message) = self.hears(PATIENCE) {
            if message == wanted {
                return heard;
            }
            heard.push(message);
        }
        panic!("{wanted} was not said: {heard:?}");
    }

    fn signal(&self, name: &str) {
        let id = self.sensor.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.sensor.kill().ok();
        self.sensor.wait().ok();
    }
}

#[test]
fn a_sensor_is_ready_then_feeds_the_watchdog_then_stops() {
    let capture = support::generated_traffic().to_str().unwrap();
    let mut service = Service::start(&["--source", capture, "--stay"]);
    assert_eq!(service.hears_at_last("READY=1"), Vec::<String>::new(), "nothing is said before");
    for _ in 0..3 {
        assert_eq!(service.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
    }
    service.signal("TERM");
    let before = service.hears_at_last("STOPPING=1");
    assert!(before.iter().all(|message| message == "WATCHDOG=1"), "{before:?}");
    let ended = service.sensor.wait().unwrap();
    assert!(ended.success(), "a service that is stopped has not failed: {ended}");
}

#[test]
fn a_worker_that_stands_still_is_not_vouched_for_until_it_moves_again() {
    let capture = std::fs::read(support::generated_traffic()).unwrap();
    let (first, rest) = capture.split_at(capture.len() / 2);
    // The one worker reads standard input itself, and waits there like one that hangs.
    let mut service = Service::start(&["--source", "-", "--speed", "max"]);
    let mut input = service.sensor.stdin.take().unwrap();
    input.write_all(first).unwrap();
    service.hears_at_last("READY=1");
    // It may take a while until everything that came is judged.
    let is_silent = (0..100).any(|_| service.hears(WATCHDOG * 3).is_none());
    assert!(is_silent, "the watchdog is fed although the worker does not move");
    input.write_all(rest).unwrap();
    assert_eq!(service.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
    drop(input);
    service.hears_at_last("STOPPING=1");
    assert!(service.sensor.wait().unwrap().success());
}

#[test]
fn a_manager_that_asks_for_a_reload_does_not_end_the_sensor() {
    let capture = support::generated_traffic().to_str().unwrap();
    let service = Service::start(&["--source", capture, "--stay"]);
    service.hears_at_last("READY=1");
    service.signal("HUP");
    for _ in 0..3 {
        assert_eq!(service.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
    }
}
