//! Captures against other programs: what is written here they read, and what others wrote gives the frames they count.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use phantomnet::capture::{
    Batch, CaptureWriter, Fault, FrameSource, LinkType, Reader, Received, StopReason,
};
use phantomnet::time::Timestamp;

/// One capture of the corpus, as its manifest describes it.
pub(crate) struct Specimen {
    pub(crate) path: PathBuf,
    /// What capinfos counted; none where it could not read the file.
    pub(crate) frames: Option<usize>,
}

/// The captures that other people made; empty, and loudly so, where they are not at hand.
pub(crate) fn corpus() -> Vec<Specimen> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let Ok(manifest) = fs::read_to_string(root.join("MANIFEST.tsv")) else {
        // Straight to the terminal: the test harness keeps what a passing test prints.
        let missing = root.display();
        writeln!(io::stderr(), "SKIPPED: what needs the captures of {missing}")
            .expect("a terminal");
        return Vec::new();
    };
    let mut rows = manifest.lines().map(|line| line.split('\t'));
    let names: Vec<_> = rows.next().expect("a manifest has a head line").collect();
    let column = |name: &str| names.iter().position(|other| *other == name).expect("a column");
    let (file, frames) = (column("file"), column("capinfos_packets"));
    rows.map(|row| {
        let (_side, path) =
            row.clone().nth(file).and_then(|path| path.split_once('/')).expect("a path");
        Specimen {
            path: root.join(path),
            frames: row.clone().nth(frames).and_then(|count| count.parse().ok()),
        }
    })
    .collect()
}

fn read(path: &Path) -> (usize, Vec<Fault>) {
    let mut reader = Reader::open(&[path]).expect("a capture");
    let mut batch = Batch::new();
    let mut frames = 0;
    while reader.receive(&mut batch) == Received::Frames {
        frames += batch.len();
    }
    (frames, reader.faults())
}

/// Files of the corpus that are not whole or not sound, with the frames that stand before the damage. Five are cut short in
/// a packet; then come two whose seventh packet states 4,325,376 bytes, and two made by fuzzers. tcpdump stops at the same
/// frames, which a test asks of it.
const DAMAGED: [(&str, usize); 9] = [
    ("covenant_sc_query_dcerpc_smb_svcctl_2020-08-05034820.cap", 215),
    ("covenant_sharpsc_create_dcerpc_smb_svcctl_2020-08-06022635.cap", 253),
    ("covenant_sharpsc_start_dcerpc_smb_svcctl_2020-08-06030120.cap", 187),
    ("covenant_sharpsc_stop_dcerpc_smb_svcctl_2020-08-06031938.cap", 224),
    ("truncated_dns_2.pcap", 1),
    ("bug-1450-04/tls_DER-incomplete-header.pcap", 6),
    ("bug-1450-05/tls_DER-incomplete-content.pcap", 6),
    ("bug-6875-01/fuzz.pcap", 1),
    ("pcap/fuzz-2021-10-13.pcap", 1),
];

/// Files with a version that is none: of pcap 514.4, of pcapng 0.1 and 1.1. tcpdump refuses them too, as a test asks of it.
const REFUSED: [&str; 3] =
    ["tcpdump-ppp-crash.pcap", "pcapng-invalid-vers-1.pcapng", "pcapng-invalid-vers-2.pcapng"];

#[test]
fn every_capture_of_the_corpus_gives_the_frames_that_capinfos_counts() {
    for specimen in corpus() {
        let name = specimen.path.display().to_string();
        if REFUSED.iter().any(|refused| name.ends_with(refused)) {
            let error = Reader::open(&[&specimen.path]).unwrap_err().to_string();
            assert!(error.contains("of the format is not known"), "{error}");
            continue;
        }
        let (frames, faults) = read(&specimen.path);
        let stopped = faults.iter().find(|fault| matches!(fault, Fault::Stopped { .. }));
        if let Some((_, before)) = DAMAGED.iter().find(|(damaged, _)| name.ends_with(damaged)) {
            assert_eq!(frames, *before, "{name}");
            let Some(Fault::Stopped { reason, .. }) = stopped else {
                panic!("{name} was read as if it were whole")
            };
            assert!(matches!(reason, StopReason::Torn | StopReason::FrameTooLong(_)), "{reason}");
            continue;
        }
        assert_eq!(stopped, None, "{name}");
        // capinfos gives no count for link types it does not know; the frames are there all the same.
        if let Some(counted) = specimen.frames {
            assert_eq!(frames, counted, "{name}");
        }
    }
}

#[test]
fn tcpdump_stops_at_the_same_damage_and_refuses_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.pcap");
    for Specimen { path, .. } in corpus() {
        let is = |name: &str| path.ends_with(name);
        let damaged = DAMAGED.iter().find(|(name, _)| is(name));
        if damaged.is_none() && !REFUSED.iter().any(|name| is(name)) {
            continue;
        }
        let copying = Command::new("tcpdump").arg("-r").arg(&path).arg("-w").arg(&copy).output();
        let Ok(output) = copying else {
            eprintln!("SKIPPED: tcpdump is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{}: {said}", path.display());
        match damaged {
            Some((_, frames)) => {
                assert_eq!(read(&copy), (*frames, Vec::new()), "{}: {said}", path.display());
            }
            None => assert!(said.contains("savefile version"), "{}: {said}", path.display()),
        }
    }
}

#[test]
fn merging_the_corpus_loses_no_frame() {
    let paths: Vec<_> = corpus()
        .into_iter()
        .map(|specimen| specimen.path)
        .filter(|path| Reader::open(&[path]).is_ok())
        .take(200)
        .collect();
    let apart: usize = paths.iter().map(|path| read(path).0).sum();
    let mut reader = Reader::open(&paths).unwrap();
    let mut batch = Batch::new();
    let mut together = 0;
    while reader.receive(&mut batch) == Received::Frames {
        together += batch.len();
    }
    assert_eq!(together, apart);
}

#[test]
fn other_programs_read_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.pcap");
    let mut writer =
        CaptureWriter::new(fs::File::create(&path).unwrap(), LinkType::Ethernet).unwrap();
    let arp =
        [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat();
    for nanos in [1_500_000_000_123_456_789, 1_500_000_001_000_000_001] {
        writer.write(Timestamp::from_nanos(nanos), 64, &arp).unwrap();
    }
    writer.finish().unwrap();
    let asked = |program: &str, arguments: &[&str]| match Command::new(program)
        .args(arguments)
        .arg(&path)
        .output()
    {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            println!("SKIPPED: {program} is not installed");
            None
        }
    };
    if let Some(answer) = asked("capinfos", &["-c", "-M"]) {
        assert!(answer.contains("Number of packets:   2"), "{answer}");
    }
    if let Some(answer) = asked("tcpdump", &["-n", "-tt", "--nano", "-r"]) {
        assert_eq!(answer.lines().count(), 2, "{answer}");
        assert!(answer.starts_with("1500000000.123456789 ARP"), "{answer}");
        assert!(answer.contains("\n1500000001.000000001 ARP"), "{answer}");
    }
}
