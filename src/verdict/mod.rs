//! From evidence to a verdict, and the reasons that go with it.

mod detection;
mod policy;
mod record;

pub use detection::Detection;
pub use policy::{Evidence, Floor, Floors, Judgement, Policy, PolicyParams, Thresholds, Weights};
pub use record::{Level, Verdict};
