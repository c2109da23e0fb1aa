//! What an output shows of itself, and the sum that must always hold.

/// What an output has done since the sensor started, in records: EVE lines, or messages about incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputStats {
    /// Records that were to be written.
    pub offered: u64,
    /// Taken by the file, the socket or the other side.
    pub written: u64,
    /// In memory.
    pub waiting: u64,
    /// Lost because too many waited.
    pub refused: u64,
    /// Lost because the other side would never take them, or had not taken them when the sensor stopped.
    pub failed: u64,
    /// Tries that failed and were, or will be, repeated.
    pub failures: u64,
    /// What the last one that failed said, since the last that did not.
    pub last_error: Option<String>,
    /// Whether the last try succeeded.
    pub is_up: bool,
}

impl OutputStats {
    /// How many records are in no place or in two: 0, or there is a bug.
    #[must_use]
    pub const fn unaccounted(&self) -> u64 {
        let accounted = self
            .written
            .saturating_add(self.waiting)
            .saturating_add(self.refused)
            .saturating_add(self.failed);
        self.offered.abs_diff(accounted)
    }

    /// Records that nobody will ever get.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.refused.saturating_add(self.failed)
    }

    /// Records wait for the destination now.
    pub(super) const fn offer(&mut self, records: u64) {
        self.offered += records;
        self.waiting += records;
    }

    /// Of those that wait, the newest found no room.
    pub(super) const fn refuse(&mut self, records: u64) {
        self.waiting = self.waiting.saturating_sub(records);
        self.refused += records;
    }

    /// Of those that wait, the oldest arrived.
    pub(super) const fn write(&mut self, records: u64) {
        self.waiting = self.waiting.saturating_sub(records);
        self.written += records;
    }

    /// Of those that wait, the oldest will never arrive.
    pub(super) const fn fail(&mut self, records: u64) {
        self.waiting = self.waiting.saturating_sub(records);
        self.failed += records;
    }
}
