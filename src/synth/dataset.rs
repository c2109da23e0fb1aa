//! A plan written down: the capture, a label for every packet, and who attacked when.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::attack::Attack;
use super::generator::{Generator, Labelled};
use super::plan::Plan;
use crate::address::Address;
use crate::capture::FRAME_BYTES_MAX;
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

/// Writes `traffic.pcap` (nanosecond times), `labels.csv` (one row for each packet: its number from 1, time, addresses,
/// and `normal` or the attack) and `sources.csv` (each attacker's attacks with first and last time) into `directory`,
/// which is made if it is missing; files of these names are replaced.
///
/// # Errors
/// When a file can't be made or written, or the plan has a value out of its range ([`io::ErrorKind::InvalidInput`]).
pub fn write_dataset(directory: &Path, plan: &Plan) -> io::Result<DatasetSummary> {
    let generator =
        Generator::new(plan).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    std::fs::create_dir_all(directory).map_err(|error| at(directory, &error))?;
    let mut capture = open(&directory.join("traffic.pcap"))?;
    let mut labels = open(&directory.join("labels.csv"))?;
    let mut attackers: BTreeMap<(Address, Attack), Spell> = BTreeMap::new();
    let mut summary = DatasetSummary { first: plan.start, last: plan.start, ..Default::default() };
    write_header(&mut capture)?;
    writeln!(labels, "packet,timestamp_ns,src_ip,dst_ip,label")?;
    for packet in generator {
        summary.packets += 1;
        if summary.packets == 1 {
            summary.first = packet.time;
        }
        summary.last = packet.time;
        write_record(&mut capture, &packet)?;
        write_label(&mut labels, summary.packets, &packet)?;
        if let (Some(attack), Some(attacker)) = (packet.label, packet.attacker()) {
            *summary.attacks.entry(attack).or_default() += 1;
            attackers
                .entry((attacker, attack))
                .or_insert_with(|| Spell::new(packet.time))
                .add(packet.time);
        }
    }
    capture.flush()?;
    labels.flush()?;
    let mut sources = open(&directory.join("sources.csv"))?;
    writeln!(sources, "attacker,attack,first_ns,last_ns,packets")?;
    for ((attacker, attack), spell) in &attackers {
        let (first, last) = (spell.first.as_nanos(), spell.last.as_nanos());
        writeln!(sources, "{attacker},{attack},{first},{last},{}", spell.packets)?;
    }
    sources.flush()?;
    Ok(summary)
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

/// The file header of a pcap with nanosecond times and Ethernet frames, little endian.
fn write_header(to: &mut impl Write) -> io::Result<()> {
    const NANOSECOND_MAGIC: u32 = 0xa1b2_3c4d;
    const VERSION: [u8; 4] = [2, 0, 4, 0];
    let snap_length = u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX);
    to.write_all(&NANOSECOND_MAGIC.to_le_bytes())?;
    to.write_all(&VERSION)?;
    to.write_all(&[0; 8])?;
    to.write_all(&snap_length.to_le_bytes())?;
    to.write_all(&1_u32.to_le_bytes())
}

fn write_record(to: &mut impl Write, packet: &Labelled) -> io::Result<()> {
    let nanos = packet.time.as_nanos();
    let Ok(secs) = u32::try_from(packet.time.as_secs()) else {
        let why = format!(
            "a pcap file holds times from 1970 to 2106, not {}: start the plan within",
            packet.time
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    };
    let rest = u32::try_from(nanos.rem_euclid(crate::time::NANOS_PER_SECOND)).unwrap_or_default();
    let length = u32::try_from(packet.frame.len()).unwrap_or(u32::MAX);
    for field in [secs, rest, length, length] {
        to.write_all(&field.to_le_bytes())?;
    }
    to.write_all(&packet.frame)
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

fn open(path: &Path) -> io::Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
