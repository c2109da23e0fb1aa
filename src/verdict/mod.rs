//! From evidence to a verdict, and the reasons that go with it.

mod detection;
mod in_force;
mod policy;
mod record;

pub use detection::Detection;
pub use in_force::InForce;
pub use policy::{Evidence, Floor, Floors, Judgement, Policy, PolicyParams, Thresholds, Weights};
pub use record::{Level, Verdict};
