//! Incidents by syslog, read by a real rsyslogd.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Place;
use crate::support::folder;

const NEEDS: &str = "this test needs Debian's rsyslog, which `make test` installs";

/// A rsyslogd of the test's own, which writes what it understood of each message as a line of JSON.
struct Rsyslog {
    process: Child,
    folder: tempfile::TempDir,
}

impl Rsyslog {
    fn start(input: &str) -> Self {
        let folder = folder();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let fields = [
            ("pri", "pri"),
            ("time", "timereported\" dateFormat=\"rfc3339"),
            ("host", "hostname"),
            ("app", "app-name"),
            ("process", "procid"),
            ("id", "msgid"),
            ("data", "structured-data"),
            ("text", "msg"),
        ];
        let fields: String = fields
            .iter()
            .map(|(name, property)| {
                format!("property(outname=\"{name}\" name=\"{property}\" format=\"jsonf\")\n")
            })
            .collect();
        let text = format!(
            "global(workDirectory=\"{}\")\n{}\n\
             template(name=\"json\" type=\"list\" option.jsonf=\"on\") {{ {fields} }}\n\
             action(type=\"omfile\" file=\"{}\" template=\"json\")\n",
            folder.path().display(),
            input.replace("{folder}", &folder.path().display().to_string()),
            at("received"),
        );
        fs::write(at("c.conf"), text).unwrap();
        let process = Command::new("rsyslogd")
            .args(["-n", "-f", &at("c.conf"), "-i", &at("pid")])
            .stderr(fs::File::create(at("log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .expect(NEEDS);
        Self { process, folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// What it has received, as soon as that is so many messages.
    fn received(&self, count: usize) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let text = fs::read_to_string(self.path("received")).unwrap_or_default();
            // What rsyslogd says of itself stands there, too.
            let all = text.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
            let ours: Vec<Value> = all.filter(|line| line["app"] == "phantomnet").collect();
            if ours.len() >= count {
                return ours;
            }
            let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{} of {count}\n{text}\n{}",
                ours.len(),
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A sensor tells each incident, and rsyslogd understands all of it.
fn tells(rsyslog: &Rsyslog, to: &str) {
    let place = Place::new(&format!("[outputs.syslog]\nto = '{to}'\nfacility = 'local3'\n"));
    place.run();
    let expected = place.grave_incidents();
    let received = rsyslog.received(expected.len());
    let mut told = BTreeSet::new();
    for message in &received {
        let text = |field: &str| message[field].as_str().unwrap().to_owned();
        assert!(["incident-opened", "incident-raised"].contains(&&*text("id")), "{message}");
        assert!(text("process").parse::<u32>().is_ok(), "{message}");
        assert_ne!(text("host"), "-");
        let data = text("data");
        assert!(data.starts_with("[phantomnet@32473 sensor=\"tap-1\" incident=\""), "{data}");
        let (_, rest) = data.split_once("incident=\"").unwrap();
        told.insert(rest.split('"').next().unwrap().to_owned());
        // local3 is 19; critical is 2, error is 3.
        let severity = if data.contains("verdict=\"CRITICAL\"") { 2 } else { 3 };
        assert_eq!(text("pri"), (19 * 8 + severity).to_string(), "{message}");
        assert!(text("text").contains(" packet"), "{message}");
    }
    assert_eq!(told, expected);
}

#[test]
fn rsyslogd_understands_every_incident_that_comes_over_the_machines_own_socket() {
    let rsyslog = Rsyslog::start(
        "module(load=\"imuxsock\" sysSock.use=\"off\")\n\
         input(type=\"imuxsock\" socket=\"{folder}/log.socket\" useSpecialParser=\"off\" rateLimit.interval=\"0\")",
    );
    let socket = rsyslog.path("log.socket");
    wait_for("rsyslogd listens", || socket.exists());
    tells(&rsyslog, &format!("unix:{}", socket.display()));
}

#[test]
fn rsyslogd_understands_every_incident_that_comes_by_udp() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let rsyslog = Rsyslog::start(&format!(
        "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\")"
    ));
    let line = format!("0100007F:{port:04X} ");
    wait_for("rsyslogd listens", || {
        fs::read_to_string(Path::new("/proc/net/udp")).unwrap().contains(&line)
    });
    tells(&rsyslog, &format!("udp:127.0.0.1:{port}"));
}

#[test]
fn rsyslogd_understands_every_incident_that_comes_by_tcp() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let rsyslog = Rsyslog::start(&format!(
        "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")"
    ));
    wait_for("rsyslogd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    tells(&rsyslog, &format!("tcp:localhost:{port}"));
}
