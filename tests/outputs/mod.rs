//! What a running sensor tells elsewhere: EVE JSON held against Suricata's schema and the store, incidents taken by a real rsyslogd
//! and by an HTTP server that is not ours.

#![cfg(test)]

mod eve;
mod syslog;
mod webhook;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{self, folder, run_well, sensor};

/// A folder with a configuration of outputs.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// `outputs` goes into the configuration; `{folder}` in it is the folder.
    fn new(outputs: &str) -> Self {
        let folder = folder();
        let outputs = outputs.replace("{folder}", &folder.path().display().to_string());
        let text = format!(
            "sensor.folder = 'data'\nsensor.name = 'tap-1'\nhttp.listen = '127.0.0.1:0'\n{outputs}"
        );
        fs::write(folder.path().join("c.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends generated traffic with attacks through a sensor, to its end. Returns the log.
    fn run(&self) -> String {
        let output = run_well(
            sensor()
                .args(["run", "--speed", "max", "--config"])
                .arg(self.path("c.toml"))
                .arg("--source")
                .arg(support::generated_traffic()),
        );
        support::stderr(&output)
    }

    /// Starts a sensor that stays when the traffic has ended.
    fn start(&self) -> Staying {
        let trusted = self.path("cert.pem");
        let (process, address) = support::start_staying(&self.path("c.toml"), |command| {
            command.env("SSL_CERT_FILE", trusted);
        });
        Staying { process, address }
    }

    /// Rows of the store.
    fn stored<T>(&self, question: &str, row: impl Fn(&rusqlite::Row<'_>) -> T) -> Vec<T> {
        let store = rusqlite::Connection::open(self.path("data/phantomnet.db")).unwrap();
        let mut question = store.prepare(question).unwrap();
        let rows = question.query_map([], |found| Ok(row(found))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// How many events of the store are above SAFE.
    fn stored_alerts(&self) -> u64 {
        let question = "SELECT count(*) FROM packet_logs WHERE verdict > 0";
        self.stored(question, |row| row.get::<_, i64>(0).unwrap().cast_unsigned())[0]
    }

    /// The incidents of the store from HIGH on, as the API names them.
    fn grave_incidents(&self) -> BTreeSet<String> {
        let named = |row: &rusqlite::Row<'_>| {
            let epoch = row.get::<_, i64>(0).unwrap();
            format!("{epoch:016x}-{}", row.get::<_, i64>(1).unwrap())
        };
        let found = self.stored("SELECT epoch, number FROM incidents WHERE worst >= 2", named);
        assert!(found.len() > 2, "the traffic has attacks in it: {found:?}");
        found.into_iter().collect()
    }
}

/// A sensor that answers until it is dropped.
struct Staying {
    process: Child,
    address: String,
}

impl Staying {
    fn get(&self, target: &str) -> String {
        let url = format!("http://{}{target}", self.address);
        // /health answers 503 when the capture has ended.
        let request = ureq::get(&url).config().http_status_as_error(false).build();
        let mut answer = request.call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    /// What accounting says of its only output, as soon as nothing waits or `is_enough`.
    fn output(&self, is_enough: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let accounting: Value = serde_json::from_str(&self.get("/api/accounting")).unwrap();
            let output = accounting["outputs"][0].clone();
            let figure = |name: &str| output[name].as_u64().unwrap();
            let sum = ["written", "waiting", "refused", "failed"].map(figure).iter().sum::<u64>();
            assert_eq!(figure("offered"), sum, "{output}");
            assert_eq!(accounting["unaccounted"], 0);
            if is_enough(&output) {
                return output;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{output}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it in order.
    fn stop(mut self) {
        support::signal("TERM", self.process.id());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        // A test that failed leaves nothing running.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
