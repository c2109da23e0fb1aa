//! The writer against a store that fails, hangs and forgets to answer.

pub(super) mod sample;
