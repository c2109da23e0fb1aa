//! The isolation forest.

mod calibration;
mod compiled;
mod explain;
mod forest;
mod score;
mod train;
#[cfg(test)]
mod samples;
pub use explain::*;
pub use forest::*;
pub use score::AnomalyScore;
pub use train::*;
