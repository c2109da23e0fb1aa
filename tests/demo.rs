//! A running demonstration, for tests that look at a whole sensor from outside.

#![cfg(test)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::{folder, sensor};

/// A running demonstration; ended with the value.
pub(crate) struct Demo {
    process: Child,
    /// Where it listens.
    pub(crate) address: String,
    _folder: tempfile::TempDir,
}

impl Demo {
    pub(crate) fn start() -> Self {
        Self::start_with("127.0.0.1:0", &[])
    }

    /// Listens there, and is given these arguments too.
    pub(crate) fn start_with(listen: &str, arguments: &[&str]) -> Self {
        let folder = folder();
        let mut process = sensor()
            .args(["demo", "--listen", listen, "--folder"])
            .arg(folder.path().join("data"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let (tell, told) = std::sync::mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(process.stdout.take().expect("piped")),
            Box::new(process.stderr.take().expect("piped")),
        ];
        for output in outputs {
            let tell = tell.clone();
            // Read to the end, so that the program never waits for a reader.
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    tell.send(line).ok();
                }
            });
        }
        let mut said = Vec::new();
        let address = loop {
            let line = told.recv_timeout(Duration::from_secs(60));
            let line =
                line.unwrap_or_else(|_| panic!("it does not say where it listens: {said:?}"));
            let named = line.split("http://").nth(1).map(|rest| {
                let fits = |c: char| c.is_ascii_digit() || ".:".contains(c);
                rest.chars().take_while(|c| fits(*c)).collect::<String>()
            });
            said.push(line);
            if let Some(address) = named {
                break address;
            }
        };
        Self { process, address, _folder: folder }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
