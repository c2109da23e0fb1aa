//! What both formats give: where the next frame lies in the window, and what the capture says of it.

use super::FRAME_BYTES_MAX;
use super::fault::StopReason;
use super::link_number::LinkNumber;
use crate::time::Timestamp;

/// The next frame of a file, still in the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// When the frame passed.
    pub(super) time: Timestamp,
    /// Bytes on the wire, never fewer than were captured.
    pub(super) wire_length: u32,
    /// What the first byte belongs to.
    pub(super) link: LinkNumber,
    /// Where the frame begins: bytes from the start of what is unread.
    pub(super) begins: usize,
    /// How many bytes were captured.
    pub(super) captured: usize,
    /// How many unread bytes the whole record takes.
    pub(super) length: usize,
}

/// A moment that a file states, clamped to what can be held.
pub(super) fn clamped(nanos: i128) -> Timestamp {
    let held = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Timestamp::from_nanos(i64::try_from(held).expect("it was just clamped"))
}

/// Refuses a frame that is longer than any capture may hold, before memory is spent on it.
pub(super) const fn check_frame_length(captured: usize) -> Result<(), StopReason> {
    if captured > FRAME_BYTES_MAX {
        return Err(StopReason::FrameTooLong(captured as u64));
    }
    Ok(())
}
