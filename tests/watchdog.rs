//! What a service manager hears of `phantomnet run`: that it is ready, that its workers move or stand still, that it stops.

#![cfg(test)]

use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::netns::{self, Wire};
use crate::support;

/// The time after which the manager would give up; the sensor feeds it twice as often.
const WATCHDOG: Duration = Duration::from_millis(600);

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sensor under a service manager that this test plays.
pub(crate) struct Service {
    sensor: Child,
    manager: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        Self::start_as(support::sensor(), arguments)
    }

    pub(crate) fn start_as(mut program: Command, arguments: &[&str]) -> Self {
        // A socket's path has to be short, so it does not lie in the target folder.
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        let config = folder.path().join("sensor.toml");
        // Few frames: more memory than a few MiB may be locked only by who has more rights than the service.
        std::fs::write(&config, "sensor.folder = 'data'\nhttp.listen = ''\ncapture.frames = 512\n")
            .unwrap();
        let sensor = program
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
    pub(crate) fn hears(&self, time: Duration) -> Option<String> {
        let until = Instant::now() + time;
        let mut bytes = [0; 4_096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.manager.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            let length = match self.manager.recv(&mut bytes) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => panic!("the socket of the manager: {error}"),
            };
            let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
            let said: Vec<&str> =
                text.lines().filter(|line| !line.starts_with("STATUS=")).collect();
            if !said.is_empty() {
                return Some(said.join("\n"));
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn ends(&mut self) -> std::process::ExitStatus {
        self.sensor.wait().unwrap()
    }

    /// Hears messages until this one.
    #[track_caller]
    pub(crate) fn hears_at_last(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(message) = self.hears(PATIENCE) {
            if message == wanted {
                return heard;
            }
            heard.push(message);
        }
        panic!("{wanted} was not said: {heard:?}");
    }

    /// Stops it as the manager would, which must be in order.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        support::signal("TERM", self.sensor.id());
        let ended = self.sensor.wait().unwrap();
        assert!(ended.success(), "a service that is stopped has not failed: {ended}");
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
    support::signal("TERM", service.sensor.id());
    let before = service.hears_at_last("STOPPING=1");
    assert!(before.iter().all(|message| message == "WATCHDOG=1"), "{before:?}");
    let ended = service.sensor.wait().unwrap();
    assert!(ended.success(), "a service that is stopped has not failed: {ended}");
}

#[test]
fn a_sensor_on_an_interface_is_vouched_for_also_when_no_frame_comes() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let arguments = ["--interface", wire.sensor().device()];
    let mut service = Service::start_as(wire.sensor().sensor_program(), &arguments);
    assert_eq!(service.hears_at_last("READY=1"), Vec::<String>::new(), "nothing is said before");
    for _ in 0..5 {
        assert_eq!(service.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
    }
    support::signal("TERM", service.sensor.id());
    service.hears_at_last("STOPPING=1");
    assert!(service.sensor.wait().unwrap().success());
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
    support::signal("HUP", service.sensor.id());
    for _ in 0..3 {
        assert_eq!(service.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
    }
}
