//! What a replay has to be reproached with, the same for every command that sends captures through the data path.

use super::Failure;
use crate::capture::Reader;
use crate::sensor::Replayed;

/// What went wrong although everything that could be judged was: torn files, sinks that failed, sums that do not hold. One
/// line for each; none after a replay that can be trusted whole.
pub(super) fn complaints(replayed: &Replayed<Reader>) -> Vec<String> {
    let mut lines: Vec<String> = replayed.source.faults().iter().map(ToString::to_string).collect();
    lines.extend(sums_and_sinks(replayed));
    lines
}

/// Threads that panicked, sinks that failed, and sums that do not hold.
pub(super) fn sums_and_sinks<S>(replayed: &Replayed<S>) -> Vec<String> {
    let mut lines: Vec<String> =
        replayed.deaths.iter().map(|death| format!("a bug: {death}")).collect();
    lines.extend(replayed.sink_errors.iter().map(ToString::to_string));
    let broken = replayed.ledger().sums().into_iter().filter(|sum| sum.came != sum.accounted);
    let whose = if replayed.deaths.is_empty() { "a bug" } else { "lost by the panic" };
    lines.extend(broken.map(|sum| {
        format!("{whose}: stage {} took {} and accounts for {}", sum.stage, sum.came, sum.accounted)
    }));
    lines
}

/// A failure, unless there is nothing to complain of.
///
/// # Errors
///
/// When there is.
pub(super) fn fail_on(complaints: Vec<String>) -> Result<(), Failure> {
    if complaints.is_empty() { Ok(()) } else { Err(Failure::operations(complaints)) }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::cli::setup;
    use crate::collect::Sink;
    use crate::config::Config;
    use crate::latest::Publisher;
    use crate::sensor;
    use crate::verdict::{Detection, InForce, Verdict};

    struct FullDisk;

    impl Sink for FullDisk {
        fn name(&self) -> String {
            "events.json".to_owned()
        }

        fn take(&mut self, _: &Verdict, _: &Detection) -> io::Result<()> {
            Ok(())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            Err(io::Error::other("no space left"))
        }
    }

    /// A replay of a capture without a packet.
    fn replayed(sinks: Vec<&mut dyn Sink>, torn: bool) -> Replayed<Reader> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([0xff, 0xff, 0, 0, 1, 0, 0, 0]);
        bytes.extend(torn.then_some(7));
        std::fs::write(file.path(), bytes).unwrap();
        let config = Config::load(None).unwrap();
        let detection = Publisher::new(InForce::first(
            setup::load_detection(&config, crate::time::Timestamp::EPOCH).unwrap(),
        ));
        let params = setup::sensor_params(&config, 1).unwrap();
        sensor::replay(Reader::open(&[file.path()]).unwrap(), &detection, &params, sinks)
    }

    #[test]
    fn there_is_nothing_to_say_against_a_good_replay() {
        let complaints = complaints(&replayed(Vec::new(), false));
        assert_eq!(complaints, Vec::<String>::new());
        assert!(fail_on(complaints).is_ok());
    }

    #[test]
    fn torn_files_failed_sinks_and_broken_sums_each_give_a_line() {
        let mut broken = replayed(vec![&mut FullDisk], true);
        broken.counters.decoded += 3;
        let lines = complaints(&broken);
        let parts = [
            "the file ends inside a record",
            "events.json: no space left",
            "a bug: stage decode took 0 and accounts for 3",
            "a bug: stage handover took 3 and accounts for 0",
        ];
        assert_eq!(lines.len(), parts.len(), "{lines:?}");
        for (line, part) in lines.iter().zip(parts) {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
        assert_eq!(fail_on(lines).unwrap_err().code, super::super::EXIT_OPERATION);
    }
}
