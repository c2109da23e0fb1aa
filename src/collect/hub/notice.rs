//! What people who watch are told beside events.

use crate::time::Timestamp;

/// Something about the sensor itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// What happened.
    pub kind: NoticeKind,
    /// The same in words, with the particulars. Nothing from the wire.
    pub text: Box<str>,
}

/// What can happen to a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// The store does not answer: events wait.
    StoreAway,
    /// The store answers again.
    StoreBack,
    /// The spool took a batch no more: events are lost, and counted.
    SpoolFull,
    /// The interface is down or gone, or the XDP program was taken off it: no frames come.
    CaptureLost,
    /// Frames of the interface can come again.
    CaptureBack,
    /// No more frames will come: the capture file ended, or the interface is gone.
    CaptureEnded,
    /// Another model, other rules, intelligence, decoys or policy judge from now on.
    DetectionReplaced,
    /// What was to be reloaded is wrong: what judged goes on.
    ReloadRefused,
    /// The sensor stops.
    Stopping,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::StoreAway,
        Self::StoreBack,
        Self::SpoolFull,
        Self::CaptureLost,
        Self::CaptureBack,
        Self::CaptureEnded,
        Self::DetectionReplaced,
        Self::ReloadRefused,
        Self::Stopping,
    ];

    /// As shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StoreAway => "store_away",
            Self::StoreBack => "store_back",
            Self::SpoolFull => "spool_full",
            Self::CaptureLost => "capture_lost",
            Self::CaptureBack => "capture_back",
            Self::CaptureEnded => "capture_ended",
            Self::DetectionReplaced => "detection_replaced",
            Self::ReloadRefused => "reload_refused",
            Self::Stopping => "stopping",
        }
    }
}
