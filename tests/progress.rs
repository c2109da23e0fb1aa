//! Long work says how far it is: on a terminal, and nowhere else.

#![cfg(test)]

use crate::support::{folder, generated_traffic, run_well, sensor, stderr};
use crate::terminal::Terminal;

#[test]
fn on_a_terminal_long_work_shows_rate_and_time_left_and_takes_them_away_again() {
    let folder = folder();
    let capture = generated_traffic();
    let mut generate = sensor();
    generate.args(["dataset", "generate", "--packets", "40000", "--out"]).arg(folder.path());
    let mut train = sensor();
    train.args(["train", "--trees", "5", "--from"]).arg(capture).arg("--out");
    train.arg(folder.path().join("m.json"));
    let mut evaluate = sensor();
    evaluate.args(["evaluate", "--labels"]).arg(capture.with_file_name("labels.csv")).arg(capture);
    let mut replay = sensor();
    replay.arg("replay").arg(capture);
    for (command, shown) in [
        (generate, &["40,000 packets", "/s ETA "][..]),
        (train, &["/s ETA ", "traffic.pcap", "growing 5 trees from "]),
        (evaluate, &["/s ETA ", "traffic.pcap"]),
        (replay, &["/s ETA "]),
    ] {
        let mut terminal = Terminal::with(&command);
        for part in shown {
            terminal.sees(part);
        }
        let output = terminal.ends_well();
        // The last thing that stands on the bar's line is that it is cleared.
        let (_, behind) = output.rsplit_once("ETA ").expect("it was seen");
        assert!(behind.contains("\u{1b}[2K"), "{command:?}: the bar stays: {behind:?}");
    }
}

#[test]
fn beside_a_terminal_long_work_says_nothing_of_how_far_it_is() {
    let folder = folder();
    let mut generate = sensor();
    generate.args(["dataset", "generate", "--packets", "20000", "--out"]).arg(folder.path());
    let output = run_well(&mut generate);
    assert_eq!(stderr(&output), "");
}
