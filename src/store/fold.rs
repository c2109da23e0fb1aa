//! What a run's ledger and markers become when they are old: sums. A sensor that goes on for months would otherwise keep a row for
//! each of its ten batches a second.
//!
//! Rows of `ingest_batches` are added up into the run's row of `folded_batches`, in one transaction with their removal; the largest
//! number among them still tells a batch that comes again. Of the markers one a minute is left.

/// How old they are then, in seconds. No batch waits for so long between two tries: the spool is read from its front.
pub(super) const AFTER_SECONDS: i64 = 86_400;

/// Rows of one run that are folded at once.
pub(super) const SLICE_ROWS: u32 = 5_000;

/// One marker in so many is left.
pub(super) const MARKERS_KEPT: u32 = 60;
