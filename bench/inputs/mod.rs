//! What the benchmarks are run on, made in the process from fixed seeds: the same bytes in every run and on every machine.

pub(crate) mod detection;
pub(crate) mod frames;
pub(crate) mod judging;
pub(crate) mod mixes;
pub(crate) mod random;
pub(crate) mod rows;
pub(crate) mod turns;
