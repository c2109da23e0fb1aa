//! A label for each packet of one capture, and what shows that it is this capture.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::net::IpAddr;

use super::labels::{KINDS_MAX, Kinds, LabelError, Rows};
use crate::address::Address;
use crate::time::Timestamp;

/// The label of a packet that is part of no attack.
const NORMAL: &str = "normal";
/// A capture rewritten with microseconds has lost less than this; its labels still hold.
const TIME_RESOLUTION_NANOS: u64 = 1_000;

/// One label for each packet of a capture.
#[derive(Clone, Debug, Default)]
pub struct PacketLabels {
    file: String,
    pub(super) kinds: Kinds,
    /// By packet number less one.
    rows: Vec<Label>,
}

/// One row: 16 bytes. What it says of the packet besides its kind is kept to tell this capture from others, for which a
/// checksum of the source is enough.
#[derive(Clone, Copy, Debug)]
struct Label {
    nanos: i64,
    source_checksum: u32,
    /// The number of the kind; 0 for normal.
    kind: u16,
    has_time: bool,
    has_source: bool,
}

/// What labels say of one kind of packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Labelled {
    pub(super) packets: u64,
    /// The earliest time that a row states.
    pub(super) first: Option<Timestamp>,
}

impl PacketLabels {
    /// Reads CSV with a header that names `packet` (counting from 1, no gap) and `label` (`normal` or an attack) among its
    /// columns; optional are `timestamp_ns` (since 1970) and `src_ip`, each of which may be empty: what they state is held
    /// against the packets of the capture. `file` is what errors call it.
    ///
    /// # Errors
    /// When it can't be read or a row is wrong; names the line.
    pub fn parse(file: &str, from: impl Read) -> Result<Self, LabelError> {
        let mut rows = Rows::new(file, from, b',')?;
        let (packet, label) = (rows.column("packet")?, rows.column("label")?);
        let [time, source] = ["timestamp_ns", "src_ip"].map(|name| rows.column(name).ok());
        let mut labels = Self { file: file.to_owned(), ..Self::default() };
        while let Some(row) = rows.next()? {
            let field = |place: usize| row.get(place).unwrap_or_default();
            let optional = |place: Option<usize>| place.map(field).filter(|text| !text.is_empty());
            let expected = labels.rows.len() as u64 + 1;
            if field(packet).parse() != Ok(expected) {
                let must = format!("be {expected}: packets count from 1 without a gap");
                return Err(rows.wrong("packet", field(packet), must));
            }
            let kind = labels
                .kind_named(field(label))
                .map_err(|must| rows.wrong("label", field(label), must))?;
            let nanos = optional(time).map(|text| {
                let must = "be nanoseconds since 1970, or empty";
                text.parse()
                    .map_err(|_not_a_number| rows.wrong("timestamp_ns", text, must.to_owned()))
            });
            let source = optional(source).map(|text| {
                let must = "be an IP address, or empty";
                let address = text.parse::<IpAddr>().map(Address::from);
                address.map_err(|_no_address| rows.wrong("src_ip", text, must.to_owned()))
            });
            let (nanos, source) = (nanos.transpose()?, source.transpose()?);
            labels.rows.push(Label {
                nanos: nanos.unwrap_or_default(),
                source_checksum: source.map_or(0, checksum),
                kind,
                has_time: nanos.is_some(),
                has_source: source.is_some(),
            });
        }
        Ok(labels)
    }

    /// The number of the kind that a row names, or what it must be.
    fn kind_named(&mut self, name: &str) -> Result<u16, String> {
        match name {
            NORMAL => Ok(0),
            "" => Err("be `normal` or an attack's name".to_owned()),
            _ => {
                let kind = self.kinds.number(name);
                kind.ok_or_else(|| format!("be one of at most {KINDS_MAX} names"))
            }
        }
    }

    /// The kind of the packet with this number, which `source` has sent at `time`.
    ///
    /// # Errors
    /// When its row says something else, or there is none: the labels belong to another capture.
    pub(super) fn kind(
        &self,
        packet: u64,
        source: Address,
        time: Timestamp,
    ) -> Result<u16, Mismatch> {
        let mismatch = |difference| Mismatch { file: self.file.clone(), packet, difference };
        let place = packet.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        let Some(label) = place.and_then(|place| self.rows.get(place)) else {
            return Err(mismatch(Difference::NoRow { rows: self.rows.len() as u64 }));
        };
        let labelled = Timestamp::from_nanos(label.nanos);
        if label.has_time && label.nanos.abs_diff(time.as_nanos()) >= TIME_RESOLUTION_NANOS {
            return Err(mismatch(Difference::Time { labelled, passed: time }));
        }
        if label.has_source && label.source_checksum != checksum(source) {
            return Err(mismatch(Difference::Source { source }));
        }
        Ok(label.kind)
    }

    /// What the rows say of each kind, 0 standing for normal.
    pub(super) fn by_kind(&self) -> BTreeMap<u16, Labelled> {
        let mut kinds: BTreeMap<u16, Labelled> = BTreeMap::new();
        for label in &self.rows {
            let labelled = kinds.entry(label.kind).or_default();
            labelled.packets += 1;
            if label.has_time {
                let time = Timestamp::from_nanos(label.nanos);
                labelled.first = Some(labelled.first.map_or(time, |first| first.min(time)));
            }
        }
        kinds
    }
}

fn checksum(address: Address) -> u32 {
    crc32fast::hash(&address.octets())
}

/// Labels that are not those of the capture: whoever named both files mixed them up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: the row of packet {packet} {difference}: these are the labels of another capture")]
pub struct Mismatch {
    file: String,
    packet: u64,
    difference: Difference,
}

/// What tells the packet from the one that was labelled.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Difference {
    Time { labelled: Timestamp, passed: Timestamp },
    Source { source: Address },
    NoRow { rows: u64 },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { labelled, passed } => write!(
                f,
                "says timestamp_ns = {}, but the packet has {}",
                labelled.as_nanos(),
                passed.as_nanos()
            ),
            Self::Source { source } => {
                write!(f, "says another src_ip than {source}, which the packet has")
            }
            Self::NoRow { rows } => write!(f, "is missing, the last one is that of packet {rows}"),
        }
    }
}
