//! The program in a terminal of its own, by Python's `pty`.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A program in a terminal of 24 lines with 80 columns.
pub(crate) struct Terminal {
    process: Child,
    steps: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Terminal {
    pub(crate) fn with(program: &Command) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal/terminal.py");
        let mut process = Command::new("python3")
            .args([script, "24", "80"])
            .arg(program.get_program())
            .args(program.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3, which `make test` installs");
        let steps = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, steps, answers }
    }

    /// Does a step, as the script describes them. Returns its answer.
    pub(crate) fn step(&mut self, step: &Value) -> Value {
        writeln!(self.steps, "{step}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("an answer to each step")
    }

    /// Waits until the program has written this, behind what was seen before.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) {
        assert_eq!(self.step(&json!(["see", text])), "seen", "{text}");
    }

    /// Everything that the program has written until its end, which must be a good one and leave the terminal's settings as they were.
    #[track_caller]
    pub(crate) fn ends_well(mut self) -> String {
        let end = self.step(&json!(["end"]));
        drop(self.steps);
        self.process.wait().unwrap();
        let output = end["output"].as_str().unwrap();
        assert_eq!(end["status"], 0, "{output}");
        assert_eq!(end["is_as_before"], true, "the terminal is still raw: {output}");
        output.to_owned()
    }
}
