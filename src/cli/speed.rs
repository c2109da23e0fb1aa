//! `--speed`: how fast the frames of a capture are let in.

use std::str::FromStr;
use std::time::Duration;

use crate::capture::{Batch, FrameSource, Paced, Received};
use crate::worker::WhenFull;

/// How fast frames are let in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Speed {
    /// As fast as they can be judged.
    Max,
    /// Times the pace of the capture.
    Times(f64),
}

impl Speed {
    /// The frames of `source` at this speed, but for those of its first `head_start`, which come at once.
    pub(super) fn of_with_head_start<S: FrameSource>(
        self,
        source: S,
        head_start: Duration,
    ) -> Tempo<S> {
        match self {
            Self::Max => Tempo::Max(source),
            Self::Times(times) => Tempo::Paced(Paced::with_head_start(source, times, head_start)),
        }
    }

    /// What happens to frames and verdicts that come too fast: as fast as possible, nothing does.
    pub(super) const fn when_full(self) -> WhenFull {
        match self {
            Self::Max => WhenFull::Wait,
            Self::Times(_) => WhenFull::Count,
        }
    }

    /// The frames of `source` at this speed.
    pub(super) fn of<S: FrameSource>(self, source: S) -> Tempo<S> {
        self.of_with_head_start(source, Duration::ZERO)
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let must =
            || format!("{text:?} must be max, real, or x and a positive number, such as x10");
        match text {
            "max" => Ok(Self::Max),
            "real" => Ok(Self::Times(1.0)),
            _ => {
                let times = text.strip_prefix('x').ok_or_else(must)?;
                let times: f64 = times.parse().map_err(|_not_a_number| must())?;
                if times.is_finite() && times > 0.0 { Ok(Self::Times(times)) } else { Err(must()) }
            }
        }
    }
}

/// Frames at a speed.
#[derive(Debug)]
pub(super) enum Tempo<S> {
    Max(S),
    Paced(Paced<S>),
}

impl<S: FrameSource> Tempo<S> {
    /// The source behind it.
    pub(super) const fn source(&self) -> &S {
        match self {
            Self::Max(source) => source,
            Self::Paced(paced) => paced.source(),
        }
    }

    /// The same, taken out.
    pub(super) fn into_inner(self) -> S {
        match self {
            Self::Max(source) => source,
            Self::Paced(paced) => paced.into_inner(),
        }
    }
}

impl<S: FrameSource> FrameSource for Tempo<S> {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        match self {
            Self::Max(source) => source.receive(batch),
            Self::Paced(paced) => paced.receive(batch),
        }
    }
}
