//! What to generate.

use super::attack::Attack;
use crate::time::Timestamp;

/// The most packets that a plan may ask for: a capture of some 500 GB.
pub const PACKETS_MAX: u64 = 1_000_000_000;
/// The fewest clients that an office has.
pub const CLIENTS_MIN: u32 = 4;
/// The most clients that an office has.
pub const CLIENTS_MAX: u32 = 2_000;
/// The largest share of the packets that attacks may take.
pub const ATTACK_SHARE_MAX: f64 = 0.9;

/// A Monday morning: 2026-01-05T09:00:00Z.
const DEFAULT_START: Timestamp = Timestamp::from_secs(1_767_603_600);
const DEFAULT_ATTACK_SHARE: f64 = 0.15;
/// One client for as many packets: a client sends and receives some six packets a second, so a plan lasts about an hour.
const PACKETS_PER_CLIENT: u64 = 20_000;
const DEFAULT_CLIENTS: std::ops::RangeInclusive<u64> = 12..=200;

/// What to generate. Two equal plans give the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How many packets, exactly, 1 to [`PACKETS_MAX`].
    pub packets: u64,
    /// What all chance comes from.
    pub seed: u64,
    /// Which attacks take place; each once, repetitions have no effect.
    pub attacks: Vec<Attack>,
    /// When the first packet may pass, UTC. The office works from 7 to 18 h on weekdays.
    pub start: Timestamp,
    /// How many clients the office has, [`CLIENTS_MIN`] to [`CLIENTS_MAX`].
    pub clients: u32,
    /// The share of the packets that all attacks together take at most, 0 to [`ATTACK_SHARE_MAX`]. Slow attacks
    /// (beacon) may not come to their part before the plan ends.
    pub attack_share: f64,
}

impl Plan {
    /// Normal traffic on a Monday morning, in an office of a size that suits the number of packets.
    #[must_use]
    pub fn new(packets: u64, seed: u64) -> Self {
        let clients =
            (packets / PACKETS_PER_CLIENT).clamp(*DEFAULT_CLIENTS.start(), *DEFAULT_CLIENTS.end());
        Self {
            packets,
            seed,
            attacks: Vec::new(),
            start: DEFAULT_START,
            clients: u32::try_from(clients).unwrap_or(CLIENTS_MAX),
            attack_share: DEFAULT_ATTACK_SHARE,
        }
    }

    /// The same plan with these attacks in it.
    #[must_use]
    pub fn with_attacks(mut self, attacks: &[Attack]) -> Self {
        self.attacks = attacks.to_vec();
        self
    }

    /// Whether it can be carried out.
    ///
    /// # Errors
    /// Names the first value that is out of its range.
    pub fn check(&self) -> Result<(), PlanError> {
        if !(1..=PACKETS_MAX).contains(&self.packets) {
            return Err(PlanError::Packets { packets: self.packets });
        }
        if !(CLIENTS_MIN..=CLIENTS_MAX).contains(&self.clients) {
            return Err(PlanError::Clients { clients: self.clients });
        }
        if !(0.0..=ATTACK_SHARE_MAX).contains(&self.attack_share) {
            return Err(PlanError::AttackShare { share: self.attack_share });
        }
        Ok(())
    }
}

/// Why a plan can't be carried out: the caller's fault.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to generate, or more than a disk holds.
    #[error("packets = {packets}: must be 1 to {PACKETS_MAX}")]
    Packets {
        /// What was asked for.
        packets: u64,
    },
    /// Too few clients for an office, or more than the address plan holds.
    #[error("clients = {clients}: must be {CLIENTS_MIN} to {CLIENTS_MAX}")]
    Clients {
        /// What was asked for.
        clients: u32,
    },
    /// Not a share, or one that leaves no normal traffic.
    #[error("attack_share = {share}: must be 0 to {ATTACK_SHARE_MAX}")]
    AttackShare {
        /// What was asked for.
        share: f64,
    },
}
