//! What leaves the collector: events, sessions, incidents and markers, in numbered batches.
//!
//! These are the words that `collect` (which makes them), `store` (which keeps them) and `api` (which shows them) share.
//! A batch is complete in itself: it holds text where a verdict holds indices, so that it can lie in a spool while the
//! detection that judged it is replaced.

mod batch;
mod board;
mod id;
mod marker;
mod page;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::features::FeatureVector;
use crate::time::Timestamp;
use crate::verdict::{Floor, Level};

pub use batch::{Batch, RefusedBatches};
pub use board::Board;
pub use id::{Epoch, EventId, EventIdError};
pub use marker::{DetectionRecord, Marker, MarkerKind, StageSum, Totals};
pub use page::{EpochPage, Leftover, leftovers};

/// One row of `packet_logs`: packets (or verdicts of a victim) that have everything in common that its key names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number within the epoch: 1 for the first, without gaps, in the order of emission.
    pub number: u64,
    /// When its first packet passed. Whole microseconds, so that every store keeps the same moment.
    pub first: Timestamp,
    /// When its last packet passed. Whole microseconds.
    pub last: Timestamp,
    /// Sender; `None` where a flood was merged over many senders.
    pub source: Option<Address>,
    /// Receiver; `None` where events were merged over many receivers.
    pub destination: Option<Address>,
    /// Source port of the worst packet, if it had ports.
    pub source_port: Option<u16>,
    /// Destination port, if the packets have ports and were not merged over them.
    pub destination_port: Option<u16>,
    /// ICMP type and code of the worst packet.
    pub icmp: Option<(u8, u8)>,
    /// IANA protocol number.
    pub protocol: u8,
    /// Outermost VLAN id of the worst packet; 0 for none.
    pub vlan: u16,
    /// The verdict.
    pub level: Level,
    /// Packets judged that this row stands for. 0 in an event about a victim: its packets are counted by their own events.
    /// The sum over all rows of an epoch, with what was sampled out, is the number of packets judged.
    pub count: u64,
    /// Verdicts about a victim that this row stands for; 0 in an event about packets.
    pub alerts: u64,
    /// Packets that this row represents: `count`, and for a sampled SAFE event those left out since the one before.
    pub weight: u64,
    /// Bytes on the wire of the packets counted.
    pub bytes: u64,
    /// Bytes on the wire of the worst packet.
    pub length: u32,
    /// The largest number of sources that a rule counting by destination has seen; 0 in an event about packets.
    pub sources: u32,
    /// What the key has lost to the event budget.
    pub merged: Merged,
    /// The weighted sum of the worst packet, 0..=100.
    pub total: f32,
    /// Its anomaly score, 0 ordinary to 1 unique; `None` for a victim.
    pub anomaly_score: Option<f32>,
    /// The share of calibration rows that score less, 0..=1; `None` for a victim.
    pub quantile: Option<f32>,
    /// Whether each of its features lies inside the range seen in training; `None` for a victim.
    pub in_training_range: Option<bool>,
    /// Calibrated risk of the score, 0..=100.
    pub model_risk: f32,
    /// Risk of the rules that fired, 0..=100.
    pub rule_risk: f32,
    /// Risk of the intelligence entry, 0..=100.
    pub intel_risk: f32,
    /// The floor that raised the verdict.
    pub floor: Floor,
    /// The features of the worst packet; `None` for a victim.
    pub features: Option<FeatureVector>,
    /// Rules that fired, by signature id.
    pub rules: Vec<u32>,
    /// Rules that matched and found no room.
    pub rules_left_out: u8,
    /// As what one of the addresses is known, and which.
    pub intel: Option<(Box<str>, Side)>,
    /// The decoy that was touched, as the operator calls it.
    pub decoy: Option<Box<str>>,
    /// The strongest single reason in words; empty for SAFE.
    pub reason: Box<str>,
    /// Version of the detection that judged.
    pub detection: u32,
    /// Number of the worst packet: of the frame in the capture, or since the start.
    pub packet: u64,
    /// Community ID of the worst packet's flow.
    pub community_id: Option<Box<str>>,
}

impl Event {
    /// Whether it is about a destination under attack rather than about packets of a source.
    #[must_use]
    pub const fn is_of_victim(&self) -> bool {
        self.alerts > 0
    }
}

/// Which address of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Side {
    /// The sender's.
    Source = 0,
    /// The receiver's.
    Destination = 1,
}

/// What the key of an event has lost because there were too many: each step includes those before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(u8)]
pub enum Merged {
    /// Nothing.
    #[default]
    Nothing = 0,
    /// The source.
    Source = 1,
    /// The destination port.
    Port = 2,
    /// The destination.
    Destination = 3,
}

impl Merged {
    /// Every step, mildest first.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Source, Self::Port, Self::Destination];

    /// As shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Source => "source",
            Self::Port => "source,port",
            Self::Destination => "source,port,destination",
        }
    }
}

/// One source from its first packet to its silence. A later record of the same number replaces the earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its number within the epoch.
    pub number: u64,
    /// The source as its state is kept: an IPv6 source is its network.
    pub source: Address,
    /// The VLAN, where sources are told apart by it; else 0.
    pub tenant: u16,
    /// First packet, whole microseconds.
    pub first: Timestamp,
    /// Last packet so far, whole microseconds.
    pub last: Timestamp,
    /// Packets so far.
    pub packets: u64,
    /// Bytes on the wire so far.
    pub bytes: u64,
    /// Packets by level.
    pub levels: [u64; 4],
    /// The worst verdict so far.
    pub worst: Level,
    /// Rules that fired, by signature id, ascending, at most [`SESSION_RULES_MAX`].
    pub rules: Vec<u32>,
    /// Whether more may come, or why not.
    pub state: SessionState,
}

/// How many rules a session or an incident names.
pub const SESSION_RULES_MAX: usize = 32;

/// Whether a session may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum SessionState {
    /// It may.
    Open = 0,
    /// Its source was silent for the idle time.
    Idle = 1,
    /// Its place was needed for another.
    Evicted = 2,
    /// The sensor stopped.
    Stopped = 3,
}

/// Notable events of one kind about one address. A later record of the same number replaces the earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number within the epoch.
    pub number: u64,
    /// Whom it is about: the attacker, or for a victim (and merged floods) the destination; `None` when merged over both.
    pub subject: Option<Address>,
    /// Whether the subject is the source or the destination of the packets.
    pub side: Side,
    /// What is going on, in one of a fixed set of words: the attack class of the rule, `known-bad-address`, `decoy`, `rare`, `sum`.
    pub kind: Box<str>,
    /// The reason of its worst event.
    pub title: Box<str>,
    /// First packet, whole microseconds.
    pub first: Timestamp,
    /// Last packet so far, whole microseconds.
    pub last: Timestamp,
    /// Packets (and verdicts of victims) so far.
    pub count: u64,
    /// Events so far.
    pub events: u64,
    /// The worst verdict so far.
    pub worst: Level,
    /// The event with it.
    pub worst_event: u64,
    /// Rules that fired, by signature id, ascending, at most [`SESSION_RULES_MAX`].
    pub rules: Vec<u32>,
}

/// What is to be added to the profile of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    /// The source as its state is kept.
    pub source: Address,
    /// The VLAN, where sources are told apart by it; else 0.
    pub tenant: u16,
    /// First packet of what is added, whole microseconds.
    pub first: Timestamp,
    /// Last packet of what is added, whole microseconds.
    pub last: Timestamp,
    /// Sessions begun.
    pub sessions: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Packets by level.
    pub levels: [u64; 4],
}
