//! The tap itself: what comes in through the interface while the doctor listens.

mod conversations;
mod judging;
mod listening;
mod measure;
mod repeats;

#[cfg(test)]
mod tests;

pub use self::conversations::Directions;
pub use self::listening::Listening;
pub use self::measure::Heard;

pub(super) use self::judging::judge;
pub(super) use self::listening::listen;
