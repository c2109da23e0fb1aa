//! A plan written down: the capture, a label for every packet, and who attacked when.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::attack::Attack;
use super::generator::{Generator, Labelled};
use super::plan::Plan;
use crate::address::Address;
use crate::capture::{CaptureWriter, LinkType};
use crate::time::Timestamp;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetSummary {
    /// Packets in the capture.
    pub packets: u64,
    /// Packets of attackers, by attack; attacks without a packet are left out.
    pub attacks: BTreeMap<Attack, u64>,
    /// When the first packet passed.
    pub first: Timestamp,
    /// When the last packet passed.
    pub last: Timestamp,
}

/// Packets between two times that it is told how many are written.
const TELL_EVERY: u64 = 1_024;

/// Writes `traffic.pcap` (nanosecond times), `labels.csv` (one row for each packet: its number from 1, time, addresses,
/// and `normal` or the attack) and `sources.csv` (each attacker's attacks with first and last time) into `directory`,
/// which is made if it is missing. Files of these names are replaced once all three are whole, the capture last: a run
/// that ends early leaves no more than files that end in `.part`.
///
/// # Errors
/// When a file can't be made or written (the message names it), or the plan has a value out of its range
/// ([`io::ErrorKind::InvalidInput`]).
pub fn write_dataset(directory: &Path, plan: &Plan) -> io::Result<DatasetSummary> {
    write_dataset_telling(directory, plan, &mut |_| {})
}

/// [`write_dataset`], which tells now and then how many packets are written.
///
/// # Errors
/// As there.
pub fn write_dataset_telling(
    directory: &Path,
    plan: &Plan,
    tell: &mut dyn FnMut(u64),
) -> io::Result<DatasetSummary> {
    let generator =
        Generator::new(plan).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    fs::create_dir_all(directory).map_err(|error| at(directory, &error))?;
    let parts = ["sources.csv", "labels.csv", "traffic.pcap"].map(|name| Part::of(directory, name));
    let written = write_parts(&parts, generator, plan.start, tell);
    let published = written.and_then(|summary| {
        parts.iter().try_for_each(Part::publish)?;
        Ok(summary)
    });
    if published.is_err() {
        for part in &parts {
            // The dataset was not written; that something is left of it is the lesser trouble.
            drop(fs::remove_file(&part.aside));
        }
    }
    published
}

/// Writes sources, labels and capture, in this order of `parts`, aside.
fn write_parts(
    [to_sources, to_labels, to_capture]: &[Part; 3],
    generator: Generator,
    start: Timestamp,
    tell: &mut dyn FnMut(u64),
) -> io::Result<DatasetSummary> {
    let capture = to_capture.tried(create(&to_capture.aside))?;
    let mut capture = to_capture.tried(CaptureWriter::new(capture, LinkType::Ethernet))?;
    let mut labels = to_labels.tried(create(&to_labels.aside))?;
    to_labels.tried(writeln!(labels, "packet,timestamp_ns,src_ip,dst_ip,label"))?;
    let mut spells: BTreeMap<(Address, Attack), Spell> = BTreeMap::new();
    let mut summary = DatasetSummary { first: start, last: start, ..Default::default() };
    for packet in generator {
        summary.packets += 1;
        if summary.packets.is_multiple_of(TELL_EVERY) {
            tell(summary.packets);
        }
        if summary.packets == 1 {
            summary.first = packet.time;
        }
        summary.last = packet.time;
        let length = u32::try_from(packet.frame.len()).unwrap_or(u32::MAX);
        to_capture.tried(capture.write(packet.time, length, &packet.frame))?;
        to_labels.tried(write_label(&mut labels, summary.packets, &packet))?;
        if let (Some(attack), Some(attacker)) = (packet.label, packet.attacker()) {
            *summary.attacks.entry(attack).or_default() += 1;
            spells
                .entry((attacker, attack))
                .or_insert_with(|| Spell::new(packet.time))
                .add(packet.time);
        }
    }
    to_capture.tried(capture.finish())?;
    to_labels.tried(labels.flush())?;
    to_sources.tried(write_sources(&to_sources.aside, &spells))?;
    Ok(summary)
}

/// A file of the dataset, written under another name until the dataset is whole.
struct Part {
    path: PathBuf,
    aside: PathBuf,
}

impl Part {
    fn of(directory: &Path, name: &str) -> Self {
        Self { path: directory.join(name), aside: directory.join(format!("{name}.part")) }
    }

    /// What became of writing it; an error names it.
    fn tried<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| at(&self.aside, &error))
    }

    fn publish(&self) -> io::Result<()> {
        fs::rename(&self.aside, &self.path).map_err(|error| at(&self.path, &error))
    }
}

/// From the first to the last packet of one attacker's attack.
struct Spell {
    first: Timestamp,
    last: Timestamp,
    packets: u64,
}

impl Spell {
    const fn new(first: Timestamp) -> Self {
        Self { first, last: first, packets: 0 }
    }

    const fn add(&mut self, time: Timestamp) {
        self.last = time;
        self.packets += 1;
    }
}

fn write_label(to: &mut impl Write, number: u64, packet: &Labelled) -> io::Result<()> {
    write!(to, "{number},{},", packet.time.as_nanos())?;
    for address in [packet.source, packet.destination] {
        if let Some(address) = address {
            write!(to, "{address}")?;
        }
        to.write_all(b",")?;
    }
    writeln!(to, "{}", packet.label.map_or("normal", Attack::name))
}

fn write_sources(path: &Path, spells: &BTreeMap<(Address, Attack), Spell>) -> io::Result<()> {
    let mut to = create(path)?;
    writeln!(to, "attacker,attack,first_ns,last_ns,packets")?;
    for ((attacker, attack), spell) in spells {
        let (first, last) = (spell.first.as_nanos(), spell.last.as_nanos());
        writeln!(to, "{attacker},{attack},{first},{last},{}", spell.packets)?;
    }
    to.flush()
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new)
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
