//! Frames at the pace at which they were captured, or a multiple of it.

use std::time::{Duration, Instant};

use super::{Batch, FrameSource, Received};
use crate::time::Timestamp;

/// Holds frames back until their time has come.
///
/// The first frame is due at once; every other one when as much time has passed since then as lies between the two in the
/// capture, divided by the speed. A frame whose time lies before that of an earlier one is due with it.
#[derive(Debug)]
pub struct Paced<S> {
    source: S,
    speed: f64,
    head_start: f64,
    read: Batch,
    /// How many frames of `read` were given out.
    given: usize,
    origin: Option<(Instant, Timestamp)>,
    turn: u64,
    ended: bool,
}

impl<S: FrameSource> Paced<S> {
    /// Frames of `source`, `speed` times as fast as they were captured. The speed is positive.
    #[must_use]
    pub fn new(source: S, speed: f64) -> Self {
        Self::with_head_start(source, speed, Duration::ZERO)
    }

    /// The same, but what was captured within `head_start` after the first frame is due at once with it.
    #[must_use]
    pub fn with_head_start(source: S, speed: f64, head_start: Duration) -> Self {
        Self {
            source,
            speed,
            head_start: head_start.as_secs_f64(),
            read: Batch::new(),
            given: 0,
            origin: None,
            turn: 0,
            ended: false,
        }
    }

    /// The source behind it.
    #[must_use]
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// The same, taken out.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.source
    }

    /// Makes sure that a frame is at hand, unless there is none.
    fn refill(&mut self) -> Received {
        if self.given < self.read.len() {
            return Received::Frames;
        }
        if self.ended {
            return Received::End;
        }
        let received = self.source.receive(&mut self.read);
        self.given = 0;
        self.ended = received == Received::End;
        received
    }

    /// The packet time up to which frames are due now.
    fn due_until(&mut self, first: Timestamp) -> Timestamp {
        let (began, first) = *self.origin.get_or_insert_with(|| (Instant::now(), first));
        let passed = (began.elapsed().as_secs_f64() * self.speed + self.head_start) * 1e9;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of a float saturates, which is what is wanted"
        )]
        first.plus_nanos(passed as i64)
    }
}

impl<S: FrameSource> FrameSource for Paced<S> {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        match self.refill() {
            Received::Frames => {}
            other => return other,
        }
        let Some(next) = self.read.frames().nth(self.given) else { return Received::Nothing };
        let (sequence, time) = (next.sequence, next.time);
        let until = self.due_until(time);
        batch.begin(self.turn, sequence);
        for frame in self.read.frames().skip(self.given) {
            if frame.time > until
                || !batch.push(frame.time, frame.wire_length, frame.link, frame.bytes)
            {
                break;
            }
        }
        if batch.is_empty() {
            return Received::Nothing;
        }
        self.given += batch.len();
        self.turn += 1;
        Received::Frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;

    /// One batch of frames, a millisecond apart.
    struct Once(u64);

    impl FrameSource for Once {
        fn receive(&mut self, batch: &mut Batch) -> Received {
            batch.begin(0, 1);
            for nth in 0..std::mem::take(&mut self.0) {
                let time = Timestamp::from_nanos(1_000_000 * i64::try_from(nth).unwrap());
                assert!(batch.push(time, 1, LinkType::RawIp, &[0]));
            }
            if batch.is_empty() { Received::End } else { Received::Frames }
        }
    }

    #[test]
    fn every_frame_comes_once_in_order_and_none_before_its_time() {
        let began = Instant::now();
        let mut paced = Paced::new(Once(20), 2.0);
        let mut batch = Batch::new();
        let mut seen = Vec::new();
        let mut turns = 0;
        loop {
            match paced.receive(&mut batch) {
                Received::Frames => {
                    assert_eq!(batch.turn(), turns);
                    turns += 1;
                    for frame in batch.frames() {
                        let due = frame.time.secs_since(Timestamp::EPOCH) / 2.0;
                        assert!(
                            began.elapsed().as_secs_f64() >= due,
                            "frame {} came early",
                            frame.sequence
                        );
                        seen.push(frame.sequence);
                    }
                }
                Received::Nothing => std::thread::yield_now(),
                Received::End => break,
            }
        }
        assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    }
}
