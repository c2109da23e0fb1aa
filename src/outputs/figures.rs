//! What a sensor has counted, for the outputs that tell it.

use crate::counters::Counters;

/// Figures of one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Seconds since the start.
    pub uptime: u64,
    /// What the kernel says; `None` where frames do not come from an interface.
    pub kernel: Option<KernelFigures>,
    /// All workers together.
    pub counters: Counters,
    /// What is missing or counted twice, over all stages; 0, or there is a bug.
    pub unaccounted: u64,
}

/// What the kernel counts of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelFigures {
    /// The interface.
    pub interface: String,
    /// Frames that it saw.
    pub packets: u64,
    /// Frames that it could not give to the sensor.
    pub drops: u64,
}

/// Gives the figures of now.
pub type ReadFigures = Box<dyn Fn() -> Figures + Send>;
