//! How well the detectors do on traffic whose truth is known.
//!
//! ```text
//!  labels (each packet's, or each capture's attackers) --+
//!                                                        v
//!  replay --> Judged, packet by packet, capture by --> Collector --> Report: table or JSON
//!             capture
//! ```
//!
//! Two views. *By packet*: is an attacker's packet scored above normal packets? *By source*: is an attacker's worst packet
//! scored above the worst packets of the others? Three detectors: the model alone, the rules alone, and the verdict, which
//! is what an operator sees. An attack is held against normal traffic only, never against other attacks.
//!
//! A verdict on a victim counts as an alert at the packet that raised it: for the first alert of an attack, for the recall of
//! packets and for false alarms. It names no source, so by source it counts for nothing, and no order depends on it.

mod collector;
mod current;
mod judged;
mod labels;
mod packet_labels;
mod ranking;
mod report;
mod scored;

pub use collector::Collector;
pub use judged::{Detector, Judged};
pub use labels::{CaptureLabels, LabelError, Labels};
pub use packet_labels::{Mismatch, PacketLabels};
pub use ranking::{Pairs, Ranking, Side};
pub use report::{
    Alerting, Bystanders, Normal, NotJudged, PrecisionAt, Quality, Report, Row, Skipped,
};
