//! The 15 features: a frozen contract between the sensor, the training and the reader of an event.
//!
//! [`SCHEMA`] says what each one means; [`SourceState::observe`] measures one packet. A [`Meter`] holds what measuring
//! needs besides the state of the source, so that a state is nothing but numbers.

mod day_clock;
mod destinations;
mod deviation;
mod meter;
mod rates;
mod reputation;
mod schema;
mod state;

use serde::{Deserialize, Serialize};

pub use day_clock::DayClock;
pub use meter::{FeatureParams, Meter};
pub use reputation::PacketEvidence;
pub use schema::{
    ATTACK_CLASSES, DECOYS_MAX, DESTINATIONS_EXACT, IDLE_NANOS, IDLE_SECS, SCHEMA, canonical_text,
    fingerprint, index,
};
pub use state::SourceState;

/// How many features there are.
pub const FEATURES: usize = 15;

/// The version of the schema. Half-lives, windows and the idle time are part of it.
pub const SCHEMA_VERSION: u32 = 1;

/// One feature of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name, as in files, answers and the store.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it says, in one sentence.
    pub meaning: &'static str,
}

/// One packet's features in the order of the schema; every value is finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureVector(pub [f32; FEATURES]);

/// The nearest `f32`. Every measure fits: none exceeds 2^64.
#[expect(clippy::cast_possible_truncation, reason = "features are f32 by contract")]
const fn nearest_f32(value: f64) -> f32 {
    value as f32
}

/// A count as a real number: as a signed one, which a processor converts in one instruction, and whose sign no count reaches.
const fn real(count: u64) -> f64 {
    count.cast_signed() as f64
}

#[cfg(test)]
mod tests;
