//! The 15 features: a frozen contract between the sensor, the training and the reader of an event.

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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeatureVector(pub [f32; FEATURES]);
