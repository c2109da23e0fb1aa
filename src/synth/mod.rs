//! Labelled traffic: a small office with servers, the world outside, and attacks among it; the same bytes from the same
//! seed on every machine.
//!
//! ```text
//!  Plan --> Generator:  agenda (who acts next) --> actor --> one frame with its label
//!                         habits of hosts     web, dns, mail, ssh, ntp, video, backup, ...   (normal/)
//!                         attacks             scans, floods, guessing, tunnels, ...          (hostile/)
//!                         conversations       TCP from SYN to FIN                            (conversation.rs)
//!                         exchanges           datagrams to and fro                           (exchange.rs)
//! ```
//!
//! An actor acts at a moment, emits at most one frame, and says when it acts next. Memory is bounded by what is open at one
//! time, never by the length of the plan. When as many packets are left as the open conversations need to close, they
//! close, and the plan ends with exactly as many packets as it asked for.
//!
//! What is labelled as an attack: the packets that an attacker sends as part of the attack. A victim's answers are normal,
//! and so is what an infected host does besides. All names end in `.example` (RFC 2606); addresses are private (RFC 1918),
//! for documentation (RFC 5737, RFC 3849) or for benchmarks (RFC 2544), so that no capture names a stranger.

mod attack;
mod conversation;
mod dataset;
mod dice;
mod endless;
mod exchange;
mod frames;
mod generator;
mod hostile;
mod network;
mod normal;
mod plan;
mod stage;
mod wire;
mod words;

pub use attack::{Attack, UnknownAttack};
pub use dataset::{DatasetSummary, write_dataset, write_dataset_telling};
pub use endless::EndlessFrames;
pub use frames::GeneratedFrames;
pub use generator::{Generator, Labelled};
pub use plan::{ATTACK_SHARE_MAX, CLIENTS_MAX, CLIENTS_MIN, PACKETS_MAX, Plan, PlanError};
